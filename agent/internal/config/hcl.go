package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// parseHCL reads an HCL file into the same generic form as JSON: attributes are keys, and a block without labels is
// an object. Expressions are evaluated without variables and functions, so a "$" in front of "{" must be
// doubled where a shell is meant to see it.
func parseHCL(src []byte) ([]entry, error) {
	file, diags := hclsyntax.ParseConfig(src, "", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, hclError(diags)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil, errors.New("expected HCL's native syntax")
	}
	var entries []entry
	for _, attr := range body.Attributes {
		e, err := hclEntry(attr)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	for _, block := range body.Blocks {
		line := block.DefRange().Start.Line
		object := map[string]any{}
		if len(block.Labels) > 0 {
			return nil, &entryError{line, fmt.Errorf("'%s' takes no labels", block.Type)}
		}
		if len(block.Body.Blocks) > 0 {
			inner := block.Body.Blocks[0]
			return nil, &entryError{inner.DefRange().Start.Line, fmt.Errorf("'%s' is a block within '%s', but can only be a value", inner.Type, block.Type)}
		}
		for name, attr := range block.Body.Attributes {
			e, err := hclEntry(attr)
			if err != nil {
				return nil, err
			}
			object[name] = e.value
		}
		entries = append(entries, entry{key: block.Type, line: line, value: object})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.line - b.line })
	return entries, nil
}

func hclEntry(attr *hclsyntax.Attribute) (entry, error) {
	line := attr.NameRange.Start.Line
	value, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		return entry{}, hclError(diags)
	}
	v, err := generic(value)
	if err != nil {
		return entry{}, &entryError{line, fmt.Errorf("'%s': %w", attr.Name, err)}
	}
	return entry{key: attr.Name, line: line, value: v}, nil
}

// generic turns a value of HCL into the form that encoding/json gives to the same value.
func generic(v cty.Value) (any, error) {
	if !v.IsWhollyKnown() {
		return nil, errors.New("the value is not known")
	}
	if v.IsNull() {
		return nil, nil
	}
	t := v.Type()
	switch {
	case t == cty.String:
		return v.AsString(), nil
	case t == cty.Bool:
		return v.True(), nil
	case t == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return f, nil
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		items := []any{}
		for _, item := range v.AsValueSlice() {
			g, err := generic(item)
			if err != nil {
				return nil, err
			}
			items = append(items, g)
		}
		return items, nil
	case t.IsObjectType() || t.IsMapType():
		object := map[string]any{}
		for key, item := range v.AsValueMap() {
			g, err := generic(item)
			if err != nil {
				return nil, err
			}
			object[key] = g
		}
		return object, nil
	}
	return nil, fmt.Errorf("a value of type %s cannot be a setting", t.FriendlyName())
}

// hclError puts the first of the diagnostics on one line.
func hclError(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		line := 0
		if d.Subject != nil {
			line = d.Subject.Start.Line
		}
		text := strings.Join(strings.Fields(d.Summary+": "+d.Detail), " ")
		return &entryError{line, errors.New(text)}
	}
	return diags
}
