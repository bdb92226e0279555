package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/trust"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

const (
	// settle is how long after an agent is reached again the absence of a member counts for nothing: the agent may have
	// just started, and an agent that joins knows everyone within seconds.
	settle = 10 * time.Second
	// quiet is what package trust takes for silence. There is none here, since every list is a sign of life; it is how
	// long a verdict outlives its reasons.
	quiet = 10 * time.Second
	// rejudge is how often the members of a stock Serf agent are judged although nothing changed.
	rejudge = time.Second
)

// Config describes a Mirror.
type Config struct {
	// Local is the name of the member on whose host this runs; empty if on none.
	Local string
	// StaleLimit is how long members are shown of whom there is no news; 0 means not at all.
	StaleLimit time.Duration
	// FlapHalfLife is that of the agent's setting; it counts for agents that do not judge themselves.
	FlapHalfLife time.Duration
	Log          hclog.Logger // nil: none
}

// Mirror keeps a view.Store in step. Its source is followed by Follow or by FollowFile; one of them, and once.
type Mirror struct {
	cfg   Config
	log   hclog.Logger
	store *view.Store
	ready atomic.Bool

	// Of the goroutine that follows.
	now     time.Time
	source  client.View
	first   time.Time // when the first connection was made
	tracker *trust.Tracker
	verdict view.Verdict // the last while there was a connection
	ended   bool         // it was said that the limit has passed
}

// New returns a mirror of nothing yet.
func New(cfg Config) *Mirror {
	m := &Mirror{cfg: cfg, log: cfg.Log, store: view.NewStore(cfg.Local)}
	if m.log == nil {
		m.log = hclog.NewNullLogger()
	}
	damping := trust.DefaultDamping()
	damping.HalfLife = cfg.FlapHalfLife
	m.tracker = trust.New(trust.Config{Quiet: quiet, Damping: damping}, cfg.Local)
	m.store.SetJudge(judge{m})
	return m
}

// Store is where the members are.
func (m *Mirror) Store() *view.Store { return m.store }

// Ready tells whether the view may be used: there was a list, of an agent that has joined its cluster, and the limit for
// what is stale has not passed. It may be called by several goroutines.
func (m *Mirror) Ready() bool { return m.ready.Load() }

// Follow keeps in step with the watcher's agent until ctx ends. The watcher must be run by somebody.
func (m *Mirror) Follow(ctx context.Context, w *client.Watcher) {
	for {
		v, newer := w.Watch()
		again := m.apply(time.Now(), v)
		var due <-chan time.Time
		if !again.IsZero() {
			due = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return
		case <-newer:
		case <-due:
		}
	}
}

// apply takes in a view, and returns when to do so again although nothing changed; zero means never.
func (m *Mirror) apply(now time.Time, v client.View) (again time.Time) {
	was := m.source
	m.now, m.source = now, v
	switch {
	case v.Updated.IsZero():
		if v.Err != nil && (was.Err == nil || was.Err.Error() != v.Err.Error()) {
			m.log.Warn("the agent cannot be reached; DNS answers SERVFAIL until it is", "error", reason(v.Err))
		}
		return time.Time{}
	case !v.Connected:
		return m.outage(was)
	case v.Confidence != nil && !v.Confidence.Synced && !m.ready.Load():
		return time.Time{} // its list says nothing yet; more follows when it has joined
	}
	if m.first.IsZero() {
		m.first = v.Since
	}
	if !was.Connected {
		m.log.Info("following the agent", "members", len(v.Members))
	}
	m.publish(convert(v.Members, m.store.Load().Members))
	m.ready.Store(true)
	m.ended = false
	if end := v.Since.Add(settle); m.settling() && (v.Confidence != nil || end.Before(now.Add(rejudge))) {
		return end
	}
	if v.Confidence == nil {
		return now.Add(rejudge)
	}
	return time.Time{}
}

// outage is apply while there is no connection.
func (m *Mirror) outage(was client.View) (again time.Time) {
	if was.Connected && m.cfg.StaleLimit > 0 {
		m.log.Warn("the agent cannot be reached; DNS answers with what was known last, marked as stale",
			"error", reason(m.source.Err), "limit", m.cfg.StaleLimit)
	}
	m.store.Rejudge()
	end := m.source.Since.Add(m.cfg.StaleLimit)
	if m.now.Before(end) {
		return end
	}
	m.ready.Store(false)
	if !m.ended {
		m.ended = true
		m.log.Error("the agent could not be reached for too long; DNS answers SERVFAIL until it is",
			"error", reason(m.source.Err), "limit", m.cfg.StaleLimit)
	}
	return time.Time{}
}

// reason says what a refused token means.
func reason(err error) error {
	if errors.Is(err, client.ErrAuth) {
		return fmt.Errorf("%w: the agent wants its rpc_auth, and was shown none or another", err)
	}
	return err
}

func (m *Mirror) publish(members []*view.Member) {
	if m.store.Load().Rev > 0 && slices.Equal(members, m.store.Load().Members) {
		m.store.Rejudge()
		return
	}
	m.store.Publish(members)
}

// settling tells that the agent was reached again a moment ago.
func (m *Mirror) settling() bool {
	return m.source.Since.After(m.first) && m.now.Before(m.source.Since.Add(settle))
}

// judge is the store's, called by apply through Publish and Rejudge.
type judge struct{ m *Mirror }

// Judge says how far the members can be trusted.
func (j judge) Judge(members []*view.Member) view.Verdict {
	m := j.m
	if !m.source.Connected {
		v := m.verdict
		v.Confidence.Stale = true
		v.Confidence.Evidence = "the agent that tells of the members cannot be reached since " + m.source.Since.Format(time.TimeOnly)
		return v
	}
	v := m.agentsVerdict(members)
	switch {
	case !v.Confidence.Synced:
		v.Confidence.Isolated, v.Confidence.Evidence = true, "it has not joined its cluster yet"
	case m.settling() && !v.Confidence.Isolated:
		v.Confidence.Isolated = true
		v.Confidence.Evidence = fmt.Sprintf("it was reached again at %s, and may not know everyone yet", m.source.Since.Format(time.TimeOnly))
	}
	m.verdict = v
	return v
}

// agentsVerdict is the agent's own, or ours for one that has none.
func (m *Mirror) agentsVerdict(members []*view.Member) view.Verdict {
	if c := m.source.Confidence; c != nil {
		return view.Verdict{
			Confidence: view.Confidence{Synced: c.Synced, Isolated: c.Isolated, Evidence: c.Evidence, VisibleShare: c.VisibleShare},
			Marks:      marks(m.source.Members),
		}
	}
	m.tracker.Members(m.now, members)
	m.tracker.Contact(m.now, "")
	m.tracker.Tick(m.now)
	v := m.tracker.Judge(m.now, true)
	v.Confidence.LastContact = time.Time{} // that the agent answers says nothing of the others
	return v
}
