package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/control"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

// ask puts something to the process that runs with the state folder; nobody tells that none does.
func ask(in invocation, put func(*control.Client) error) (nobody bool, err error) {
	err = put(control.NewClient(in.cfg.StateDir))
	if !errors.Is(err, control.ErrNobody) {
		return false, err
	}
	if record.Owned(in.cfg.StateDir) {
		return false, fmt.Errorf("state folder %s: %w, which does not answer: either it makes the one pass of once, or its %s was removed; restart it then",
			in.cfg.StateDir, record.ErrLocked, control.SocketName)
	}
	return true, nil
}

// status shows how everything stands: as the one that runs says, or else as it is recorded.
func status(ctx context.Context, in invocation) (int, error) {
	var s reconcile.Status
	nobody, err := ask(in, func(c *control.Client) (err error) { s, err = c.Status(ctx); return err })
	if nobody {
		s, err = recorded(in)
	}
	if err != nil {
		return exitError, err
	}
	if in.opt.format == "json" {
		return exitOK, writeJSON(in.stdout, struct {
			Running bool `json:"running"`
			reconcile.Status
		}{!nobody, s})
	}
	return write(in.stdout, statusText(s, !nobody, time.Now()))
}

// recorded is what the state folder says.
func recorded(in invocation) (reconcile.Status, error) {
	store := record.Peek(in.cfg.StateDir)
	overrides, err := store.Overrides()
	if err != nil {
		return reconcile.Status{}, err
	}
	out := reconcile.Status{Overrides: overrides.Live(time.Now()), Agent: reconcile.AgentStatus{Address: in.cfg.Source.Address, Members: map[string]int{}}}
	for _, cfg := range in.cfg.Services {
		s := reconcile.ServiceStatus{Name: cfg.Name, Servers: []reconcile.InstanceStatus{}, Held: []reconcile.Reason{}, Refused: []reconcile.Reason{}}
		kept, known, err := store.Service(cfg.Name)
		if err != nil {
			return out, err
		}
		if !known {
			s.Waiting = "nothing is recorded of it"
		}
		for _, i := range kept.Instances {
			if i.State != instance.Out {
				s.Servers = append(s.Servers, reconcile.InstanceStatus{Name: i.Server.Name, State: i.State, Since: i.Since,
					Address: i.Server.HostPort(), Weight: i.Server.Weight, Backup: i.Server.Backup})
			}
		}
		out.Services = append(out.Services, s)
	}
	for _, cfg := range in.cfg.Targets {
		rec, err := store.Target(cfg.ID())
		if err != nil {
			return out, err
		}
		t := reconcile.TargetStatus{Target: cfg.ID(), State: reconcile.Waiting, Since: rec.WroteAt, Instance: rec.Instance}
		if len(rec.Written) == 1 && rec.Loaded == rec.Written[0] {
			t.State, t.Hash = reconcile.InStep, rec.Loaded
		}
		out.Targets = append(out.Targets, t)
	}
	return out, nil
}

// statusText writes a status for people.
func statusText(s reconcile.Status, running bool, now time.Time) string {
	var b strings.Builder
	if !running {
		b.WriteString("no gossip-lbsync runs with this state folder; this is what is recorded\n")
	} else {
		fmt.Fprintf(&b, "agent %s  %s", s.Agent.Address, map[bool]string{true: "connected", false: "not connected"}[s.Agent.Connected])
		for _, status := range slices.Sorted(maps.Keys(s.Agent.Members)) {
			fmt.Fprintf(&b, ", %d %s", s.Agent.Members[status], status)
		}
		b.WriteByte('\n')
		if s.Agent.Error != "" {
			fmt.Fprintf(&b, "  %s\n", s.Agent.Error)
		}
		if s.Agent.Distrust != "" {
			fmt.Fprintf(&b, "  nothing is removed for having failed: %s\n", s.Agent.Distrust)
		}
	}
	for _, svc := range s.Services {
		fmt.Fprintf(&b, "service %s  %d servers\n", svc.Name, len(svc.Servers))
		if svc.Waiting != "" {
			fmt.Fprintf(&b, "  undecided: %s\n", svc.Waiting)
		}
		for _, i := range svc.Servers {
			fmt.Fprintf(&b, "  %-20s %-10s %-8s %s w=%d\n", i.Name, i.State, ago(now, i.Since), i.Address, i.Weight)
		}
		for _, h := range svc.Held {
			fmt.Fprintf(&b, "  ! %-18s held: %s\n", h.Member, h.Reason)
		}
		if svc.HeldSet != "" {
			fmt.Fprintf(&b, "    let these go: gossip-lbsync ack %s -set %s -config ...\n", svc.Name, svc.HeldSet)
		}
		for _, r := range svc.Refused {
			fmt.Fprintf(&b, "  ? %-18q cannot be used: %s\n", r.Member, r.Reason)
		}
	}
	for _, t := range s.Targets {
		fmt.Fprintf(&b, "target %s  %s", t.Target, t.State)
		if !t.Since.IsZero() {
			fmt.Fprintf(&b, " for %s", ago(now, t.Since))
		}
		for _, part := range []struct{ what, text string }{{"version", t.Version}, {"process", t.Instance}} {
			if part.text != "" {
				fmt.Fprintf(&b, ", %s %s", part.what, part.text)
			}
		}
		if t.Hash != "" {
			fmt.Fprintf(&b, ", hash %.12s", t.Hash)
		}
		if t.OldWorkers > 0 {
			fmt.Fprintf(&b, ", %d old workers", t.OldWorkers)
		}
		b.WriteByte('\n')
		for _, text := range append([]string{t.Error, t.Waits}, t.Remains...) {
			if text != "" {
				fmt.Fprintf(&b, "  %s\n", text)
			}
		}
	}
	for _, o := range s.Overrides {
		fmt.Fprintf(&b, "override %s\n", o)
	}
	return b.String()
}

