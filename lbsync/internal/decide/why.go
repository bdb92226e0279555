package decide

import (
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// Why is the rule that keeps a member in a service or out of it.
type Why struct {
	Service  string       `json:"service"`
	Member   string       `json:"member"`
	In       bool         `json:"in"`    // it takes traffic
	State    pool.State   `json:"state"` // "out" if it has none
	Since    time.Time    `json:"since,omitzero"`
	Ask      instance.Ask `json:"member_state,omitempty"`
	AskSince time.Time    `json:"member_since,omitzero"`
	Address  string       `json:"address,omitempty"`
	Rule     string       `json:"rule"`           // a sentence without its full stop
	Until    time.Time    `json:"until,omitzero"` // when time alone ends it
	Flaps    float64      `json:"flap_points,omitempty"`
}

// Why explains a member of a service by the last view and what came of it. False means that there is no such service.
func (d *Decider) Why(at time.Time, name, member string, view View, st Status) (Why, bool) {
	for _, s := range d.services {
		if s.cfg.Name == name {
			return s.why(at, member, view, st), true
		}
	}
	return Why{}, false
}

func (s *service) why(at time.Time, member string, view View, st Status) Why {
	w := Why{Service: s.cfg.Name, Member: member, State: "out"}
	i := s.instances[member]
	if i != nil {
		w.In, w.Since, w.Ask, w.AskSince, w.Flaps = i.Traffic(), i.Since, i.Ask, i.AskSince, i.Flaps(at, s.rules)
		if i.State != instance.Out {
			w.State, w.Address = i.State, i.Server.HostPort()
		}
	}
	if st.Waiting != "" {
		w.Rule = "nothing is decided yet: " + st.Waiting
		return w
	}
	for _, h := range st.Held {
		if h.Name == member {
			w.Rule = fmt.Sprintf("it %s, but its removal is held: %s", i.Ask, h.Reason)
			return w
		}
	}
	if i != nil && i.State == instance.Out && i.Ask == instance.Drains && view.Overrides[s.cfg.Name].Drain[member] {
		w.Rule = "an operator drains it; gossip-lbsync resume " + s.cfg.Name + " " + member + " ends that"
		return w
	}
	if i == nil || i.State == instance.Out {
		w.Rule = desired.Explain(s.cfg.Spec, view.Members, member)
		return w
	}
	w.Rule, w.Until = s.rule(i, view)
	if st.Pending && i.State == pool.Pending {
		w.Until = st.Due
	}
	return w
}

// rule says why an instance is in its state, and until when.
func (s *service) rule(i *tracked, view View) (string, time.Time) {
	switch i.State {
	case pool.Pending:
		return "changes are gathered for a moment (wait) before it is added", time.Time{}
	case pool.Probation:
		return "it was added; no balancer has found it healthy yet, or not every balancer has it", time.Time{}
	case pool.Suspect:
		return fmt.Sprintf("the member %s; it stays for failed_grace (%v), and the balancer's own checks decide about traffic", i.Ask, s.rules.FailedGrace), i.AskSince.Add(s.rules.FailedGrace)
	case pool.Draining:
		why := "the member " + string(i.Ask)
		if view.Overrides[s.cfg.Name].Drain[i.Server.Name] {
			why = "an operator drains it"
		}
		return why + fmt.Sprintf("; it gets nothing new and goes when its sessions have ended, at the latest after drain.timeout (%v)", s.rules.DrainTimeout), i.Since.Add(s.rules.DrainTimeout)
	case pool.Removing:
		return "it was removed, but some balancer still has it or has not caught up", time.Time{}
	case pool.Suppressed:
		return fmt.Sprintf("it failed and came back too often (guard.flap: %g points, back below %g)", s.rules.Flap.Suppress, s.rules.Flap.Reuse), i.Suppressed.Add(s.rules.Flap.Max)
	default:
		if i.Ask != instance.Wants {
			return fmt.Sprintf("the member %s; its removal is being gathered (wait)", i.Ask), time.Time{}
		}
		return "the member is alive and serves it", time.Time{}
	}
}
