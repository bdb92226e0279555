package agent

import (
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/gossip"
	"github.com/seed-645ce708/gossip/agent/internal/trust"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

const (
	// quietProbes is how many probe intervals without a sign of life make a silence (see package trust, which says
	// why so many).
	quietProbes = 10
	// ticksPerQuiet is how often in that time the verdict is looked at anew.
	ticksPerQuiet = 10
)

// judge is the tracker of package trust with a lock and a clock.
type judge struct {
	synced func() bool

	mu      sync.Mutex
	tracker *trust.Tracker
	heard   func() time.Time // when a packet last came; nil before there is gossip
}

var _ view.Judge = (*judge)(nil)

func newJudge(cfg Config, synced func() bool) *judge {
	damping := trust.DefaultDamping()
	damping.HalfLife = cfg.FlapHalfLife
	return &judge{synced: synced, tracker: trust.New(trust.Config{Damping: damping}, cfg.NodeName)}
}

// Judge takes in a newer list of members and returns the verdict.
func (j *judge) Judge(members []*view.Member) view.Verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	j.tracker.Members(now, members)
	return j.verdict(now)
}

// verdict judges; the caller holds mu.
func (j *judge) verdict(now time.Time) view.Verdict {
	if j.heard != nil {
		if at := j.heard(); !at.IsZero() {
			j.tracker.Contact(at, "")
		}
	}
	return j.tracker.Judge(now, j.synced())
}

// confidence returns what is thought right now.
func (j *judge) confidence() view.Confidence {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.verdict(time.Now()).Confidence
}

// contact tells of a sign of life.
func (j *judge) contact(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tracker.Contact(time.Now(), name)
}

// dialed tells how an attempt to connect to a peer ended.
func (j *judge) dialed(to netip.AddrPort, err error) {
	switch {
	case err == nil:
		j.contact("")
	case errors.Is(err, syscall.ECONNREFUSED):
		j.mu.Lock()
		defer j.mu.Unlock()
		j.tracker.Refused(time.Now(), to)
	}
}

func (j *judge) tick() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tracker.Tick(time.Now())
}

// witness tells the judge of probes, of ours that were answered and of others' that came here.
type witness struct {
	gossip.Pinger // may be nil
	judge         *judge
}

// AckPayload is called for each probe that came here.
func (w witness) AckPayload() []byte {
	w.judge.contact("")
	if w.Pinger == nil {
		return nil
	}
	return w.Pinger.AckPayload()
}

// PingComplete is called for each probe of ours that was answered.
func (w witness) PingComplete(node string, rtt time.Duration, payload []byte) {
	w.judge.contact(node)
	if w.Pinger != nil {
		w.Pinger.PingComplete(node, rtt, payload)
	}
}

// followTrust publishes the members again when the agent's trust in them changes without them.
func (a *Agent) followTrust() {
	quiet := quietProbes * a.gossip.ProbeInterval()
	a.judge.mu.Lock()
	a.judge.tracker.Quiet(quiet)
	a.judge.heard = a.gossip.LastPacket
	a.judge.mu.Unlock()
	tick := time.NewTicker(quiet / ticksPerQuiet)
	defer tick.Stop()
	isolated := false
	for {
		select {
		case <-tick.C:
		case <-a.life.Done():
			return
		}
		a.judge.tick()
		a.view.Rejudge()
		c := a.view.Load().Confidence
		metrics.SetGauge([]string{"gossip", "view", "visible_share"}, float32(c.VisibleShare))
		if c.Isolated == isolated {
			continue
		}
		isolated = c.Isolated
		metrics.SetGauge([]string{"gossip", "view", "isolated"}, gauge(isolated))
		if isolated {
			a.log.Warn("this agent is most likely cut off from its cluster", "evidence", c.Evidence)
		} else {
			a.log.Info("this agent is no longer cut off from its cluster")
		}
	}
}

func gauge(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// Confidence returns how far the agent trusts its view of the members right now.
func (a *Agent) Confidence() api.Confidence {
	c := a.judge.confidence()
	return api.Confidence{Synced: c.Synced, Isolated: c.Isolated, Evidence: c.Evidence, VisibleShare: c.VisibleShare}
}

// viewStats describes how far the view can be trusted, for people.
func (a *Agent) viewStats() map[string]string {
	c := a.judge.confidence()
	suppressed := 0
	for _, m := range a.view.Load().Marks {
		if m.Suppressed {
			suppressed++
		}
	}
	contact := "never"
	if !c.LastContact.IsZero() {
		contact = time.Since(c.LastContact).Round(time.Millisecond).String() + " ago"
	}
	return map[string]string{
		"synced":        strconv.FormatBool(c.Synced),
		"isolated":      strconv.FormatBool(c.Isolated),
		"evidence":      c.Evidence,
		"last_contact":  contact,
		"visible_share": strconv.FormatFloat(c.VisibleShare, 'f', 2, 64),
		"suppressed":    strconv.Itoa(suppressed),
	}
}
