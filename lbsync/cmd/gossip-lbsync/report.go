package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/udiff"
)

// text writes a report for people; preview tells that nothing was done yet.
func text(r reconcile.Report, preview bool) string {
	var b strings.Builder
	for _, st := range r.Services {
		service(&b, st)
	}
	for _, o := range r.Targets {
		fmt.Fprintf(&b, "target %s: %s\n", o.ID, state(o, preview))
		if preview && o.Plan.Write {
			b.WriteString(udiff.Unified(o.File, string(o.Plan.Old), string(o.Plan.New)))
		}
	}
	return b.String()
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

func describe(s desired.Server) string {
	out := fmt.Sprintf("%s w=%d", s.HostPort(), s.Weight)
	if s.Backup {
		out += " backup"
	}
	return out
}

// state says in a few words what was, or would be, done to a target.
func state(o reconcile.Outcome, preview bool) string {
	switch {
	case o.Err != nil:
		return "failed"
	case o.Skipped:
		return "left alone: a service of it is undecided"
	case preview && o.Plan.Write && o.Plan.Reload:
		return "write " + o.File + ", reload"
	case preview && o.Plan.Write:
		return "write " + o.File
	case preview && o.Plan.Reload:
		return "reload, for what is loaded is not known to be what is in the file"
	case o.Result.Wrote && o.Result.Reloaded:
		return "wrote " + o.File + ", reloaded"
	case o.Result.Wrote:
		return "wrote " + o.File
	case o.Result.Reloaded:
		return "reloaded"
	default:
		return "in step"
	}
}

// The JSON form of diff.
type (
	jsonReport struct {
		Services []jsonService `json:"services"`
		Targets  []jsonTarget  `json:"targets"`
	}
	jsonService struct {
		Name    string           `json:"name"`
		Waiting string           `json:"waiting,omitempty"`
		Servers []desired.Server `json:"servers"`
		Added   []string         `json:"added"`
		Updated []string         `json:"updated"`
		Removed []jsonReason     `json:"removed"`
		Held    []jsonReason     `json:"held"`
		Refused []jsonReason     `json:"refused"`
	}
	jsonReason struct {
		Member string `json:"member"`
		Reason string `json:"reason"`
	}
	jsonTarget struct {
		Target string `json:"target"`
		File   string `json:"file"`
		Write  bool   `json:"write"`
		Reload bool   `json:"reload"`
		Error  string `json:"error,omitempty"`
	}
)

func asJSON(r reconcile.Report) (string, error) {
	out := jsonReport{Services: []jsonService{}, Targets: []jsonTarget{}}
	for _, st := range r.Services {
		s := jsonService{Name: st.Service.Name, Waiting: st.Waiting, Servers: append([]desired.Server{}, st.Service.Servers...),
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
		t := jsonTarget{Target: o.ID, File: o.File, Write: o.Plan.Write, Reload: o.Plan.Reload}
		if o.Err != nil {
			t.Error = o.Err.Error()
		}
		out.Targets = append(out.Targets, t)
	}
	data, err := json.MarshalIndent(out, "", "  ")
	return string(data) + "\n", err
}

// samples makes up two servers for each service, of both address families, from the ranges that are set
// aside for documentation.
func samples(cfg *config.Config) map[string]desired.Service {
	all := map[string]desired.Service{}
	for _, s := range cfg.Services {
		all[s.Name] = desired.Service{Name: s.Name, Servers: []desired.Server{
			{Name: "sample-1", Addr: netip.MustParseAddr("192.0.2.1"), Port: 8080, Weight: 100},
			{Name: "sample-2", Addr: netip.MustParseAddr("2001:db8::2"), Port: 8080, Weight: 100},
		}}
	}
	return all
}