func ago(now, since time.Time) string {
	d := now.Sub(since)
	switch {
	case since.IsZero() || d < 0:
		return "-"
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < 2*time.Hour:
		return d.Truncate(time.Minute).String()[:len(d.Truncate(time.Minute).String())-2]
	default:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
}

// why asks the one that runs; if none does it looks for itself, as diff does.
func why(ctx context.Context, in invocation) (int, error) {
	service, member := in.opt.args[0], in.opt.args[1]
	var w decide.Why
	nobody, err := ask(in, func(c *control.Client) (err error) { w, err = c.Why(ctx, service, member); return err })
	if nobody {
		var known bool
		_, err = pass(ctx, in, record.Peek(in.cfg.StateDir), func(ctx context.Context, l *reconcile.Loop) (reconcile.Report, error) {
			report, err := l.Preview(ctx, progress(in.stderr))
			w, known = l.Why(service, member)
			return report, err
		})
		if err == nil && !known {
			err = fmt.Errorf("there is no service %q", service)
		}
	}
	if err != nil {
		return exitError, err
	}
	if in.opt.format == "json" {
		return exitOK, writeJSON(in.stdout, w)
	}
	return write(in.stdout, whyText(w, time.Now()))
}

func whyText(w decide.Why, now time.Time) string {
	var b strings.Builder
	where := "gets no traffic of"
	switch {
	case w.State == pool.Probation:
		where = "is on probation in"
	case w.In:
		where = "takes traffic of"
	}
	fmt.Fprintf(&b, "%s %s service %s: %s.\n", w.Member, where, w.Service, w.Rule)
	if w.State != "out" {
		fmt.Fprintf(&b, "  state   %s for %s\n", w.State, ago(now, w.Since))
	}
	if w.Ask != "" {
		fmt.Fprintf(&b, "  member  %s for %s\n", w.Ask, ago(now, w.AskSince))
	}
	if w.Address != "" {
		fmt.Fprintf(&b, "  address %s\n", w.Address)
	}
	if w.Flaps >= 0.1 {
		fmt.Fprintf(&b, "  flaps   %.1f points\n", w.Flaps)
	}
	if w.Until.After(now) && w.Until.Sub(now) < override.MaxFor {
		fmt.Fprintf(&b, "  until   %s (in %s)\n", w.Until.UTC().Format(time.RFC3339), w.Until.Sub(now).Round(time.Second))
	}
	return b.String()
}

func ack(ctx context.Context, in invocation) (int, error) {
	service := in.opt.args[0]
	if in.opt.set == "" {
		var s reconcile.Status
		nobody, err := ask(in, func(c *control.Client) (err error) { s, err = c.Status(ctx); return err })
		if nobody {
			err = control.ErrNobody
		}
		if err != nil {
			return exitError, fmt.Errorf("ack needs -set, and what is held cannot be seen: %w", err)
		}
		for _, svc := range s.Services {
			if svc.Name == service && svc.HeldSet != "" {
				var names []string
				for _, h := range svc.Held {
					names = append(names, h.Member)
				}
				return exitError, usagef("these removals are held: %s; if they may go: ack %s -set %s", strings.Join(names, " "), service, svc.HeldSet)
			}
		}
		return exitError, fmt.Errorf("nothing of service %q is held that an ack could let go", service)
	}
	return order(ctx, in, override.Override{Kind: override.Ack, Service: service, Set: in.opt.set})
}

func hold(ctx context.Context, in invocation) (int, error) {
	o := override.Override{Kind: override.Hold}
	if name := in.opt.args[0]; strings.Contains(name, "/") {
		o.Target = name
	} else {
		o.Service = name
	}
	return order(ctx, in, o)
}

func drain(ctx context.Context, in invocation) (int, error) {
	return order(ctx, in, override.Override{Kind: override.Drain, Service: in.opt.args[0], Member: in.opt.args[1], Ahead: in.opt.ahead})
}

// order gives an order to the one that runs, or leaves it for the next one.
func order(ctx context.Context, in invocation, o override.Override) (int, error) {
	o.Until = time.Now().Add(in.opt.length).Truncate(time.Second)
	nobody, err := ask(in, func(c *control.Client) error { return c.Override(ctx, o) })
	if nobody {
		err = offline(in, func(l *reconcile.Loop) error { return l.Override(o) })
	}
	if err != nil {
		return exitError, err
	}
	return write(in.stdout, o.String()+"\n")
}

func resume(ctx context.Context, in invocation) (int, error) {
	service, member, target := in.opt.args[0], "", ""
	if strings.Contains(service, "/") {
		service, target = "", service
	}
	if len(in.opt.args) > 1 {
		member = in.opt.args[1]
	}
	var n int
	nobody, err := ask(in, func(c *control.Client) (err error) { n, err = c.Resume(ctx, service, member, target); return err })
	if nobody {
		err = offline(in, func(l *reconcile.Loop) (err error) { n, err = l.Resume(service, member, target); return err })
	}
	if err != nil {
		return exitError, err
	}
	if n == 0 {
		return write(in.stdout, "0 overrides ended; none was in force for "+strings.Join(in.opt.args, " ")+"\n")
	}
	return write(in.stdout, fmt.Sprintf("%d overrides ended\n", n))
}

// offline gives an order to a loop that is not run: it keeps it for the next one.
func offline(in invocation, do func(*reconcile.Loop) error) error {
	store, err := openStore(in.cfg)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // it only gives back the locks
	loop, err := build(reconcile.Options{Config: in.cfg, Store: store}, store)
	if err != nil {
		return err
	}
	return do(loop)
}
