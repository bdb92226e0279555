package gossip

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"
)

// peer is a live member other than ourselves.
type peer struct {
	name string
	addr string // host:port
	ours bool   // understands our extensions
}

// roster is the live members other than ourselves, in the order of their names. memberlist's own list hands out nodes
// that it goes on writing to, so this one is kept from its callbacks. Safe for concurrent use.
type roster struct {
	self string

	mu            sync.Mutex
	list          []peer
	ours          int    // of them, how many are ours
	version, told uint64 // how often members came or went; and at the last confidant
}

// search returns the place of a name in a list of peers, and whether it is there.
func search(list []peer, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(p peer, name string) int { return strings.Compare(p.name, name) })
}

// put adds a member or replaces what is known of it.
func (r *roster) put(n *memberlist.Node) {
	addr, ok := netip.AddrFromSlice(n.Addr)
	if n.Name == r.self || !ok {
		return
	}
	p := peer{n.Name, netip.AddrPortFrom(addr.Unmap(), n.Port).String(), n.DMax >= delegateMax}
	r.mu.Lock()
	defer r.mu.Unlock()
	i, known := search(r.list, p.name)
	if known {
		r.count(r.list[i], -1)
		r.list[i] = p
	} else {
		r.list = slices.Insert(r.list, i, p)
		r.version++
	}
	r.count(p, 1)
}

// remove forgets a member that is gone.
func (r *roster) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, known := search(r.list, name); known {
		r.count(r.list[i], -1)
		r.list = slices.Delete(r.list, i, i+1)
		r.version++
	}
}

func (r *roster) count(p peer, n int) {
	if p.ours {
		r.ours += n
	}
}

// size returns how many there are, and how many of them are ours.
func (r *roster) size() (all, ours int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list), r.ours
}

// choose returns up to n members to push a message to.
func (r *roster) choose(n int, intn func(int) int) []peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return choose(r.list, r.self, n, intn)
}

// find returns the member of a name.
func (r *roster) find(name string) (p peer, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := search(r.list, name)
	if ok {
		p = r.list[i]
	}
	return p, ok
}

// confidant returns a random member to exchange state with, unless nobody has come or gone since the last time.
func (r *roster) confidant(intn func(int) int) (p peer, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version == r.told || len(r.list) == 0 {
		return peer{}, false
	}
	r.told = r.version
	return r.list[intn(len(r.list))], true
}

// choose picks up to n of the peers, which are in the order of their names: the one that follows self in the ring of
// names, and n-1 random others. Random choice alone leaves out one member in e^n on average, who would have to wait for
// gossip; since each member also tells the next, the message runs on into the gaps that chance has left.
func choose(list []peer, self string, n int, intn func(int) int) []peer {
	if len(list) <= n {
		return slices.Clone(list)
	}
	picked := make([]peer, 0, n)
	if n > 0 {
		next, _ := search(list, self)
		picked = append(picked, list[next%len(list)])
	}
	for len(picked) < n {
		p := list[intn(len(list))]
		if !slices.Contains(picked, p) {
			picked = append(picked, p)
		}
	}
	return picked
}
