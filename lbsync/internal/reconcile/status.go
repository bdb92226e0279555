package reconcile

import (
	"errors"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// Status is how everything stands.
type Status struct {
	Agent     AgentStatus     `json:"agent"`
	Services  []ServiceStatus `json:"services"`
	Targets   []TargetStatus  `json:"targets"`
	Overrides override.List   `json:"overrides"`
}

// AgentStatus is how the view stands.
type AgentStatus struct {
	Address   string         `json:"address"`
	Connected bool           `json:"connected"`
	Since     time.Time      `json:"since,omitzero"`
	Error     string         `json:"error,omitempty"`
	Members   map[string]int `json:"members"` // by status
	Distrust  string         `json:"distrust,omitempty"`
}

// ServiceStatus is how a service stands.
type ServiceStatus struct {
	Name    string           `json:"name"`
	Waiting string           `json:"waiting,omitempty"` // why nothing is decided
	Servers []InstanceStatus `json:"servers"`
	Held    []Reason         `json:"held"`
	HeldSet string           `json:"held_set,omitempty"`
	Due     time.Time        `json:"due,omitzero"` // when what is being gathered will be acted on
	Refused []Reason         `json:"refused"`
}

// Reason says something of a member.
type Reason struct {
	Member string `json:"member"`
	Reason string `json:"reason"`
}

// InstanceStatus is how an instance stands.
type InstanceStatus struct {
	Name    string     `json:"name"`
	State   pool.State `json:"state"`
	Since   time.Time  `json:"since"`
	Address string     `json:"address"`
	Weight  uint16     `json:"weight"`
	Backup  bool       `json:"backup,omitempty"`
}

// TargetStatus is how a target stands.
type TargetStatus struct {
	Target      string      `json:"target"`
	State       TargetState `json:"state"`
	Since       time.Time   `json:"since"`
	Hash        string      `json:"hash,omitempty"`
	Error       string      `json:"error,omitempty"`
	Waits       string      `json:"waits,omitempty"`
	Remains     []string    `json:"remains,omitempty"`
	Instance    string      `json:"instance,omitempty"`
	Version     string      `json:"version,omitempty"`
	OldWorkers  int         `json:"old_workers,omitempty"`
	LastSuccess time.Time   `json:"last_success,omitzero"`
	LastReload  time.Time   `json:"last_reload,omitzero"`
}

func (s *TargetStatus) enter(state TargetState) {
	if s.State != state {
		s.State, s.Since = state, time.Now()
	}
}

// take takes in the outcome of a pass.
func (s *TargetStatus) take(res target.Result, err error) {
	s.Error, s.Waits, s.Remains = "", res.Waits, res.Remains
	if res.Hash != "" {
		s.Hash = res.Hash
	}
	if res.Seen {
		s.Instance, s.Version, s.OldWorkers = res.Actual.Instance, res.Actual.Version, res.Actual.OldWorkers
	}
	if res.Reloaded {
		s.LastReload = time.Now()
	}
	switch {
	case err != nil:
		s.Error = err.Error()
		s.enter(stateOf(err))
	case res.Waits != "":
		s.enter(Due)
	default:
		s.LastSuccess = time.Now()
		s.enter(InStep)
	}
}

func stateOf(err error) TargetState {
	var failure *target.Error
	switch {
	case errors.Is(err, reload.ErrNotRunning):
		return Down
	case !errors.As(err, &failure):
		return Degraded
	}
	switch failure.Stage {
	case target.StageRender:
		return BadTmpl
	case target.StageCheck, target.StageReload:
		return Rejected
	case target.StageWrite, target.StageState:
		return IOErr
	default:
		return Degraded
	}
}

// Status returns how everything stands now. It may be called from any goroutine.
func (l *Loop) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	view := l.view
	distrust, _ := source.Trust(view, l.cfg.Source.Settle, time.Now())
	out := Status{Overrides: l.overrides.Live(time.Now()), Services: []ServiceStatus{}, Targets: []TargetStatus{},
		Agent: AgentStatus{Address: l.cfg.Source.Address, Connected: view.Connected, Since: view.Since, Members: map[string]int{}, Distrust: distrust}}
	if view.Err != nil && !view.Connected {
		out.Agent.Error = view.Err.Error()
	}
	for _, m := range view.Members {
		out.Agent.Members[m.Status]++
	}
	for _, s := range l.cfg.Services {
		out.Services = append(out.Services, l.serviceStatus(s.Name))
	}
	for _, w := range l.workers {
		out.Targets = append(out.Targets, w.snapshot())
	}
	return out
}

func (l *Loop) serviceStatus(name string) ServiceStatus {
	out := ServiceStatus{Name: name, Waiting: "no view of the members yet", Servers: []InstanceStatus{}, Held: []Reason{}, Refused: []Reason{}}
	for _, i := range l.decider.Kept(name).Instances {
		if i.State != instance.Out {
			out.Servers = append(out.Servers, InstanceStatus{i.Server.Name, i.State, i.Since, i.Server.HostPort(), i.Server.Weight, i.Server.Backup})
		}
	}
	i := slices.IndexFunc(l.statuses, func(st decide.Status) bool { return st.Service.Name == name })
	if i < 0 {
		return out
	}
	st := l.statuses[i]
	out.Waiting, out.HeldSet, out.Due = st.Waiting, st.HeldSet, st.Due
	for _, h := range st.Held {
		out.Held = append(out.Held, Reason{h.Name, h.Reason})
	}
	for _, r := range st.Refused {
		out.Refused = append(out.Refused, Reason{r.Member, r.Reason})
	}
	return out
}

// Why explains a member of a service. False means that there is no such service.
func (l *Loop) Why(service, member string) (decide.Why, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := decide.Status{Waiting: "no view of the members yet"}
	for _, one := range l.statuses {
		if one.Service.Name == service {
			st = one
		}
	}
	return l.decider.Why(time.Now(), service, member, l.last, st)
}

// Ready tells why not every target has been in step since the start; empty if every one was.
func (l *Loop) Ready() string {
	for _, w := range l.workers {
		if s := w.snapshot(); s.LastSuccess.IsZero() {
			return s.Target + ": " + string(s.State) + " " + s.Error
		}
	}
	return ""
}

// Alive tells whether the loop turned lately: within three resync periods.
func (l *Loop) Alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.turned) < 3*l.cfg.Source.Resync
}
