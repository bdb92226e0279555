package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/plan"
)

const (
	again = 500 * time.Millisecond // until servers that could not be deleted yet are looked at again
	// calm is how long a server that could not be deleted is left alone. Idle connections go within 5 s.
	calm = 400 * time.Millisecond
	// tries is how often a step may fail in a way that is not understood before a reload is to do it.
	tries = 2
	// mixedTries is how often a worker that was replaced may answer, with poll between.
	mixedTries = 50
	// perLine is how many backends are asked for on one line.
	perLine = 40
)

// reading is what Read found, for Plan.
type reading struct {
	servers   plan.Actual
	known     plan.Known
	inherited []string
}

// learned is what replies have taught about the running process.
type learned struct {
	instance string
	version  cli.Version
	refused  map[string]bool // as long as the version stays
	closed   map[string]bool
	pinned   map[cli.Ref]bool
	busy     map[cli.Ref]time.Time
	failed   map[plan.Attempt]int
	weights  map[cli.Ref]int
	parked   map[cli.Ref]bool
}

// meet forgets what was learned of another process.
func (l *learned) meet(info cli.Info) {
	if info.Instance == l.instance {
		return
	}
	refused := l.refused
	if refused == nil || l.version != info.Version {
		refused = map[string]bool{}
	}
	*l = learned{
		instance: info.Instance, version: info.Version, refused: refused, closed: map[string]bool{}, pinned: map[cli.Ref]bool{},
		busy: map[cli.Ref]time.Time{}, failed: map[plan.Attempt]int{}, weights: map[cli.Ref]int{}, parked: map[cli.Ref]bool{},
	}
}

// known returns a copy that further learning does not change.
func (l *learned) known(now time.Time, keep config.Runtime) plan.Known {
	k := plan.Known{
		Version: l.version, Refused: maps.Clone(l.refused), Closed: maps.Clone(l.closed), Pinned: maps.Clone(l.pinned),
		Busy: map[cli.Ref]bool{}, Failed: map[plan.Attempt]bool{}, Parked: maps.Clone(l.parked),
		KeepWeights: keep.KeepWeight, KeepStates: keep.KeepState,
	}
	for ref, since := range l.busy {
		if now.Sub(since) < calm {
			k.Busy[ref] = true
		}
	}
	for attempt, n := range l.failed {
		if n >= tries {
			k.Failed[attempt] = true
		}
	}
	if keep.KeepWeight {
		k.Weights = maps.Clone(l.weights)
	}
	return k
}

// Read asks the worker for its servers over the Runtime API; without one, the master which worker there is.
func (a *Adapter) Read(ctx context.Context) (adapter.Actual, error) {
	out, err := a.read(ctx)
	if err == nil && a.cfg.Reload.Master != "" {
		if p, err := processes(ctx, a.cfg.Reload.Master); err == nil { // a master that is busy is no reason to know nothing
			out.OldWorkers = len(p.Old)
		}
	}
	return out, err
}

func (a *Adapter) read(ctx context.Context) (adapter.Actual, error) {
	if a.socket == nil && a.cfg.Reload.Master == "" {
		return a.Adapter.Read(ctx)
	}
	if a.socket == nil {
		reply, err := cli.NewMaster(a.cfg.Reload.Master, askLimit).Do(ctx, cli.ShowWorkerInfo())
		if err != nil {
			return adapter.Actual{}, running(err)
		}
		info, err := cli.ParseInfo(reply)
		if errors.Is(err, cli.ErrFormat) { // a master whose worker does not speak
			info, err = cli.Info{}, nil
		}
		return adapter.Actual{Instance: info.Instance, Started: info.Started, Version: info.Version.Text}, err
	}
	info, servers, err := a.servers(ctx)
	if err != nil {
		return adapter.Actual{}, err
	}
	a.learned.meet(info)
	known := a.learned.known(time.Now(), a.cfg.HAProxy.Runtime)
	return adapter.Actual{
		Instance: info.Instance, Started: info.Started, Version: info.Version.Text,
		Servers: a.describe(servers), Detail: reading{servers, known, a.main.defaults()},
	}, nil
}

// errMixed means that some answers came from one worker and others from the next.
var errMixed = errors.New("it was reloaded meanwhile")

