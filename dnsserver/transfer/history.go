package transfer

import (
	"net/netip"
	"sync"

	"github.com/seed-645ce708/gossip/dnsserver/journal"
	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Bounds of one zone's history.
const (
	// The journal holds this many changes at most, and this many octets of records.
	maxChanges = 1000
	maxBytes   = 8 << 20
	// maxHolders is how many clients are remembered for each version.
	maxHolders = 256
)

// client is a secondary as far as we can tell it from others.
type client struct {
	addr netip.Addr
	key  string
}

// history is the past of one zone as far as secondaries took part in it. It is safe for concurrent use.
type history struct {
	mu       sync.Mutex
	current  *zone.Zone // the last version that was journalled
	journal  *journal.Journal
	holders  map[uint32]map[client]struct{} // who got which version from us
	versions []uint32                       // keys of holders, oldest first
}

func newHistory() *history {
	return &history{journal: journal.New(maxChanges, maxBytes), holders: make(map[uint32]map[client]struct{})}
}

// commit journals how the last version became this one, unless it is no newer, and returns the last version.
func (h *history) commit(z *zone.Zone) *zone.Zone {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != nil {
		if !journal.Newer(z.Serial(), h.current.Serial()) {
			return h.current
		}
		h.journal.Add(difference(h.current, z))
	}
	h.current = z
	// Versions that no way leads from need no holders.
	for len(h.versions) > 0 {
		if oldest, ok := h.journal.Oldest(); ok && !journal.Newer(oldest, h.versions[0]) {
			break
		}
		delete(h.holders, h.versions[0])
		h.versions = h.versions[1:]
	}
	return h.current
}

// take notes that a client gets this version.
func (h *history) take(z *zone.Zone, who client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	serial := z.Serial()
	set := h.holders[serial]
	if set == nil {
		set = make(map[client]struct{})
		h.holders[serial] = set
		h.versions = append(h.versions, serial)
	}
	if len(set) < maxHolders {
		set[who] = struct{}{}
	}
}

// since returns how the version that a client has became z. Agents that serve the same zone number its versions each for
// itself, so only who got its version from us gets an increment to it.
func (h *history) since(serial uint32, z *zone.Zone, who client) (journal.Delta, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ours := h.holders[serial][who]; !ours {
		return journal.Delta{}, false
	}
	delta, ok := h.journal.Since(serial)
	return delta, ok && delta.ToSerial == z.Serial() // or there is a newer one by now
}

func (h *history) size() (changes, bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal.Len()
}

// difference returns how one version became another.
func difference(old, now *zone.Zone) journal.Delta {
	d := journal.Delta{FromSerial: old.Serial(), ToSerial: now.Serial(), From: soaRecord(old), To: soaRecord(now)}
	for change := range zone.Diff(old, now) {
		for before, after := range change.Apart() {
			gone, added := record.Diff(record.PackAll(change.Owner, before), record.PackAll(change.Owner, after))
			d.Removed, d.Added = append(d.Removed, gone...), append(d.Added, added...)
		}
	}
	return d
}

func soaRecord(z *zone.Zone) record.Record {
	records := record.PackAll(z.Origin(), z.SOA())
	if len(records) == 0 {
		return "" // our mistake: see PackAll
	}
	return records[0]
}
