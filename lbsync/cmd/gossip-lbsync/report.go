package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/udiff"
)

// show prints a report in the form that was asked for.
func show(in invocation, r reconcile.Report, preview bool) error {
	if in.opt.format == "json" {
		return writeJSON(in.stdout, asJSON(r, preview))
	}
	_, err := write(in.stdout, text(r, preview))
	return err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// text writes a report for people; preview tells that nothing was done yet.
func text(r reconcile.Report, preview bool) string {
	var b strings.Builder
	for _, st := range r.Services {
		service(&b, st)
	}
	for _, o := range r.Targets {
		fmt.Fprintf(&b, "target %s: %s\n", o.ID, state(o, preview))
		if preview && o.Plan.Unseen != "" {
			fmt.Fprintf(&b, "  what it does is not known: %s\n", o.Plan.Unseen)
		}
		runtime(&b, o, preview)
		if preview && o.Plan.Write {
			for i, f := range o.Files {
				b.WriteString(udiff.Unified(f.Dest, string(o.Plan.Old[i]), string(o.Plan.New[i])))
			}
		}
	}
	return b.String()
}

// runtime lists what was, or would be, changed at runtime.
func runtime(b *strings.Builder, o reconcile.Outcome, preview bool) {
	if preview {
		for _, c := range o.Plan.Commands {
			fmt.Fprintf(b, "  > %s\n", c.Text)
		}
		return
	}
	for _, c := range o.Result.Commands {
		if c.Err != nil {
			fmt.Fprintf(b, "  > %s: %v\n", c.Text, c.Err)
		} else {
			fmt.Fprintf(b, "  > %s\n", c.Text)
		}
	}
	for _, text := range o.Result.Remains {
		fmt.Fprintf(b, "  remains: %s\n", text)
	}
}

func service(b *strings.Builder, st decide.Status) {
	if st.Waiting != "" {
		fmt.Fprintf(b, "service %s  undecided: %s\n", st.Service.Name, st.Waiting)
	} else {
		fmt.Fprintf(b, "service %s  %d -> %d servers", st.Service.Name, len(st.Before.Ready()), len(st.Service.Ready()))
		for _, part := range []struct {
			sign string
			n    int
		}{{"+", len(st.Added)}, {"~", len(st.Updated)}, {"-", len(st.Removed)}} {
			if part.n > 0 {
				fmt.Fprintf(b, " %s%d", part.sign, part.n)
			}
		}
		if len(st.Held) > 0 {
			fmt.Fprintf(b, " (%d held)", len(st.Held))
		}
		b.WriteByte('\n')
	}
	line := func(sign, name, what string) { fmt.Fprintf(b, "  %s %-20s %s\n", sign, name, what) }
	for _, name := range st.Added {
		srv, _ := st.Service.Server(name)
		line("+", name, describe(srv))
	}
	for _, name := range st.Updated {
		srv, _ := st.Service.Server(name)
		was, _ := st.Before.Server(name)
		line("~", name, describe(was)+" -> "+describe(srv))
	}
	for _, r := range st.Removed {
		line("-", r.Name, r.Why)
	}
	for _, h := range st.Held {
		line("!", h.Name, "held: "+h.Reason)
	}
	for _, r := range st.Refused {
		line("?", fmt.Sprintf("%q", r.Member), "cannot be used: "+r.Reason)
	}
}

func describe(s pool.Server) string {
	out := fmt.Sprintf("%s w=%d id=%d", s.HostPort(), s.Weight, s.ID)
	if s.Backup {
		out += " backup"
	}
	return out
}

// state says in a few words what was, or would be, done to a target.
func state(o reconcile.Outcome, preview bool) string {
	var words []string
	add := func(said bool, text string) {
		if said {
			words = append(words, text)
		}
	}
	switch {
	case o.Err != nil:
		return "failed"
	case o.Skipped != "":
		return "left alone: " + o.Skipped
	case preview:
		add(o.Plan.Write, "write "+paths(o.Files))
		add(len(o.Plan.Commands) > 0, fmt.Sprintf("runtime %d commands", len(o.Plan.Commands)))
		add(o.Plan.Reload != "", "reload, for "+o.Plan.Reload)
	default:
		add(o.Result.Wrote, "wrote "+paths(o.Files))
		add(len(o.Result.Commands) > 0, fmt.Sprintf("runtime %d commands", len(o.Result.Commands)))
		add(o.Result.Reloaded, "reloaded, for "+o.Result.Reason)
	}
	if len(words) == 0 {
		return "in step"
	}
	return strings.Join(words, ", ")
}

func paths(files []config.File) string {
	var out []string
	for _, f := range files {
		out = append(out, f.Dest)
	}
	return strings.Join(out, " ")
}

// The JSON form of diff, and of once: what would be done, or was.
type (
	jsonReport struct {
		Services []jsonService `json:"services"`
		Targets  []jsonTarget  `json:"targets"`
	}
	jsonService struct {
		Name    string        `json:"name"`
		Waiting string        `json:"waiting,omitempty"`
		Servers []pool.Server `json:"servers"`
		Added   []string      `json:"added"`
		Updated []string      `json:"updated"`
		Removed []jsonReason  `json:"removed"`
		Held    []jsonReason  `json:"held"`
		Refused []jsonReason  `json:"refused"`
	}
	jsonReason struct {
		Member string `json:"member"`
		Reason string `json:"reason"`
	}
	jsonTarget struct {
		Target   string   `json:"target"`
		Files    []string `json:"files"`
		Write    bool     `json:"write"`
		Commands []string `json:"commands"`
		Reload   string   `json:"reload,omitempty"` // why; empty for none
		Skipped  string   `json:"skipped,omitempty"`
		Unseen   string   `json:"unseen,omitempty"`
		Error    string   `json:"error,omitempty"`
	}
)

func asJSON(r reconcile.Report, preview bool) jsonReport {
	out := jsonReport{Services: []jsonService{}, Targets: []jsonTarget{}}
	for _, st := range r.Services {
		s := jsonService{Name: st.Service.Name, Waiting: st.Waiting, Servers: append([]pool.Server{}, st.Service.Servers...),
			Added: append([]string{}, st.Added...), Updated: append([]string{}, st.Updated...),
			Removed: []jsonReason{}, Held: []jsonReason{}, Refused: []jsonReason{}}
		for _, x := range st.Removed {
			s.Removed = append(s.Removed, jsonReason{x.Name, x.Why})
		}
		for _, x := range st.Held {
			s.Held = append(s.Held, jsonReason{x.Name, x.Reason})
		}
		for _, x := range st.Refused {
			s.Refused = append(s.Refused, jsonReason{x.Member, x.Reason})
		}
		out.Services = append(out.Services, s)
	}
	for _, o := range r.Targets {
		t := jsonTarget{Target: o.ID, Write: o.Plan.Write, Reload: o.Plan.Reload, Skipped: o.Skipped, Unseen: o.Plan.Unseen, Commands: []string{}}
		for _, f := range o.Files {
			t.Files = append(t.Files, f.Dest)
		}
		if preview {
			for _, c := range o.Plan.Commands {
				t.Commands = append(t.Commands, c.Text)
			}
		} else {
			t.Write, t.Reload = o.Result.Wrote, o.Result.Reason
			for _, c := range o.Result.Commands {
				t.Commands = append(t.Commands, c.Text)
			}
		}
		if o.Err != nil {
			t.Error = o.Err.Error()
		}
		out.Targets = append(out.Targets, t)
	}
	return out
}

// samples makes up two servers for each service, of both address families, from the ranges that are set
// aside for documentation.
func samples(cfg *config.Config) adapter.Pools {
	all := adapter.Services{}
	for _, s := range cfg.Services {
		servers := []pool.Server{
			{Name: "sample-1", Addr: netip.MustParseAddr("192.0.2.1"), Port: 8080, Weight: 100, State: pool.Active},
			{Name: "sample-2", Addr: netip.MustParseAddr("2001:db8::2"), Port: 8080, Weight: 100, State: pool.Active},
		}
		pool.AssignIDs(servers)
		all[s.Name] = pool.Service{Name: s.Name, Servers: servers}
	}
	return adapter.Pools{Services: all, Node: pool.Node{Name: "sample-lb", Addr: netip.MustParseAddr("192.0.2.9")}}
}
