package dnsbridge

import (
	"net/netip"
	"strconv"
	"strings"

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
//	left, failed   nothing
func Convert(m *view.Member) (*zone.Member, error) {
	if m.Status != view.StatusAlive && m.Status != view.StatusLeaving {
		return nil, nil
	}
	services, err := service.FromTags(m.Tags)
	out := &zone.Member{
		Name:       m.Name,
		Tags:       m.Tags,
		Nameserver: isPort(m.Tags[nameserverTag]),
		Live:       m.Status == view.StatusAlive,
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

// follower turns snapshots into changes. It is used by one goroutine.
type follower struct {
	log      hclog.Logger
	members  []*view.Member // of the last snapshot
	badTags  map[string]string
	problems map[zone.Problem]struct{}
}

// changes returns what differs between the last snapshot and this one. Members are immutable and in order, so one
// walk over pointers finds it.
func (f *follower) changes(snap *view.Snapshot) []zone.Change {
	var changes []zone.Change
	old, now := f.members, snap.Members
	f.members = now
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(old) > 0 && len(now) > 0 && old[0] == now[0]:
			old, now = old[1:], now[1:]
		case len(now) == 0 || len(old) > 0 && old[0].Name < now[0].Name:
			changes = append(changes, f.gone(old[0].Name))
			old = old[1:]
		default:
			if len(old) > 0 && old[0].Name == now[0].Name {
				old = old[1:]
			}
			changes = append(changes, f.change(now[0]))
			now = now[1:]
		}
	}
	return changes
}

func (f *follower) gone(name string) zone.Change {
	delete(f.badTags, name)
	return zone.Change{Name: name}
}

func (f *follower) change(m *view.Member) zone.Change {
	converted, err := Convert(m)
	if err == nil {
		delete(f.badTags, m.Name)
		return zone.Change{Name: m.Name, Member: converted}
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
	return zone.Change{Name: m.Name, Member: converted}
}

// report logs the problems that are new.
func (f *follower) report(problems []zone.Problem) {
	current := make(map[zone.Problem]struct{}, len(problems))
	for _, p := range problems {
		current[p] = struct{}{}
		if _, known := f.problems[p]; !known {
			f.log.Warn("a name cannot be published as it is", "member", p.Member, "problem", p.Text)
		}
	}
	f.problems = current
}
