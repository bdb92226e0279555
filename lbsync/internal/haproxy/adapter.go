package haproxy

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/conf"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/plan"
)

// probe is how often it may be asked whether HAProxy still is the same process: the answer costs it 0.1 ms.
const probe = 2 * time.Second

// Adapter implements adapter.Adapter.
type Adapter struct {
	*generic.Adapter
	cfg    config.Target
	socket *cli.Client // of the Runtime API; nil if there is none
	memory adapter.Memory

	slots    slots
	busy     map[cli.Ref]bool // servers that had sessions when HAProxy was last read
	rendered parsed           // what Render returned last
	passed   string           // the structure of what Check accepted last
	main     mainFile
	learned  learned
	replaced string // the instance that our last reload replaced
}

// parsed is a file of ours, read back.
type parsed struct {
	text      []byte
	sections  []conf.Section
	structure string
}

// New returns the adapter of an haproxy target. The only things it reads are the template, if there is one, and
// the memory.
func New(cfg config.Target, memory adapter.Memory) (*Adapter, error) {
	base, err := generic.New(cfg)
	if err != nil {
		return nil, err
	}
	a := &Adapter{Adapter: base, cfg: cfg, memory: memory, main: mainFile{path: cfg.HAProxy.Main}}
	if r := cfg.HAProxy.Runtime; r.Socket != "" {
		a.socket = cli.New(r.Socket, r.Timeout)
	}
	if _, err := memory.Load(&a.slots); err != nil {
		return nil, fmt.Errorf("target %s: %w", cfg.ID(), err)
	}
	return a, nil
}

// Traits tells that servers can be changed without a reload if the Runtime API is configured.
func (a *Adapter) Traits() adapter.Traits {
	t := a.Adapter.Traits()
	t.Runtime = a.socket != nil && slices.ContainsFunc(a.cfg.HAProxy.Backends, runtime)
	t.WithoutFile = t.Runtime && a.cfg.HAProxy.Runtime.WithoutFile
	if a.socket != nil {
		t.Probe = probe
	}
	return t
}

// runtime tells whether the backend's servers are changed without reloads.
func runtime(b config.Backend) bool { return b.Servers != config.ServersFileOnly }

// Render writes the backends, or fills the template. Its structure is all but the servers that can be changed at
// run time.
func (a *Adapter) Render(pools adapter.Pools) (adapter.Rendered, error) {
	pools = a.assign(pools)
	var text []byte
	var err error
	if a.Templated(0) {
		text, err = a.Fill(0, pools)
	} else {
		text = write(a.cfg.HAProxy.Backends, pools, &a.slots)
	}
	if err != nil {
		return adapter.Rendered{}, err
	}
	if !bytes.Equal(text, a.rendered.text) {
		a.rendered = a.parse(text)
	}
	return adapter.Rendered{Files: [][]byte{text}, Structure: a.rendered.structure}, nil
}

// assign gives members slots where backends have them, and returns pools that say which, for templates.
func (a *Adapter) assign(pools adapter.Pools) adapter.Pools {
	out := pools
	for _, be := range a.cfg.HAProxy.Backends {
		if be.Servers != config.ServersSlots {
			continue
		}
		set := pools.Services[be.Service]
		var names []string
		for _, s := range set.Servers {
			names = append(names, s.Name)
		}
		m := a.slots.of(be.Name)
		m.assign(names, be.Slots, func(slot int) bool { return a.busy[cli.Ref{Backend: be.Name, Server: slotName(slot)}] })
		if a.Templated(0) {
			set.Servers = slices.Clone(set.Servers)
			for i := range set.Servers {
				set.Servers[i].Slot = m.Held[set.Servers[i].Name]
			}
			out.Services = maps.Clone(out.Services)
			out.Services[be.Service] = set
		}
	}
	return out
}

func (a *Adapter) parse(text []byte) parsed {
	managed := map[string]conf.Managed{}
	for _, be := range a.cfg.HAProxy.Backends {
		keep := map[string]conf.Keep{config.ServersNamed: conf.KeepOptions, config.ServersSlots: conf.KeepNames}[be.Servers]
		managed[be.Name] = conf.Managed{Keep: keep, Options: strings.Fields(be.Options)}
	}
	sections := conf.Parse(string(text))
	return parsed{text, sections, conf.Structure(sections, managed)}
}

