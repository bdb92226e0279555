package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	syntax "text/template/parse"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/go-sockaddr/template"
)

// expandTemplate evaluates a go-sockaddr template such as "{{ GetPrivateIP }}:7946", which must yield exactly
// one address. Other text is returned as it is.
func expandTemplate(text string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	out, err := evaluate(text)
	if err != nil {
		return "", fmt.Errorf("template %s: %w", text, err)
	}
	out = strings.TrimSpace(out)
	switch {
	case out == "" || strings.HasPrefix(out, ":") && !strings.HasPrefix(out, "::"):
		return "", fmt.Errorf("template %s finds no address on this host", text)
	case strings.ContainsAny(out, " \t\n"):
		return "", fmt.Errorf("template %s finds several addresses: %s (narrow it down, for example with '| limit 1')", text, strings.Join(strings.Fields(out), " "))
	}
	return out, nil
}

// errControl is the limit of evaluate.
var errControl = errors.New("only text and pipelines of go-sockaddr's functions are understood, no variables and no control structures")

// evaluate does what go-sockaddr's template.Parse does, with the same functions and the same parser but without
// text/template's evaluator: that looks up methods by name, so the linker has to keep every exported method of
// every type in the program. It was 1.9 MiB of it, and 1.1 MiB of every agent's resident memory.
func evaluate(text string) (string, error) {
	addrs, err := sockaddr.GetAllInterfaces()
	if err != nil {
		return "", fmt.Errorf("read the addresses of this host: %w", err)
	}
	e := evaluator{dot: addrs, funcs: map[string]any{"printf": fmt.Sprintf}}
	for _, funcs := range []map[string]any{template.SourceFuncs, template.SortFuncs, template.FilterFuncs, template.HelperFuncs} {
		maps.Copy(e.funcs, funcs)
	}
	trees, err := syntax.Parse("address", text, "", "", e.funcs)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, node := range trees["address"].Root.Nodes {
		switch node := node.(type) {
		case *syntax.TextNode:
			out.Write(node.Text)
		case *syntax.ActionNode:
			v, err := e.pipe(node.Pipe)
			if err != nil {
				return "", err
			}
			fmt.Fprint(&out, v)
		case *syntax.CommentNode:
		default:
			return "", errControl
		}
	}
	return out.String(), nil
}

type evaluator struct {
	dot   sockaddr.IfAddrs
	funcs map[string]any
}

// pipe hands the value of each command to the next one as its last argument.
func (e *evaluator) pipe(p *syntax.PipeNode) (v any, err error) {
	if len(p.Decl) > 0 {
		return nil, errControl
	}
	var last []any
	for _, cmd := range p.Cmds {
		if fn, ok := cmd.Args[0].(*syntax.IdentifierNode); ok {
			v, err = e.call(fn.Ident, cmd.Args[1:], last)
		} else if len(cmd.Args) > 1 {
			err = fmt.Errorf("%s is not a function", cmd.Args[0])
		} else {
			v, err = e.value(cmd.Args[0])
		}
		if err != nil {
			return nil, err
		}
		last = []any{v}
	}
	return v, nil
}

// value is what an argument stands for. A number is left to call, which knows the type that is wanted.
func (e *evaluator) value(node syntax.Node) (any, error) {
	switch node := node.(type) {
	case *syntax.StringNode:
		return node.Text, nil
	case *syntax.NumberNode:
		return node, nil
	case *syntax.BoolNode:
		return node.True, nil
	case *syntax.DotNode:
		return e.dot, nil
	case *syntax.PipeNode:
		return e.pipe(node)
	case *syntax.IdentifierNode:
		return e.call(node.Ident, nil, nil)
	}
	return nil, errControl
}

func (e *evaluator) call(name string, nodes []syntax.Node, last []any) (v any, err error) {
	// A few functions of go-sockaddr panic at odd arguments; text/template turns that into errors too.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", name, r)
		}
	}()
	args := make([]any, 0, len(nodes)+1)
	for _, node := range nodes {
		arg, err := e.value(node)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	args = append(args, last...)

	fn := reflect.ValueOf(e.funcs[name])
	if !fn.IsValid() {
		return nil, fmt.Errorf("%s is not a function of go-sockaddr", name)
	}
	t := fn.Type()
	if want := t.NumIn(); len(args) != want && !t.IsVariadic() || len(args) < want-1 {
		return nil, fmt.Errorf("%s takes %d arguments, not %d", name, want, len(args))
	}
	in := make([]reflect.Value, len(args))
	for i, arg := range args {
		want := t.In(min(i, t.NumIn()-1))
		if t.IsVariadic() && i >= t.NumIn()-1 {
			want = want.Elem()
		}
		if in[i], err = convert(arg, want); err != nil {
			return nil, fmt.Errorf("%s: argument %d %w", name, i+1, err)
		}
	}
	out := fn.Call(in)
	if len(out) == 2 && !out[1].IsNil() {
		return nil, fmt.Errorf("%s: %w", name, out[1].Interface().(error))
	}
	return out[0].Interface(), nil
}

// convert gives an argument the type that a function wants.
func convert(arg any, want reflect.Type) (reflect.Value, error) {
	if n, ok := arg.(*syntax.NumberNode); ok {
		switch kind := want.Kind(); {
		case kind == reflect.Uint && n.IsUint && uint64(uint(n.Uint64)) == n.Uint64:
			return reflect.ValueOf(uint(n.Uint64)), nil
		case (kind == reflect.Int || kind == reflect.Interface) && n.IsInt && int64(int(n.Int64)) == n.Int64:
			return reflect.ValueOf(int(n.Int64)), nil
		}
		return reflect.Value{}, fmt.Errorf("cannot be the number %s", n.Text)
	}
	v := reflect.ValueOf(arg)
	if !v.IsValid() || !v.Type().AssignableTo(want) {
		return reflect.Value{}, fmt.Errorf("should be of type %s, not %T", want, arg)
	}
	return v, nil
}
