package update

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/record"
)

// markerLabel stands before the name that a marker is about.
const markerLabel = "_gossip."

// maxName is the longest name as text; a name whose marker would be longer is not published.
const maxName = 254

// name is what we want at one name of the primary, and what we know to be there.
type name struct {
	want []record.Record
	have []record.Record // ours, as far as we know; empty if not owned
	// owned: the name carries our marker. foreign: it exists without. told: that was told of. rejected: the primary does not
	// want what we want there. retried: it did not, and is asked again.
	owned, foreign, told, rejected, retried bool
}

// change is what is to be done at one name. Its records are in the order in which they were made.
type change struct {
	name           string
	create, remove bool // the marker
	gone, added    []record.Record
}

// ledger is the pure half of an Updater: what is wanted, what is there, and hence what to do. It belongs to one goroutine.
type ledger struct {
	marker string // text of the marker record
	names  map[string]*name
	dirty  map[string]struct{}
	lost   []string // names found to be others', not told of yet
}

func newLedger(marker string) *ledger {
	return &ledger{marker: marker, names: map[string]*name{}, dirty: map[string]struct{}{}}
}

func (l *ledger) at(owner string) *name {
	n := l.names[owner]
	if n == nil {
		n = &name{}
		l.names[owner] = n
	}
	return n
}

// want says that these records at a name are not wanted any more, and those are from now on.
func (l *ledger) want(owner string, gone, added []record.Record) {
	if len(owner)+len(markerLabel) > maxName {
		return
	}
	n := l.at(owner)
	n.want, n.rejected = record.Patch(n.want, gone, added), false
	l.dirty[owner] = struct{}{}
}

// count returns how many names are ours, are not as wanted, are others', and are refused by the primary.
func (l *ledger) count() (ours, pending, foreign, rejected int) {
	for _, n := range l.names {
		if n.rejected {
			rejected++
		}
		if n.owned {
			ours++
		}
		if n.foreign && len(n.want) > 0 {
			foreign++
		}
	}
	return ours, len(l.dirty), foreign, rejected
}

// nodes returns the nodes whose names are to go, in order, and how many of ours there are at the primary. Their names end so.
func (l *ledger) nodes(suffix string) (gone []string, of int) {
	for owner, n := range l.names {
		node, ok := strings.CutSuffix(owner, suffix)
		if !ok || !n.owned {
			continue
		}
		if of++; len(n.want) == 0 {
			gone = append(gone, node)
		}
	}
	slices.Sort(gone)
	return gone, of
}

// found takes in what was read from the primary: all names of ours with their records, and all other names. Everything is
// looked at anew.
func (l *ledger) found(ours map[string][]record.Record, foreign map[string]struct{}) {
	for owner, n := range l.names {
		_, n.foreign = foreign[owner]
		_, n.owned = ours[owner]
		n.have, n.rejected = nil, false
		if n.owned || n.foreign || len(n.want) > 0 {
			l.dirty[owner] = struct{}{}
		}
	}
	for owner, records := range ours {
		n := l.at(owner)
		n.owned, n.foreign, n.have = true, false, records
		l.dirty[owner] = struct{}{}
	}
}

// plan returns what to do, by name, and how many removals are held. While in doubt records are added only.
func (l *ledger) plan(doubt bool) (changes []change, held int) {
	for _, owner := range slices.Sorted(maps.Keys(l.dirty)) {
		n := l.names[owner]
		switch {
		case len(n.want) == 0 && !n.owned:
			delete(l.dirty, owner)
			delete(l.names, owner)
			continue
		case n.foreign:
			if len(n.want) > 0 && !n.told {
				n.told = true
				l.lost = append(l.lost, owner)
			}
			delete(l.dirty, owner)
			continue
		case n.rejected:
			continue
		}
		c := change{name: owner, create: !n.owned}
		c.gone, c.added = record.Diff(n.have, n.want)
		all := len(c.gone)
		if doubt {
			c.gone = slices.DeleteFunc(c.gone, func(r record.Record) bool { return !sameData(r, c.added) })
			held += all - len(c.gone)
		}
		c.remove = len(n.want) == 0 && len(c.gone) == all
		switch {
		case len(c.gone) > 0 || len(c.added) > 0 || c.remove:
			changes = append(changes, c)
		case len(c.gone) == all:
			delete(l.dirty, owner) // nothing is left to do, and nothing is held
		}
	}
	return changes, held
}

// done takes in that changes were made.
func (l *ledger) done(changes []change) {
	welcome := false
	for _, c := range changes {
		n := l.at(c.name)
		n.have = record.Patch(n.have, c.gone, c.added)
		n.owned = !c.remove
		welcome = welcome || n.retried
		n.retried = false
		if len(n.want) > 0 {
			if gone, added := record.Diff(n.have, n.want); len(gone)+len(added) == 0 {
				n.have = n.want // the same, kept once
				delete(l.dirty, c.name)
			}
		} else if c.remove {
			delete(l.names, c.name)
			delete(l.dirty, c.name)
		}
	}
	if welcome {
		l.retryAll() // the others may be, too
	}
}

// reread takes in what is at one name after the primary found otherwise than we knew.
func (l *ledger) reread(owner string, owned bool, have []record.Record) {
	n := l.at(owner)
	n.foreign = !owned && !n.owned // we thought it free, and it is neither free nor ours
	n.owned, n.have = owned, have
	if !owned {
		n.have = nil
	}
	l.dirty[owner] = struct{}{}
}