// servers asks for all servers of managed backends, and for the process that has them. For a moment after a
// reload the worker that was replaced may still accept connections: then it asks again.
func (a *Adapter) servers(ctx context.Context) (cli.Info, plan.Actual, error) {
	for try := 1; ; try++ {
		info, servers, err := a.snap(ctx)
		old := err == nil && info.Instance == a.replaced
		if (!old && !errors.Is(err, errMixed)) || try == mixedTries {
			return info, servers, err
		}
		if err := pause(ctx); err != nil {
			return info, nil, err
		}
	}
}

// snap asks once.
func (a *Adapter) snap(ctx context.Context) (cli.Info, plan.Actual, error) {
	var names []string
	for _, be := range a.cfg.HAProxy.Backends {
		if runtime(be) {
			names = append(names, be.Name)
		}
	}
	all := plan.Actual{}
	info, replies, err := a.ask(ctx, names, func(name string) []cli.Command {
		return []cli.Command{cli.ShowState(name), cli.ShowConn(name)}
	})
	if err != nil {
		return info, nil, err
	}
	ids := map[string]int{}
	var some []string // that have servers
	for _, name := range names {
		backend, err := parseBackend(replies[name])
		if err != nil {
			return info, nil, fmt.Errorf("haproxy at %s: backend %s: %w", a.cfg.HAProxy.Runtime.Socket, name, err)
		}
		if backend != nil {
			all[name] = backend
		}
		for _, s := range backend {
			ids[name] = s.BackendID
		}
		if len(backend) > 0 {
			some = append(some, name)
		}
	}
	if len(some) == 0 {
		return info, all, nil
	}
	same, replies, err := a.ask(ctx, some, func(name string) []cli.Command { return []cli.Command{cli.ShowStat(ids[name])} })
	if err != nil {
		return info, nil, err
	}
	if same.Instance != info.Instance {
		return info, nil, a.renewedMeanwhile()
	}
	for _, name := range some {
		if err := addStat(all[name], replies[name][0]); err != nil {
			return info, nil, fmt.Errorf("haproxy at %s: backend %s: %w", a.cfg.HAProxy.Runtime.Socket, name, err)
		}
	}
	return info, all, nil
}

func (a *Adapter) renewedMeanwhile() error {
	return fmt.Errorf("haproxy at %s: %w", a.cfg.HAProxy.Runtime.Socket, errMixed)
}

// ask sends the commands for each name, many on a line, and makes sure that one process answers them all.
func (a *Adapter) ask(ctx context.Context, names []string, commands func(string) []cli.Command) (cli.Info, map[string][]string, error) {
	var info cli.Info
	all := make(map[string][]string, len(names))
	for first := true; first || len(names) > 0; first = false {
		some := names[:min(perLine, len(names))]
		names = names[len(some):]
		line := []cli.Command{cli.ShowInfo()}
		for _, name := range some {
			line = append(line, commands(name)...)
		}
		replies, err := a.socket.Query(ctx, line...)
		if err != nil {
			return info, nil, running(err)
		}
		now, err := cli.ParseInfo(replies[0])
		if err != nil {
			return info, nil, fmt.Errorf("haproxy at %s: %w", a.cfg.HAProxy.Runtime.Socket, err)
		}
		if !first && now.Instance != info.Instance {
			return info, nil, a.renewedMeanwhile()
		}
		info = now
		each := (len(replies) - 1) / max(1, len(some))
		for i, name := range some {
			all[name] = replies[1+i*each : 1+(i+1)*each]
		}
	}
	return info, all, nil
}

