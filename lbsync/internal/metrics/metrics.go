// Package metrics counts, and writes what it counted in Prometheus' text format (version 0.0.4). It does what this program
// needs and no more: counters, gauges and histograms with labels. All methods may be called from any goroutine.
package metrics

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ContentType is that of what WriteTo writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Registry is a set of metrics. The zero value is ready.
type Registry struct {
	mu   sync.Mutex
	vecs []*Vec
}

// Vec is a counter or a gauge, with a value for each combination of its labels' values.
type Vec struct {
	name, help, kind string
	labels           []string
	buckets          []float64 // of a histogram, ascending

	mu     sync.Mutex
	values map[string]*value // by the written labels
}

type value struct {
	labels []string
	v      float64
	counts []uint64 // of a histogram: observations up to each bucket's bound; v is their sum
	total  uint64
}

// Counter makes a counter; its name should end in _total.
func (r *Registry) Counter(name, help string, labels ...string) *Vec {
	return r.add(&Vec{name: name, help: help, kind: "counter", labels: labels})
}

// Gauge makes a gauge.
func (r *Registry) Gauge(name, help string, labels ...string) *Vec {
	return r.add(&Vec{name: name, help: help, kind: "gauge", labels: labels})
}

// Histogram makes a histogram with the upper bounds of its buckets, ascending and without +Inf.
func (r *Registry) Histogram(name, help string, buckets []float64, labels ...string) *Vec {
	return r.add(&Vec{name: name, help: help, kind: "histogram", labels: labels, buckets: buckets})
}

func (r *Registry) add(v *Vec) *Vec {
	r.mu.Lock()
	defer r.mu.Unlock()
	v.values = map[string]*value{}
	r.vecs = append(r.vecs, v)
	slices.SortFunc(r.vecs, func(a, b *Vec) int { return strings.Compare(a.name, b.name) })
	return v
}

// Add adds to the value with these labels; with 0 it makes it appear.
func (v *Vec) Add(n float64, labels ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at(labels).v += n
}

// Set sets the value with these labels.
func (v *Vec) Set(n float64, labels ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at(labels).v = n
}

// Replace drops all values and sets those given, by one label's values.
func (v *Vec) Replace(values map[string]float64, rest ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	prefix := v.written(append(slices.Clone(rest), "\x00"))
	prefix = prefix[:strings.LastIndexByte(prefix, '=')]
	maps.DeleteFunc(v.values, func(key string, _ *value) bool { return strings.HasPrefix(key, prefix) })
	for label, n := range values {
		v.at(append(slices.Clone(rest), label)).v = n
	}
}

// Keep drops the values of all metrics that have the label with another value than these.
func (r *Registry) Keep(label string, values []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.vecs {
		if i := slices.Index(v.labels, label); i >= 0 {
			v.mu.Lock()
			maps.DeleteFunc(v.values, func(_ string, val *value) bool { return !slices.Contains(values, val.labels[i]) })
			v.mu.Unlock()
		}
	}
}

// Observe counts an observation of a histogram.
func (v *Vec) Observe(n float64, labels ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	val := v.at(labels)
	if val.counts == nil {
		val.counts = make([]uint64, len(v.buckets))
	}
	for i, bound := range v.buckets {
		if n <= bound {
			val.counts[i]++
		}
	}
	val.total++
	val.v += n
}

// Value returns the value with these labels: for tests, and for a histogram the number of observations.
func (v *Vec) Value(labels ...string) float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	val, ok := v.values[v.written(labels)]
	switch {
	case !ok:
		return 0
	case v.kind == "histogram":
		return float64(val.total)
	default:
		return val.v
	}
}

func (v *Vec) at(labels []string) *value {
	key := v.written(labels)
	val := v.values[key]
	if val == nil {
		val = &value{labels: slices.Clone(labels)}
		v.values[key] = val
	}
	return val
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// written writes labels as in {a="b",c="d"} without the braces.
func (v *Vec) written(values []string) string {
	var b strings.Builder
	for i, name := range v.labels {
		if i > 0 {
			b.WriteByte(',')
		}
		text := ""
		if i < len(values) {
			text = values[i]
		}
		b.WriteString(name + `="` + escape.Replace(text) + `"`)
	}
	return b.String()
}

// WriteTo writes everything, sorted.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	vecs := slices.Clone(r.vecs)
	r.mu.Unlock()
	count := &counter{w: w}
	out := bufio.NewWriter(count)
	for _, v := range vecs {
		v.write(out)
	}
	err := out.Flush()
	return count.n, err
}

func (v *Vec) write(out *bufio.Writer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.values) == 0 {
		return
	}
	// A bufio.Writer keeps its first error for Flush.
	_, _ = fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", v.name, v.help, v.name, v.kind)
	for _, key := range slices.Sorted(maps.Keys(v.values)) {
		val := v.values[key]
		if v.kind != "histogram" {
			line(out, v.name, key, format(val.v))
			continue
		}
		with := func(bound string) string {
			if key == "" {
				return `le="` + bound + `"`
			}
			return key + `,le="` + bound + `"`
		}
		for i, bound := range v.buckets {
			line(out, v.name+"_bucket", with(format(bound)), strconv.FormatUint(val.counts[i], 10))
		}
		line(out, v.name+"_bucket", with("+Inf"), strconv.FormatUint(val.total, 10))
		line(out, v.name+"_sum", key, format(val.v))
		line(out, v.name+"_count", key, strconv.FormatUint(val.total, 10))
	}
}

func line(out *bufio.Writer, name, labels, text string) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	_, _ = out.WriteString(name + labels + " " + text + "\n") // see write
}

func format(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatFloat(n, 'g', -1, 64)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