// reject takes in that the primary refuses what we want at a name. It is left as it is until something else is wanted, or
// it is tried again.
func (l *ledger) reject(owner string) {
	n := l.at(owner)
	n.rejected, n.retried = true, false
}

// barred reports whether a change can no longer be made as it was planned: the part before it at the same name was not made.
func (l *ledger) barred(c change) bool {
	n := l.at(c.name)
	return n.rejected || n.foreign || !c.create && !n.owned
}

// retryAll has all names tried again that were rejected.
func (l *ledger) retryAll() { l.retry(len(l.names)) }

// retry has so many of them tried again, whichever. When one of those is accepted, all are.
func (l *ledger) retry(limit int) {
	for owner, n := range l.names {
		if limit == 0 {
			return
		}
		if n.rejected {
			n.rejected, n.retried = false, true
			l.dirty[owner] = struct{}{}
			limit--
		}
	}
}

func (l *ledger) markerOf(owner string) dns.RR {
	return &dns.TXT{
		Hdr: dns.RR_Header{Name: markerLabel + owner, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: markerTTL},
		Txt: []string{l.marker},
	}
}

// markerTTL is in seconds. Nobody but us asks for markers.
const markerTTL = 60

// message makes the update of some names, RFC 2136. Each name is touched only if it is ours, or free.
func (l *ledger) message(zone string, changes []change) *dns.Msg {
	m := new(dns.Msg).SetUpdate(zone)
	m.Compress = true
	for _, c := range changes {
		marker := l.markerOf(c.name)
		if c.create {
			m.NameNotUsed([]dns.RR{anyOf(c.name)})
			m.RRsetNotUsed([]dns.RR{marker})
		} else {
			m.Used([]dns.RR{dns.Copy(marker)})
		}
	}
	for _, c := range changes {
		marker := l.markerOf(c.name)
		m.Remove(unpack(c.gone))
		m.Insert(unpack(c.added))
		switch {
		case c.create:
			m.Insert([]dns.RR{marker})
		case c.remove:
			m.Remove([]dns.RR{marker})
		}
	}
	return m
}

func anyOf(owner string) dns.RR {
	return &dns.ANY{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeANY, Class: dns.ClassINET}}
}

// Bounds of one update.
const (
	maxBatchNames  = 100
	maxBatchOctets = 32 << 10 // before compression
)

// split cuts a change at one name into several of a size that fits into a message: first goes what is to be gone. The marker comes
// with the first and goes with the last.
func split(c change) []change {
	if size(c) <= maxBatchOctets {
		return []change{c}
	}
	var out []change
	part := change{name: c.name, create: c.create}
	take := func(to func(*change) *[]record.Record, list []record.Record) {
		for _, r := range list {
			if size(part)+len(r) > maxBatchOctets {
				out = append(out, part)
				part = change{name: c.name}
			}
			field := to(&part)
			*field = append(*field, r)
		}
	}
	take(func(p *change) *[]record.Record { return &p.gone }, c.gone)
	take(func(p *change) *[]record.Record { return &p.added }, c.added)
	part.remove = c.remove
	return append(out, part)
}

// size is how many octets a change takes in a message, or a little more.
func size(c change) int {
	n := 4 * (len(c.name) + len(markerLabel) + 12)
	for _, list := range [][]record.Record{c.gone, c.added} {
		for _, r := range list {
			n += len(r)
		}
	}
	return n
}

// batches cuts changes into updates of sensible size.
func batches(all []change) [][]change {
	var changes []change
	for _, c := range all {
		changes = append(changes, split(c)...)
	}
	var out [][]change
	total, start := 0, 0
	for i, c := range changes {
		n := size(c)
		// The parts of one name go into messages of their own, as the conditions of all changes in one hold before any.
		if i > start && (total+n > maxBatchOctets || i-start == maxBatchNames || c.name == changes[i-1].name) {
			out = append(out, changes[start:i])
			total, start = 0, i
		}
		total += n
	}
	if start < len(changes) {
		out = append(out, changes[start:])
	}
	return out
}

// sameData reports whether the record is in the list with another time to live.
func sameData(r record.Record, list []record.Record) bool {
	data := withoutTTL(r)
	return slices.ContainsFunc(list, func(o record.Record) bool { return bytes.Equal(withoutTTL(o), data) })
}

func withoutTTL(r record.Record) []byte {
	b := []byte(r)
	binary.BigEndian.PutUint32(b[nameEnd(r)+4:], 0)
	return b
}

// nameEnd returns the offset after the owner.
func nameEnd(r record.Record) int {
	off := 0
	for r[off] != 0 {
		off += 1 + int(r[off])
	}
	return off + 1
}

func unpack(records []record.Record) []dns.RR {
	rrs := make([]dns.RR, len(records))
	for i, r := range records {
		rrs[i] = r.RR()
	}
	return rrs
}

// renamer moves names from our zone to the primary's.
type renamer struct{ from, to string }

func (r renamer) name(s string) string {
	if s == r.from {
		return r.to
	}
	if head, ok := strings.CutSuffix(s, "."+r.from); ok {
		return head + "." + r.to
	}
	return s
}

// records renames a record's owner and what it points to.
func (r renamer) records(rrs []dns.RR) []record.Record {
	var out []record.Record
	for _, rr := range rrs {
		rr.Header().Name = r.name(rr.Header().Name)
		switch rr := rr.(type) {
		case *dns.SRV:
			rr.Target = r.name(rr.Target)
		case *dns.PTR:
			rr.Ptr = r.name(rr.Ptr)
		}
		if packed, err := record.Pack(rr); err == nil {
			out = append(out, packed)
		}
	}
	return out
}