// parseBackend joins what is told of a backend's states and connections; the result is nil if there is no such
// backend.
func parseBackend(replies []string) (map[string]plan.Server, error) {
	states, err := cli.ParseServersState(replies[0])
	var refused *cli.RefusedError
	if errors.As(err, &refused) && refused.Kind == cli.NoSuchBackend {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	servers := make(map[string]plan.Server, len(states))
	for _, s := range states {
		servers[s.Name] = plan.Server{ServerState: s}
	}
	conns, err := cli.ParseServersConn(replies[1])
	if err != nil {
		return nil, err
	}
	for _, c := range conns {
		if s, ok := servers[c.Ref.Server]; ok {
			s.Used = c.Used
			servers[c.Ref.Server] = s
		}
	}
	return servers, nil
}

// addStat adds what statistics tell besides: who is a backup, and sessions that have no connection yet.
func addStat(servers map[string]plan.Server, reply string) error {
	stats, err := cli.ParseStat(reply)
	if err != nil {
		return err
	}
	for _, st := range stats {
		if s, ok := servers[st.Ref.Server]; ok {
			s.Used, s.Backup = max(s.Used, st.Sessions+st.Queued), st.Backup
			servers[st.Ref.Server] = s
		}
	}
	return nil
}

// describe says what there is in terms of members.
func (a *Adapter) describe(servers plan.Actual) []adapter.ActualServer {
	a.busy = map[cli.Ref]bool{}
	var out []adapter.ActualServer
	for _, be := range a.cfg.HAProxy.Backends {
		var members map[int]string
		if be.Servers == config.ServersSlots {
			members = a.slots.of(be.Name).members()
		}
		for _, s := range servers[be.Name] {
			name := s.Name
			if members != nil {
				name = members[slotNumber(s.Name)]
				if s.Used > 0 {
					a.busy[cli.Ref{Backend: be.Name, Server: s.Name}] = true
				}
				if name == "" || (s.InMaint() && s.Used == 0) {
					continue // a slot that nobody has
				}
			}
			out = append(out, adapter.ActualServer{
				Pool: be.Name, Service: be.Service, Name: name, Addr: s.Addr.Addr(), Port: s.Addr.Port(), Weight: s.Weight,
				Health: health(s), Draining: s.Weight == 0 || s.ServerState.Draining(), Out: s.InMaint(), Sessions: s.Used,
			})
		}
	}
	slices.SortFunc(out, func(a, b adapter.ActualServer) int {
		return strings.Compare(a.Pool+"\x00"+a.Name, b.Pool+"\x00"+b.Name)
	})
	return out
}

// Apply sends the commands, each server's on one line. A refusal that says what is possible and what is not is
// remembered for the next plan and no error.
func (a *Adapter) Apply(ctx context.Context, commands []adapter.Command, done func(adapter.Command, error)) error {
	for _, c := range commands {
		step, ok := c.Detail.(plan.Step)
		if !ok {
			return fmt.Errorf("command %q is not of a plan for haproxy", c.Text)
		}
		err := a.do(ctx, step)
		done(c, err)
		if err != nil && !a.learn(step, err) {
			return err
		}
	}
	return nil
}

// do sends a step's line.
func (a *Adapter) do(ctx context.Context, step plan.Step) error {
	if err := a.socket.Change(ctx, step.Commands...); err != nil {
		return running(err)
	}
	l := &a.learned
	delete(l.failed, step.Attempt)
	switch step.Kind {
	case plan.Weight, plan.Add:
		l.weights[step.Ref] = step.Weight
	case plan.Park:
		l.parked[step.Ref] = true
	case plan.Return:
		delete(l.parked, step.Ref)
	case plan.Kill:
		l.busy[step.Ref] = time.Now()
	case plan.Delete:
		l.forget(step.Ref)
	}
	return nil
}

func (l *learned) forget(ref cli.Ref) {
	delete(l.parked, ref)
	delete(l.weights, ref)
	delete(l.busy, ref)
}

// learn remembers why a step failed, and tells whether that is understood, so that the next plan will not
// contain it again.
func (a *Adapter) learn(step plan.Step, err error) bool {
	l := &a.learned
	var refused *cli.RefusedError
	if !errors.As(err, &refused) {
		return false // nobody knows whether it was done
	}
	switch refused.Kind {
	case cli.Busy:
		l.busy[step.Ref] = time.Now()
	case cli.Referenced:
		l.pinned[step.Ref] = true
	case cli.StaticBackend:
		l.closed[step.Backend] = true
	case cli.StaticWeight:
		l.failed[step.Attempt] = tries
	case cli.KeywordRefused:
		l.refused[refused.Keyword()] = true
	case cli.NoSuchServer, cli.NoSuchBackend, cli.Exists:
		// Somebody else was quicker: what there is will be seen.
	default:
		l.failed[step.Attempt]++
		return false
	}
	return true
}
