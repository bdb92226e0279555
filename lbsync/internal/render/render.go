// Package render fills the operator's own templates, for files that the built-in forms of a driver do not
// cover. They are Go's text/template; their data and functions are [Data] and [Funcs]. There is no clock, no
// random number, no environment and no way to run anything: the same servers give the same bytes, which is
// checked by rendering twice.
package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// MaxSize bounds what a template may produce, in bytes.
const MaxSize = 16 << 20

// Data is what a template sees.
type Data struct {
	Target   Target
	Services map[string]pool.Service // those that the target uses, by name
	Backends []Backend               // backends, upstreams or pools, as configured
	Vars     map[string]string       // of the target
}

// Backend is a backend, upstream or pool of the target.
type Backend struct{ Name, Service, Options string }

// NewData returns what templates of the target see.
func NewData(cfg config.Target, pools adapter.Pools) Data {
	d := Data{Target: Target{Kind: cfg.Kind, Name: cfg.Name}, Services: pools, Vars: cfg.Vars}
	switch cfg.Kind {
	case config.KindHAProxy:
		for _, b := range cfg.HAProxy.Backends {
			d.Backends = append(d.Backends, Backend{b.Name, b.Service, b.Options})
		}
	case config.KindNginx:
		for _, u := range cfg.Nginx.Upstreams {
			d.Backends = append(d.Backends, Backend{u.Name, u.Service, u.Options})
		}
	case config.KindTwemproxy:
		for _, p := range cfg.Twemproxy.Pools {
			d.Backends = append(d.Backends, Backend{Name: p.Name, Service: p.Service})
		}
	}
	return d
}

// Target says whose file it is.
type Target struct{ Kind, Name string }

// Template is a parsed template.
type Template struct {
	name string
	tmpl *template.Template
}

// Load reads and parses the template file.
func Load(path string) (*Template, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return Parse(path, string(text))
}

// Parse parses the text of a template; name is for errors.
func Parse(name, text string) (*Template, error) {
	tmpl, err := template.New(name).Option("missingkey=error").Funcs(Funcs()).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w", err) // says "template: name:line: what" itself
	}
	return &Template{name: name, tmpl: tmpl}, nil
}

// Execute fills the template. A final newline is added if it lacks one, for HAProxy refuses a file without.
func (t *Template) Execute(data Data) ([]byte, error) {
	first, err := t.once(data)
	if err != nil {
		return nil, err
	}
	second, err := t.once(data)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, fmt.Errorf("template: %s gives a different result each time", t.name)
	}
	if len(first) > 0 && first[len(first)-1] != '\n' {
		first = append(first, '\n')
	}
	return first, nil
}

func (t *Template) once(data Data) ([]byte, error) {
	var out bounded
	if err := t.tmpl.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return out.Bytes(), nil
}

// bounded is a buffer that refuses to grow past MaxSize.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxSize {
		return 0, fmt.Errorf("the result is larger than %d bytes", MaxSize)
	}
	return b.Buffer.Write(p)
}

// Funcs returns the functions of templates, besides those of text/template.
func Funcs() template.FuncMap {
	return template.FuncMap{
		// service SERVICES NAME: the service, or an error that says which there are.
		"service": func(all map[string]pool.Service, name string) (pool.Service, error) {
			s, ok := all[name]
			if !ok {
				return s, fmt.Errorf("service %q is none that a backend of this target uses", name)
			}
			return s, nil
		},
		// ready SERVICE: its servers that take traffic.
		"ready": pool.Service.Ready,
		// tag SERVER KEY DEFAULT: a tag's value. Values that could end a word, a line or a quotation are never there.
		"tag": func(s pool.Server, key, fallback string) string {
			if v, ok := s.Tags[key]; ok {
				return v
			}
			return fallback
		},
		"fail":    func(why string) (string, error) { return "", errors.New(why) },
		"join":    func(sep string, words []string) string { return strings.Join(words, sep) },
		"split":   func(sep, text string) []string { return strings.Split(text, sep) },
		"lower":   strings.ToLower,
		"upper":   strings.ToUpper,
		"replace": func(old, with, text string) string { return strings.ReplaceAll(text, old, with) },
		"toJSON": func(v any) (string, error) {
			out, err := json.Marshal(v)
			return string(out), err
		},
	}
}
