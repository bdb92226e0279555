package trust

import (
	"maps"
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Memory is how long a member that was lost counts as known; Burst is within what time losses count as one event.
const (
	Memory = 10 * time.Minute
	Burst  = time.Minute
)

// Config sets the rules.
type Config struct {
	// Quiet is the silence that speaks for isolation; 0 turns the verdict off.
	Quiet   time.Duration
	Damping Damping
}

// Tracker collects what happens to the members. It is not safe for concurrent use. The times it is given must not run
// backwards.
type Tracker struct {
	cfg     Config
	local   string
	members []*view.Member
	peers   map[string]*peer // those of whom there is anything to say
	visible int              // other members alive or leaving
	failed  int

	contact  time.Time // last sign of life of another member
	refused  time.Time // last refusal by another member's host
	awake    time.Time // from when on a silence would have been noticed
	ticked   time.Time
	isolated bool
	because  string
	good     time.Time // since when nothing speaks for isolation any more

	marks map[string]view.Mark // of the last verdict; never modified
	dirty bool                 // marks must be made anew
	due   time.Time            // when they must be at the latest; zero means never
}

// peer is what there is to say of another member.
type peer struct {
	mark    view.Mark // Since and Reason of its status; empty while alive
	status  view.Status
	lost    time.Time // when it vanished; zero if it did not, or left
	refused time.Time // when its host refused a connection; zero after a sign of life
	penalty penalty
}

// New returns a tracker for the member local, who has seen nobody yet.
func New(cfg Config, local string) *Tracker {
	return &Tracker{cfg: cfg, local: local, peers: map[string]*peer{}}
}

// Quiet sets Config.Quiet.
func (t *Tracker) Quiet(d time.Duration) { t.cfg.Quiet = d }

// Contact tells of a sign of life from another member. The name may be empty if it is not known.
func (t *Tracker) Contact(now time.Time, name string) {
	if now.After(t.contact) {
		t.contact = now
	}
	if p := t.peers[name]; p != nil && !p.refused.IsZero() {
		p.refused, t.dirty = time.Time{}, true
	}
}

// Refused tells that the host at an address refused a connection to its gossip port.
func (t *Tracker) Refused(now time.Time, addr netip.AddrPort) {
	for _, m := range t.members {
		if m.Name == t.local || m.AddrPort() != addr || m.Status == view.StatusLeft {
			continue
		}
		t.refused = now
		p := t.peer(m.Name, m.Status)
		if p.refused.IsZero() {
			t.dirty = true
		}
		p.refused = now
	}
}

// Members tells of a newer list, sorted by name. Of who is in both lists, the unchanged must be the same pointers.
func (t *Tracker) Members(now time.Time, members []*view.Member) {
	old := t.members
	t.members = members
	for next := members; len(old) > 0 || len(next) > 0; {
		switch {
		case len(old) > 0 && len(next) > 0 && old[0] == next[0]:
			old, next = old[1:], next[1:]
		case len(next) == 0 || len(old) > 0 && old[0].Name < next[0].Name:
			t.changed(now, old[0].Name, old[0].Status, view.StatusNone)
			old = old[1:]
		default:
			was := view.StatusNone
			if len(old) > 0 && old[0].Name == next[0].Name {
				was = old[0].Status
				old = old[1:]
			}
			t.changed(now, next[0].Name, was, next[0].Status)
			next = next[1:]
		}
	}
}

// changed takes in that a member has another status; StatusNone means that it is not in the list.
func (t *Tracker) changed(now time.Time, name string, was, is view.Status) {
	if name == t.local || was == is {
		return
	}
	if t.visible+t.failed == 0 {
		t.awake = now // a silence could not be noticed before
	}
	t.count(was, -1)
	t.count(is, 1)
	t.dirty = true
	p := t.peer(name, is)
	p.status = is
	switch is {
	case view.StatusAlive:
		if was == view.StatusFailed && !t.isolated {
			p.penalty.add(now, t.cfg.Damping)
		}
		p.mark, p.lost, p.refused = view.Mark{}, time.Time{}, time.Time{}
		t.contact = now // somebody told us
	case view.StatusLeaving:
		p.mark = view.Mark{Since: now, Reason: "it announced that it goes"}
		p.lost = time.Time{}
	case view.StatusLeft:
		p.mark = view.Mark{Since: now}
		switch was {
		case view.StatusFailed:
			p.mark.Reason = "it had failed, and was told to be gone"
		case view.StatusAlive, view.StatusLeaving:
			p.mark.Reason = "it announced that it goes"
		}
		p.lost = time.Time{}
	case view.StatusFailed:
		p.mark = view.Mark{Since: now, Reason: "no answer to probes"}
		if visible(was) {
			p.lost = now
		}
	case view.StatusNone:
		p.mark = view.Mark{}
		if visible(was) {
			p.lost = time.Time{}
		}
	}
}

// present tells that the member is in the list and ought to be heard of.
func (p *peer) present() bool { return visible(p.status) || p.status == view.StatusFailed }

func visible(s view.Status) bool { return s == view.StatusAlive || s == view.StatusLeaving }

func (t *Tracker) count(s view.Status, n int) {
	switch {
	case visible(s):
		t.visible += n
	case s == view.StatusFailed:
		t.failed += n
	}
}

func (t *Tracker) peer(name string, status view.Status) *peer {
	p := t.peers[name]
	if p == nil {
		p = &peer{status: status}
		t.peers[name] = p
	}
	return p
}

// Tick tells that we run. It is called at least every half of Config.Quiet; a longer pause means that we did not run,
// and could hear nobody.
func (t *Tracker) Tick(now time.Time) {
	if !t.ticked.IsZero() && now.Sub(t.ticked) > t.cfg.Quiet/2 {
		t.awake = now
	}
	t.ticked = now
}

// Judge returns the verdict at a time. It may change with time alone.
func (t *Tracker) Judge(now time.Time, synced bool) view.Verdict {
	t.forget(now)
	lost := t.losses(now)
	t.weigh(now, lost)
	known := 1 + t.visible + len(lost.all)
	return view.Verdict{
		Confidence: view.Confidence{
			Synced: synced, Isolated: t.isolated, Evidence: t.because, LastContact: t.contact,
			VisibleShare: float64(1+t.visible) / float64(known),
		},
		Marks: t.judgeMembers(now),
	}
}

// forget drops peers of whom there is nothing to say any more.
func (t *Tracker) forget(now time.Time) {
	maps.DeleteFunc(t.peers, func(_ string, p *peer) bool {
		if now.Sub(p.lost) > Memory {
			p.lost = time.Time{}
		}
		if p.status != view.StatusNone && p.status != view.StatusAlive {
			return false
		}
		return p.lost.IsZero() && p.refused.IsZero() && p.penalty.forgiven(now, t.cfg.Damping)
	})
}

// judgeMembers returns the marks, the same map as long as they are the same.
func (t *Tracker) judgeMembers(now time.Time) map[string]view.Mark {
	if !t.dirty && (t.due.IsZero() || now.Before(t.due)) {
		return t.marks
	}
	t.dirty, t.due = false, time.Time{}
	marks := map[string]view.Mark{}
	for name, p := range t.peers {
		m := p.mark
		switch {
		case p.status == view.StatusNone:
			continue
		case p.status == view.StatusFailed && !p.refused.IsZero():
			m.Reason = "no answer to probes; its host refuses connections, so only the agent is gone"
		case p.status == view.StatusAlive:
			since, until, out := p.penalty.suppressed(now, t.cfg.Damping)
			if !out {
				continue
			}
			m = view.Mark{Since: since, Reason: "flapping", Suppressed: true, Until: until}
			if t.due.IsZero() || until.Before(t.due) {
				t.due = until
			}
		}
		marks[name] = m
	}
	t.marks = marks
	return marks
}
