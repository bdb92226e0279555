package config

import (
	"fmt"
	"io/fs"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// decoder collects what is wrong while a file is read, so that all faults are reported at once.
type decoder struct {
	diags hcl.Diagnostics
}

// block is the content of one block, read strictly.
type block struct {
	d      *decoder
	at     hcl.Range
	attrs  hcl.Attributes
	blocks map[string]hcl.Blocks
}

// read takes the named attributes and blocks, both without labels unless said as "type label", from the
// body. Anything else in it is a fault.
func (d *decoder) read(body hcl.Body, at hcl.Range, attrs, blocks []string) block {
	schema := &hcl.BodySchema{}
	for _, name := range attrs {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	for _, name := range blocks {
		words := strings.Fields(name)
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: words[0], LabelNames: words[1:]})
	}
	content, diags := body.Content(schema)
	d.diags = append(d.diags, diags...)
	b := block{d: d, at: at, blocks: map[string]hcl.Blocks{}}
	if content != nil {
		b.attrs = content.Attributes
		b.blocks = content.Blocks.ByType()
	}
	return b
}

func (d *decoder) fault(at hcl.Range, format string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: fmt.Sprintf(format, args...), Subject: &at})
}

// single returns the only block of the type, and faults if there are more.
func (b block) single(name string) (*hcl.Block, bool) {
	all := b.blocks[name]
	if len(all) > 1 {
		b.d.fault(all[1].DefRange, "a second %q block; the first is at line %d", name, all[0].DefRange.Start.Line)
	}
	if len(all) == 0 {
		return nil, false
	}
	return all[0], true
}

func (b block) has(name string) bool { return b.attrs[name] != nil }

// where returns the place of an attribute, or of the block if it is not there.
func (b block) where(name string) hcl.Range {
	if a := b.attrs[name]; a != nil {
		return a.Expr.Range()
	}
	return b.at
}

// value returns the attribute as the type, and false if it is absent or faulty.
func (b block) value(name string, want cty.Type) (cty.Value, bool) {
	a := b.attrs[name]
	if a == nil {
		return cty.NilVal, false
	}
	v, diags := a.Expr.Value(nil)
	b.d.diags = append(b.d.diags, diags...)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil || v.IsNull() || !v.IsWhollyKnown() {
		b.d.fault(a.Expr.Range(), "%s must be %s", name, typeName(want))
		return cty.NilVal, false
	}
	return v, true
}

func typeName(t cty.Type) string {
	switch {
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsListType():
		return "a list of strings"
	default:
		return "a map of strings"
	}
}

// text returns a string without control characters.
func (b block) text(name, fallback string) string {
	v, ok := b.value(name, cty.String)
	if !ok {
		return fallback
	}
	s := v.AsString()
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		b.d.fault(b.where(name), "%s has a control character at position %d", name, i+1)
		return fallback
	}
	return s
}

func (b block) required(name string) string {
	if !b.has(name) {
		b.d.fault(b.at, "%s is missing", name)
		return ""
	}
	s := b.text(name, "")
	if s == "" && !b.d.diags.HasErrors() {
		b.d.fault(b.where(name), "%s is empty", name)
	}
	return s
}

func (b block) oneOf(name, fallback string, choices ...string) string {
	s := b.text(name, fallback)
	for _, c := range choices {
		if s == c {
			return s
		}
	}
	b.d.fault(b.where(name), "%s is %q; want one of %s", name, s, strings.Join(choices, ", "))
	return fallback
}

// path returns a path, made absolute from the folder of the configuration file that has it.
func (b block) path(name, fallback string) string {
	s := b.text(name, fallback)
	if s == "" || filepath.IsAbs(s) {
		return s
	}
	dir, err := filepath.Abs(filepath.Dir(b.where(name).Filename))
	if err != nil {
		b.d.fault(b.where(name), "%s: %v", name, err)
	}
	return filepath.Join(dir, s)
}