// wanted returns the managed backends of the file that Render returned last.
func (a *Adapter) wanted(pools adapter.Pools, inherited []string) []plan.Backend {
	var all []plan.Backend
	for _, be := range a.cfg.HAProxy.Backends {
		if !runtime(be) {
			continue
		}
		for _, s := range a.rendered.sections {
			if (s.Kind != "backend" && s.Kind != "listen") || s.Name != be.Name {
				continue
			}
			all = append(all, plan.Backend{
				Name: be.Name, Fixed: be.Servers == config.ServersSlots, Static: !plan.Dynamic(directive(s, "balance"), directive(s, "hash-type")),
				Probation: be.Probation, Force: pools.Services[be.Service].Force, Servers: conf.Servers(s, inherited),
			})
		}
	}
	return all
}

// directive returns the words after the last directive of that name in the section.
func directive(s conf.Section, name string) []string {
	var words []string
	for _, l := range s.Lines {
		if l.Is(name) {
			words = l.Words[1:]
		}
	}
	return words
}

// Check has haproxy -c read the candidate together with the main configuration, unless a check is configured. That
// takes 50 ms. So a candidate of the built-in form that has the structure of one that passed is not checked again:
// what differs is servers, of which each part was screened.
func (a *Adapter) Check(ctx context.Context, paths []string, cause adapter.Cause) error {
	if a.cfg.Files[0].Check != nil {
		return a.Adapter.Check(ctx, paths, cause)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		return err
	}
	same := bytes.Equal(text, a.rendered.text)
	if same && !a.Templated(0) && a.rendered.structure == a.passed {
		return nil
	}
	if err := a.Run(ctx, 0, DefaultCheck(a.cfg.HAProxy.Main), paths[0], cause); err != nil {
		return err
	}
	if same {
		a.passed = a.rendered.structure
	}
	return nil
}

// CheckInstalled runs the check that is configured, and keeps who has which slot.
func (a *Adapter) CheckInstalled(ctx context.Context, cause adapter.Cause) error {
	if len(a.slots.Backends) > 0 {
		if err := a.memory.Save(a.slots); err != nil {
			return err
		}
	}
	return a.Adapter.CheckInstalled(ctx, cause)
}

// Plan compares the file that the pools make with what HAProxy has.
func (a *Adapter) Plan(pools adapter.Pools, actual adapter.Actual) adapter.Plan {
	seen, ok := actual.Detail.(reading)
	if !ok {
		return adapter.Plan{}
	}
	if _, err := a.Render(pools); err != nil {
		return adapter.Plan{Reload: err.Error()} // the core has met it before
	}
	p := plan.Make(a.wanted(pools, seen.inherited), seen.servers, seen.known)
	out := adapter.Plan{Reload: strings.Join(p.Reload, "; "), Remains: append(p.Remains, p.Kept...)}
	if p.Soon {
		out.Again = again
	}
	for _, s := range p.Steps {
		var texts []string
		for _, c := range s.Commands {
			texts = append(texts, c.String())
		}
		out.Commands = append(out.Commands, adapter.Command{
			Verb: string(s.Kind), Pool: s.Backend, Server: s.Server, Text: strings.Join(texts, "; "), Detail: s,
		})
	}
	return out
}

// mainFile is the main configuration, read when it changes.
type mainFile struct {
	path      string
	modified  time.Time
	inherited []string // words of default-server that backends of our file get
}

// defaults returns the words of default-server that the main configuration gives to backends of our file. A
// server in a file gets them from HAProxy; one that is added at run time does not.
func (m *mainFile) defaults() []string {
	info, err := os.Stat(m.path)
	if m.path == "" || err != nil {
		return nil // the check will say so, if there is one
	}
	if !info.ModTime().Equal(m.modified) {
		text, err := os.ReadFile(m.path)
		if err != nil {
			return nil
		}
		m.inherited, m.modified = conf.DefaultServer(conf.Parse(string(text))), info.ModTime()
	}
	return m.inherited
}

// health is HAProxy's verdict on a server.
func health(s plan.Server) adapter.Health {
	switch {
	case s.InMaint(), !s.Watched():
		return adapter.HealthUnknown
	case !s.Up():
		return adapter.Down
	case s.Judged():
		return adapter.Up
	default:
		return adapter.HealthUnknown
	}
}

// Lint reads the main configuration and says what it lacks to go well with ours.
func (a *Adapter) Lint() []string {
	text, err := os.ReadFile(a.cfg.HAProxy.Main)
	if a.cfg.HAProxy.Main == "" || err != nil {
		return nil // the check says so
	}
	return lint(conf.Parse(string(text)), a.cfg)
}

var _ adapter.Adapter = (*Adapter)(nil)
