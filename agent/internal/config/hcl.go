package config

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/hcl/scanner"
	"github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// maxDepth bounds how deep lists and objects may nest, far above what any setting needs.
const maxDepth = 16

// parseHCL reads an HCL file into the same generic form as JSON. The language is HCL 1 without heredocs: keys
// with values, "key { ... }" for "key = { ... }", comments after #, // and between /* */. There are no
// expressions: "${HOME}" in a string is that very text, for a shell to see, and within its braces a backslash
// is a backslash. Numbers are written as in JSON.
//
// It is not HCL 2 because that is an evaluator of expressions, which settings have no use for and which makes the
// program 1.7 MiB larger, and with it the resident memory of every agent by 1 MiB. The tokens are the
// library's; its parser is not used: it takes a file that ends after an "=" for complete, shows values, which
// may be secrets, in its errors, and nests without limit.
func parseHCL(src []byte) (entries []entry, err error) {
	p := &hclParser{scan: scanner.New(src)}
	p.scan.Error = func(pos token.Pos, msg string) {
		if p.fault == nil {
			p.fault = &entryError{pos.Line, errors.New(msg)}
		}
	}
	p.next()
	for p.tok.Type != token.EOF && err == nil {
		var e entry
		if e, err = p.item(0); err == nil {
			entries = append(entries, e)
		}
	}
	if p.fault != nil { // what the parser says about the token in question is of no use then
		return nil, p.fault
	}
	return entries, err
}

// hclParser is a parser of the usual kind: each method starts at tok and ends at the first token that it does not
// take.
type hclParser struct {
	scan  *scanner.Scanner
	tok   token.Token
	fault error // of the scanner, the first one
}

func (p *hclParser) next() {
	p.tok = p.scan.Scan()
	for p.tok.Type == token.COMMENT && p.fault == nil {
		p.tok = p.scan.Scan()
	}
	if p.fault != nil { // the end, for all methods
		p.tok.Type = token.EOF
	}
}

func (p *hclParser) errorf(format string, args ...any) error {
	return &entryError{p.tok.Pos.Line, fmt.Errorf(format, args...)}
}

// item reads KEY = VALUE or KEY { ... }, and the comma that may follow.
func (p *hclParser) item(depth int) (entry, error) {
	e := entry{line: p.tok.Pos.Line}
	switch p.tok.Type {
	case token.IDENT:
		e.key = p.tok.Text
	case token.STRING:
		key, err := p.text()
		if err != nil {
			return entry{}, err
		}
		e.key = key
	default:
		return entry{}, p.errorf("expected a key, got %s", p.describe())
	}
	p.next()
	switch p.tok.Type {
	case token.ASSIGN:
		p.next()
	case token.LBRACE:
	default:
		return entry{}, p.errorf("expected '=' or '{' after the key %q, got %s", e.key, p.describe())
	}
	var err error
	if e.value, err = p.value(depth); err != nil {
		return entry{}, err
	}
	if p.tok.Type == token.COMMA {
		p.next()
	}
	return e, nil
}

// value reads a value into the form that encoding/json gives to it.
func (p *hclParser) value(depth int) (v any, err error) {
	if depth == maxDepth {
		return nil, p.errorf("lists and objects are nested more than %d deep", maxDepth)
	}
	switch p.tok.Type {
	case token.LBRACE:
		return p.object(depth)
	case token.LBRACK:
		return p.list(depth)
	case token.BOOL:
		v = p.tok.Text == "true"
	case token.NUMBER, token.FLOAT:
		var f float64
		if json.Unmarshal([]byte(p.tok.Text), &f) != nil {
			return nil, p.errorf("a number is written differently here or is too large: expected one such as 12 or 0.5")
		}
		v = f
	case token.STRING:
		if v, err = p.text(); err != nil {
			return nil, err
		}
	default:
		return nil, p.errorf("expected a value, got %s", p.describe())
	}
	p.next()
	return v, nil
}

func (p *hclParser) object(depth int) (map[string]any, error) {
	object := map[string]any{}
	for p.next(); p.tok.Type != token.RBRACE; {
		e, err := p.item(depth + 1)
		if err != nil {
			return nil, err
		}
		if _, ok := object[e.key]; ok {
			return nil, &entryError{e.line, fmt.Errorf("%q is given twice", e.key)}
		}
		object[e.key] = e.value
	}
	p.next()
	return object, nil
}

func (p *hclParser) list(depth int) ([]any, error) {
	items := []any{}
	for p.next(); p.tok.Type != token.RBRACK; {
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		switch p.tok.Type {
		case token.COMMA:
			p.next()
		case token.RBRACK:
		default:
			return nil, p.errorf("expected ',' or ']' in a list, got %s", p.describe())
		}
	}
	p.next()
	return items, nil
}

// text is what the string token says.
func (p *hclParser) text() (string, error) {
	s, err := strconv.Unquote(p.tok.Text)
	if err != nil {
		return "", p.errorf("a string has an escape that HCL does not know")
	}
	return s, nil
}

// describe names the token for people, but no value, which may be a secret.
func (p *hclParser) describe() string {
	switch t := p.tok.Type; t {
	case token.EOF:
		return "the end of the file"
	case token.IDENT:
		return "a word without quotes"
	case token.STRING:
		return "a string"
	case token.HEREDOC:
		return "a heredoc (write a string in quotes)"
	case token.NUMBER, token.FLOAT:
		return "a number"
	case token.BOOL:
		return "true or false"
	default:
		return "'" + p.tok.Text + "'"
	}
}
