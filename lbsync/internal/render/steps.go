package render

import (
	"fmt"
	"text/template"
	"text/template/parse"
)

// MaxSteps bounds how many turns all loops of a template take, and how often it calls templates, together. A million turns take
// about a second.
const MaxSteps = 500_000

// stepsError means that a template takes more than MaxSteps.
type stepsError struct{ line int }

func (e *stepsError) Error() string {
	return fmt.Sprintf("it goes round here, and was ended after %d turns of its loops and calls of templates", MaxSteps)
}

// stepFunc is the function that counts. Nobody needs to call it.
const stepFunc = "_step"

// noSteps lets templates with stepFunc be parsed.
var noSteps = template.FuncMap{stepFunc: func(int) (string, error) { return "", nil }}

// newSteps returns what counts the steps of one execution: package template cannot be interrupted otherwise.
func newSteps() template.FuncMap {
	taken := 0
	return template.FuncMap{stepFunc: func(line int) (string, error) {
		if taken++; taken > MaxSteps {
			return "", &stepsError{line}
		}
		return "", nil
	}}
}

// countSteps puts a call of stepFunc at the beginning of each loop's body and of each template.
func countSteps(tmpl *template.Template) error {
	for _, t := range tmpl.Templates() {
		if t.Tree == nil || t.Tree.Root == nil {
			continue
		}
		if err := countIn(t.Tree.Root); err != nil {
			return err
		}
		if err := countAt(t.Tree.Root, 1); err != nil {
			return err
		}
	}
	return nil
}

func countIn(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		var inner []*parse.ListNode
		switch n := n.(type) {
		case *parse.IfNode:
			inner = []*parse.ListNode{n.List, n.ElseList}
		case *parse.WithNode:
			inner = []*parse.ListNode{n.List, n.ElseList}
		case *parse.RangeNode:
			inner = []*parse.ListNode{n.List, n.ElseList}
		}
		for _, l := range inner {
			if err := countIn(l); err != nil {
				return err
			}
		}
		if r, ok := n.(*parse.RangeNode); ok {
			if err := countAt(r.List, r.Line); err != nil {
				return err
			}
		}
	}
	return nil
}

// countAt puts the call, with the line for an error, at the beginning of the list.
func countAt(list *parse.ListNode, line int) error {
	trees, err := parse.Parse(stepFunc, fmt.Sprintf("{{%s %d}}", stepFunc, line), "", "", map[string]any(noSteps))
	if err != nil {
		return err
	}
	list.Nodes = append([]parse.Node{trees[stepFunc].Root.Nodes[0]}, list.Nodes...)
	return nil
}
