package target

import (
	"errors"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// Reason is why a balancer must load its files, in a word, for counting.
type Reason string

// The reasons.
const (
	Stopped   Reason = "stopped"         // nothing runs, so that a restart is a start
	Unknown   Reason = "unknown"         // it is not known to have loaded its files as they are
	Files     Reason = "files"           // its files change
	Structure Reason = "structure"       // more changes in its files than its servers
	NoRuntime Reason = "runtime_down"    // its Runtime API cannot be used
	Refused   Reason = "runtime_refused" // its Runtime API refused a change
	Servers   Reason = "servers"         // a change of servers is none that its Runtime API can make
)

// Need is why a balancer must load its files. The zero value is no need.
type Need struct {
	Reason Reason
	Text   string // for people: a clause
}

// Due tells whether it must.
func (n Need) Due() bool { return n.Reason != "" }

// needsLoad says why the balancer must load its files.
func (p *pass) needsLoad() Need {
	runtime := p.t.adapter.Traits().Runtime
	switch {
	case errors.Is(p.readErr, reload.ErrNotRunning):
		return Need{Stopped, "it does not run"}
	case p.loaded.bytes == p.res.Hash:
		return Need{}
	case runtime && p.readErr == nil && p.loaded.structure == p.structure():
		return Need{}
	case p.loaded.bytes == "":
		return Need{Unknown, "it is not known to have loaded its files as they are"}
	case runtime && p.readErr != nil:
		return Need{NoRuntime, "its Runtime API cannot be used"}
	case runtime:
		return Need{Structure, "more changes than its servers"}
	default:
		return Need{Files, "its files change"}
	}
}

// planned is the need that a plan has besides.
func planned(plan adapter.Plan) Need {
	if plan.Reload == "" {
		return Need{}
	}
	return Need{Servers, plan.Reload}
}

// cause is what programs are told.
func (p *pass) cause(need Need) adapter.Cause {
	return adapter.Cause{Hash: p.res.Hash, Reason: need.Text}
}
