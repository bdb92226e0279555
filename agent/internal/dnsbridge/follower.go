package dnsbridge

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/service"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// nameserverTag is the tag by which a member says that it serves the zone: dns=PORT.
const nameserverTag = "dns"

// Convert returns what DNS shows of a member, or nil if it shows nothing; the error names tags that should
// publish a service and cannot be read. By status:
//
//	alive          its own name, and the services and tags that it publishes
//	leaving        its own name alone: who is connected may still come back to it, new clients are sent elsewhere
//	failed         nothing, but its names go on to exist: what failed may come back, and "no such name" is for what never was
//	left           nothing
func Convert(m *view.Member) (*zone.Member, error) {
	if m.Status != view.StatusAlive && m.Status != view.StatusLeaving && m.Status != view.StatusFailed {
		return nil, nil
	}
	services, err := service.FromTags(m.Tags)
	out := &zone.Member{
		Name:       m.Name,
		Tags:       m.Tags,
		Nameserver: isPort(m.Tags[nameserverTag]),
		Live:       m.Status == view.StatusAlive,
		Down:       m.Status == view.StatusFailed,
	}
	if m.Addr.IsValid() {
		out.Addrs = []netip.Addr{m.Addr.Unmap()}
	}
	for _, s := range services {
		out.Services = append(out.Services, zone.Service{
			Name: s.Name, Port: s.Port, Weight: s.Weight, Priority: s.Priority, Drain: s.Drain,
		})
	}
	return out, err
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// follower turns snapshots into changes. On the way it does what a reader of views should: it shows who failed for a
// while if the agent looks cut off (doubt), and keeps members that flap out of the answers about services, unless nobody
// else is left. It is pure but for its log, and used by one goroutine.
type follower struct {
	log        hclog.Logger
	members    []*view.Member // of the last snapshot
	doubt      doubt
	stale      bool // all that is shown is
	suppressed map[string]bool
	offers     map[string][]string // the services that each member, neither suppressed nor stale, is in the answers of
	steady     map[string]int      // how many those are, by service
	badTags    map[string]string
	problems   map[string]struct{} // their texts
}

// changes returns what is to be shown otherwise than at the last call, and when to look again although nothing changed;
// zero means never. Members are immutable and in order, so one walk over pointers finds what changed.
func (f *follower) changes(now time.Time, snap *view.Snapshot) (changes []zone.Change, until time.Time) {
	var touched []string
	touch := func(name string, old, next *view.Member) {
		f.doubt.saw(now, name, old, next)
		touched = append(touched, name)
	}
	old, next := f.members, snap.Members
	f.members = next
	for len(old) > 0 || len(next) > 0 {
		switch {
		case len(old) > 0 && len(next) > 0 && old[0] == next[0]:
			old, next = old[1:], next[1:]
		case len(next) == 0 || len(old) > 0 && old[0].Name < next[0].Name:
			touch(old[0].Name, old[0], nil)
			old = old[1:]
		default:
			var was *view.Member
			if len(old) > 0 && old[0].Name == next[0].Name {
				was, old = old[0], old[1:]
			}
			touch(next[0].Name, was, next[0])
			next = next[1:]
		}
	}
	held, until := f.doubt.decide(now, snap.Confidence.Isolated)
	touched = append(touched, held...)
	if stale := snap.Confidence.Stale; stale != f.stale {
		f.stale = stale
		for _, m := range snap.Members {
			touched = append(touched, m.Name)
		}
		for name := range f.doubt.lost {
			touched = append(touched, name)
		}
	}

	suppressed := map[string]bool{}
	for name, mark := range snap.Marks {
		if mark.Suppressed {
			suppressed[name] = true
		}
	}
	for name := range f.suppressed {
		if !suppressed[name] {
			touched = append(touched, name)
		}
	}
	f.suppressed = suppressed
	for _, name := range touched {
		if !suppressed[name] {
			changes = append(changes, zone.Change{Name: name, Member: f.show(snap, name)})
		}
	}
	// Those that flap come last, as what is shown of them hangs on the others.
	for name := range suppressed {
		f.count(name, nil)
	}
	for name := range suppressed {
		changes = append(changes, zone.Change{Name: name, Member: f.showSuppressed(snap, name)})
	}
	return changes, until
}

// show returns what to show of a member that is not suppressed; nil means nothing.
func (f *follower) show(snap *view.Snapshot, name string) *zone.Member {
	if m, held := f.doubt.shown(name); held {
		f.count(name, nil)
		out := f.convert(m)
		if out != nil {
			out.Stale = true
		}
		return out
	}
	m, ok := snap.Member(name)
	if !ok {
		delete(f.badTags, name)
		f.count(name, nil)
		return nil
	}
	out := f.convert(m)
	f.count(name, out)
	return out
}

// showSuppressed keeps a member out of the answers about the services that others offer.
func (f *follower) showSuppressed(snap *view.Snapshot, name string) *zone.Member {
	m, ok := snap.Member(name)
	if !ok {
		return nil
	}
	out := f.convert(m)
	if out == nil {
		return nil
	}
	for i := range out.Services {
		if s := &out.Services[i]; f.steady[s.Name] > 0 {
			s.Drain = true
		}
	}
	return out
}

// count notes which services a member is in the answers of; nil means none.
func (f *follower) count(name string, m *zone.Member) {
	for _, s := range f.offers[name] {
		if f.steady[s]--; f.steady[s] == 0 {
			delete(f.steady, s)
		}
	}
	delete(f.offers, name)
	if m == nil || !m.Live {
		return
	}
	var offers []string
	for _, s := range m.Services {
		if !s.Drain {
			offers = append(offers, s.Name)
		}
	}
	if len(offers) == 0 {
		return
	}
	if f.offers == nil {
		f.offers, f.steady = map[string][]string{}, map[string]int{}
	}
	f.offers[name] = offers
	for _, s := range offers {
		f.steady[s]++
	}
}

// convert is Convert, and logs tags that cannot be read.
func (f *follower) convert(m *view.Member) *zone.Member {
	converted, err := Convert(m)
	if converted != nil {
		converted.Stale = f.stale
	}
	if err == nil {
		delete(f.badTags, m.Name)
		return converted
	}
	// Once for each mistake, not each time that the member changes otherwise.
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if f.badTags[m.Name] != text {
		if f.badTags == nil {
			f.badTags = make(map[string]string)
		}
		f.badTags[m.Name] = text
		f.log.Warn("a member has tags that publish no service", "member", m.Name, "error", text)
	}
	return converted
}

// report logs the problems that are new, each once, whoever else comes to share it.
func (f *follower) report(problems []zone.Problem) {
	current := make(map[string]struct{}, len(problems))
	for _, p := range problems {
		current[p.Text] = struct{}{}
		if _, known := f.problems[p.Text]; !known {
			f.log.Warn("a name cannot be published as it is", "member", p.Member, "problem", p.Text)
		}
	}
	f.problems = current
}
