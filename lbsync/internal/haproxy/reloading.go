package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/conf"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/plan"
)

// Reload makes HAProxy load the file: by its master, or as generic.Adapter if there is no master socket, and then
// it is proved by another worker at the Runtime API. A new worker takes every server for healthy. So the servers
// that were not are told to be, before clients find out: from a server-state-file, if there is one, and else over
// the Runtime API as soon as the worker is there.
func (a *Adapter) Reload(ctx context.Context, cause adapter.Cause) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Reload.Timeout)
	defer cancel()
	before := a.snapshot(ctx)
	if err := a.saveState(ctx); err != nil {
		return err
	}
	var err error
	if a.cfg.Reload.Master != "" {
		err = Reload(ctx, a.cfg.Reload.Master)
	} else {
		err = a.Adapter.Reload(ctx, cause)
	}
	if err == nil && before.instance != "" {
		err = a.renewed(ctx, before)
	}
	return errors.Join(err, a.clearState())
}

// snapshot is what a worker was like before a reload. The zero value is for one that could not be asked.
type snapshot struct {
	instance string
	servers  plan.Actual
}

func (a *Adapter) snapshot(ctx context.Context) snapshot {
	if a.socket == nil {
		return snapshot{}
	}
	info, servers, err := a.servers(ctx)
	if err != nil {
		return snapshot{}
	}
	return snapshot{info.Instance, servers}
}

// renewed waits until another worker answers at the Runtime API, and takes over what the old one knew of health.
func (a *Adapter) renewed(ctx context.Context, before snapshot) error {
	for {
		info, servers, err := a.snap(ctx)
		if err == nil && info.Instance != before.instance {
			a.replaced = before.instance
			a.sink(ctx, before.servers, servers)
			return nil
		}
		if pause(ctx) != nil {
			return fmt.Errorf("haproxy has no new worker at %s: %w", a.cfg.HAProxy.Runtime.Socket, errors.Join(ctx.Err(), err))
		}
	}
}

// sink puts on probation the servers of the new worker that the old one did not know as healthy. It does its
// best: what fails is found out by the checks. A backend in which no server was healthy is left alone, for
// there is nothing better to choose.
func (a *Adapter) sink(ctx context.Context, before, after plan.Actual) {
	var commands []cli.Command
	for _, be := range a.cfg.HAProxy.Backends {
		if !runtime(be) || !be.Probation {
			continue
		}
		up := map[string]netip.AddrPort{}
		for _, s := range before[be.Name] {
			if s.Up() && !s.InMaint() {
				up[s.Name] = s.Addr
			}
		}
		for name, s := range after[be.Name] {
			if addr, ok := up[name]; (ok && addr == s.Addr) || len(up) == 0 || !s.Watched() || s.InMaint() || s.Judged() {
				continue
			}
			commands = append(commands, cli.HealthDown(cli.Ref{Backend: be.Name, Server: name}))
		}
	}
	const some = 50 // on a line
	for len(commands) > 0 {
		n := min(some, len(commands))
		_ = a.socket.Change(ctx, commands[:n]...)
		commands = commands[n:]
	}
}

// saveState dumps the state of all servers into the server-state-file, but for those of ours whose address or
// port is not what the file will say.
func (a *Adapter) saveState(ctx context.Context) error {
	if a.cfg.HAProxy.StateFile == "" || a.socket == nil {
		return nil
	}
	dump, err := a.socket.Query(ctx, cli.ShowState(""))
	if err != nil {
		return a.clearState() // without a worker there is no state to keep
	}
	ours := map[string]map[string]netip.AddrPort{}
	for _, be := range a.cfg.HAProxy.Backends {
		ours[be.Name] = map[string]netip.AddrPort{}
	}
	for _, section := range a.rendered.sections {
		if servers := ours[section.Name]; servers != nil {
			for _, s := range conf.Servers(section, nil) {
				servers[s.Name] = s.Addr
			}
		}
	}
	kept := filterState(dump[0], func(s cli.ServerState) bool {
		servers, managed := ours[s.Backend]
		return !managed || servers[s.Name] == s.Addr
	})
	return a.writeState(kept)
}

// clearState leaves nothing in the server-state-file: it would be stale when HAProxy starts the next time.
func (a *Adapter) clearState() error {
	if a.cfg.HAProxy.StateFile == "" {
		return nil
	}
	return a.writeState([]byte(noState))
}

func (a *Adapter) writeState(data []byte) error {
	if err := atomicfile.Write(a.cfg.HAProxy.StateFile, data, atomicfile.Options{}); err != nil {
		return fmt.Errorf("server-state-file: %w", err)
	}
	return nil
}