// listen returns where to listen, on loopback if no host is given; empty if absent.
func (b block) listen(name string) string {
	s := b.text(name, "")
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isPort(port) && port != "0" {
		b.d.fault(b.where(name), "%s is %q; want host:port, such as \"127.0.0.1:9479\"", name, s)
		return ""
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func (b block) duration(name string, fallback, low, high time.Duration) time.Duration {
	if !b.has(name) {
		return fallback
	}
	s := b.text(name, "")
	d, err := time.ParseDuration(s)
	if err != nil {
		b.d.fault(b.where(name), "%s is %q; want a time such as \"500ms\", \"10s\" or \"2m\"", name, s)
		return fallback
	}
	if d < low || d > high {
		b.d.fault(b.where(name), "%s is %v; want %v to %v", name, d, low, high)
		return fallback
	}
	return d
}

func (b block) integer(name string, fallback, low, high int) int {
	v, ok := b.value(name, cty.Number)
	if !ok {
		return fallback
	}
	n, acc := v.AsBigFloat().Int64()
	if acc != 0 || n < int64(low) || n > int64(high) {
		b.d.fault(b.where(name), "%s must be a whole number from %d to %d", name, low, high)
		return fallback
	}
	return int(n)
}

func (b block) number(name string, fallback, low, high float64) float64 {
	v, ok := b.value(name, cty.Number)
	if !ok {
		return fallback
	}
	n, _ := v.AsBigFloat().Float64()
	if math.IsNaN(n) || n < low || n > high {
		b.d.fault(b.where(name), "%s must be a number from %v to %v", name, low, high)
		return fallback
	}
	return n
}

func (b block) flag(name string) bool {
	v, ok := b.value(name, cty.Bool)
	return ok && v.True()
}

// percent returns a string such as "34%" as 0.34.
func (b block) percent(name string, fallback float64) float64 {
	if !b.has(name) {
		return fallback
	}
	s := b.text(name, "")
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || math.IsNaN(n) || n <= 0 || n > 100 {
		b.d.fault(b.where(name), "%s is %q; want a share above 0%% and up to 100%%, such as \"34%%\"", name, s)
		return fallback
	}
	return n / 100
}

// mode returns file permissions given as an octal string such as "0640".
func (b block) mode(name string) fs.FileMode {
	if !b.has(name) {
		return 0
	}
	s := b.text(name, "")
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		b.d.fault(b.where(name), "%s is %q; want octal permissions in quotes, such as \"0640\"", name, s)
		return 0
	}
	return fs.FileMode(n)
}

// list returns a list of strings without control characters: nil if absent, empty and not nil if empty.
func (b block) list(name string) []string {
	v, ok := b.value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	out := []string{}
	for _, e := range v.AsValueSlice() {
		if e.IsNull() {
			b.d.fault(b.where(name), "%s has an empty entry", name)
			continue
		}
		s := e.AsString()
		if strings.ContainsFunc(s, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }) {
			b.d.fault(b.where(name), "%s: entry %q has a control character", name, s)
			continue
		}
		out = append(out, s)
	}
	return out
}

// command returns an argument vector: nil if absent.
func (b block) command(name string) []string {
	argv := b.list(name)
	if len(argv) > 0 && argv[0] == "" {
		b.d.fault(b.where(name), "%s: the name of the program is empty", name)
	}
	return argv
}

func (b block) stringMap(name string) map[string]string {
	v, ok := b.value(name, cty.Map(cty.String))
	if !ok {
		return nil
	}
	out := map[string]string{}
	for key, e := range v.AsValueMap() {
		if e.IsNull() {
			b.d.fault(b.where(name), "%s: %q has no value", name, key)
			continue
		}
		out[key] = e.AsString()
	}
	return out
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// address returns where the agent listens: host:port, or unix:///path.
func (b block) address(name, fallback string) string {
	s := b.text(name, fallback)
	if path, ok := strings.CutPrefix(s, "unix://"); ok && strings.HasPrefix(path, "/") {
		return s
	}
	if _, port, err := net.SplitHostPort(s); err != nil || !isPort(port) {
		b.d.fault(b.where(name), "%s is %q; want host:port such as %q, or unix:///path", name, s, fallback)
	}
	return s
}
