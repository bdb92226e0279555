// Package render fills the operator's own templates, for files that the built-in forms of a driver do not
// cover. They are Go's text/template; their data and functions are [Data] and [Funcs]. There is no clock, no
// random number and no way to run anything: the same servers give the same bytes, which is
// checked by rendering twice. What a template produces and how much it does are bounded, so that one that would never end holds up
// nothing.
package render

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	Node     pool.Node         // the member beside the balancer
	Services adapter.Services  // those that the target uses, by name
	Backends []Backend         // backends, upstreams or pools, as configured
	Vars     map[string]string // of the target
}

// Backend is a backend, upstream or pool of the target.
type Backend struct{ Name, Service, Options string }

// NewData returns what templates of the target see.
func NewData(cfg config.Target, pools adapter.Pools) Data {
	d := Data{Target: Target{Kind: cfg.Kind, Name: cfg.Name}, Node: pools.Node, Services: pools.Services, Vars: cfg.Vars}
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
	return newTemplate(path, string(text), filepath.Dir(path))
}

// Parse parses the text of a template; name is for errors. Its function file reads below the working folder.
func Parse(name, text string) (*Template, error) { return newTemplate(name, text, ".") }

func newTemplate(name, text, dir string) (*Template, error) {
	tmpl, err := template.New(name).Option("missingkey=error").Funcs(Funcs(dir)).Funcs(noSteps).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w", err) // says "template: name:line: what" itself
	}
	if err := countSteps(tmpl); err != nil {
		return nil, err
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
	counting, err := t.tmpl.Clone()
	if err != nil {
		return nil, err
	}
	var out bounded
	if err := counting.Funcs(newSteps()).Execute(&out, data); err != nil {
		var endless *stepsError
		if errors.As(err, &endless) {
			return nil, fmt.Errorf("template: %s:%d: %w", t.name, endless.line, endless)
		}
		return nil, fmt.Errorf("%w", err)
	}
	return out.Bytes(), nil
}

var errTooLarge = fmt.Errorf("the result is larger than %d bytes", MaxSize)

// bound refuses text that is too large for any file.
func bound(text string) (string, error) {
	if len(text) > MaxSize {
		return "", errTooLarge
	}
	return text, nil
}

// bounded is a buffer that refuses to grow past MaxSize.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxSize {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}
