package mirror

import (
	"maps"
	"net/netip"
	"sort"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// convert turns a list sorted by name into that of a view. Of who is as before the pointer stays the same, by which
// readers find what changed. A name that comes twice, as it does in no honest list, counts once.
func convert(list []api.Member, old []*view.Member) []*view.Member {
	members := make([]*view.Member, 0, len(list))
	for i := range list {
		if i > 0 && list[i].Name == list[i-1].Name {
			continue
		}
		m := member(&list[i])
		for len(old) > 0 && old[0].Name < m.Name {
			old = old[1:]
		}
		if len(old) > 0 && same(old[0], m) {
			m = old[0]
		}
		members = append(members, m)
	}
	return members
}

func member(m *api.Member) *view.Member {
	out := &view.Member{
		Name: m.Name, Port: m.Port, Tags: m.Tags, Status: status(m.Status),
		ProtocolMin: m.ProtocolMin, ProtocolMax: m.ProtocolMax, ProtocolCur: m.ProtocolCur,
		DelegateMin: m.DelegateMin, DelegateMax: m.DelegateMax, DelegateCur: m.DelegateCur,
	}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	if addr, ok := netip.AddrFromSlice(m.Addr); ok {
		out.Addr = addr
	}
	return out
}

func status(text string) view.Status {
	for s := view.StatusAlive; s <= view.StatusFailed; s++ {
		if s.String() == text {
			return s
		}
	}
	return view.StatusNone
}

func same(a, b *view.Member) bool {
	return a.Name == b.Name && a.Addr == b.Addr && a.Port == b.Port && a.Status == b.Status &&
		a.ProtocolMin == b.ProtocolMin && a.ProtocolMax == b.ProtocolMax && a.ProtocolCur == b.ProtocolCur &&
		a.DelegateMin == b.DelegateMin && a.DelegateMax == b.DelegateMax && a.DelegateCur == b.DelegateCur &&
		maps.Equal(a.Tags, b.Tags)
}

// marks returns what the agent has to say of its members.
func marks(list []api.Member) map[string]view.Mark {
	out := map[string]view.Mark{}
	for _, m := range list {
		if !m.Damped && m.Note == "" && m.Since == 0 {
			continue
		}
		out[m.Name] = view.Mark{Since: moment(m.Since), Reason: m.Note, Suppressed: m.Damped, Until: moment(m.Until)}
	}
	return out
}

func moment(unix uint64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(int64(unix), 0)
}

func sortMembers(list []api.Member) {
	sort.SliceStable(list, func(i, j int) bool { return list[i].Name < list[j].Name })
}
