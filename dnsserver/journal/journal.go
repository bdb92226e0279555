// Package journal remembers how a zone changed lately, so that a secondary that has an older version can be brought up to
// date with what changed alone (RFC 1995). It is pure: versions are recorded and asked for by their serials.
//
// It is bounded twice, by the number of changes and by what their records take. Who has a version from before the
// oldest change has to take all of the zone.
package journal

import "github.com/seed-645ce708/gossip/dnsserver/record"

// Newer reports whether serial a is later than b, in the arithmetic of RFC 1982, in which serials wrap around. Of two that
// are half of all serials apart neither is.
func Newer(a, b uint32) bool {
	d := a - b
	return d != 0 && d < 1<<31
}

// Delta is how one version of a zone became another.
type Delta struct {
	From, To   record.Record // the SOA records of both
	FromSerial uint32
	ToSerial   uint32
	// Removed and Added are all other records that changed.
	Removed, Added []record.Record
}

// size is what the delta takes, in octets on the wire.
func (d *Delta) size() int {
	n := len(d.From) + len(d.To)
	for _, list := range [][]record.Record{d.Removed, d.Added} {
		for _, r := range list {
			n += len(r)
		}
	}
	return n
}

// Journal is a sequence of deltas, each from where the one before leads to. It belongs to one goroutine.
type Journal struct {
	maxChanges, maxBytes int

	deltas []Delta
	bytes  int
}

// New returns an empty journal, which holds as many changes and octets at most.
func New(maxChanges, maxBytes int) *Journal {
	return &Journal{maxChanges: maxChanges, maxBytes: maxBytes}
}

// Add records a change. One that does not start where the last one ended, or does not lead to a later serial, makes all that
// was before useless.
func (j *Journal) Add(d Delta) {
	if n := len(j.deltas); n > 0 && j.deltas[n-1].ToSerial != d.FromSerial || !Newer(d.ToSerial, d.FromSerial) {
		j.deltas, j.bytes = nil, 0
	}
	if !Newer(d.ToSerial, d.FromSerial) {
		return
	}
	j.deltas = append(j.deltas, d)
	j.bytes += d.size()
	drop := 0
	for len(j.deltas)-drop > j.maxChanges || j.bytes > j.maxBytes && drop < len(j.deltas) {
		j.bytes -= j.deltas[drop].size()
		j.deltas[drop] = Delta{} // its records can go now
		drop++
	}
	j.deltas = j.deltas[drop:]
}

// Len returns how many changes there are, and how many octets they take.
func (j *Journal) Len() (changes, bytes int) { return len(j.deltas), j.bytes }

// Oldest returns the oldest serial that Since can start from; it reports false if there is none.
func (j *Journal) Oldest() (serial uint32, ok bool) {
	if len(j.deltas) == 0 {
		return 0, false
	}
	return j.deltas[0].FromSerial, true
}

// Since returns all changes since a serial as one, without what was undone in between (RFC 1995 section 5 allows to
// condense). It reports false if the journal does not go back to just that version.
func (j *Journal) Since(serial uint32) (Delta, bool) {
	start := -1
	for i := range j.deltas {
		if j.deltas[i].FromSerial == serial {
			start = i
		}
	}
	if start < 0 {
		return Delta{}, false
	}
	deltas := j.deltas[start:]
	if len(deltas) == 1 {
		return deltas[0], true
	}
	first, last := &deltas[0], &deltas[len(deltas)-1]
	out := Delta{From: first.From, FromSerial: first.FromSerial, To: last.To, ToSerial: last.ToSerial}
	var removed, added recordSet
	for i := range deltas {
		for _, r := range deltas[i].Removed {
			if !added.remove(r) {
				removed.add(r)
			}
		}
		for _, r := range deltas[i].Added {
			if !removed.remove(r) {
				added.add(r)
			}
		}
	}
	out.Removed, out.Added = removed.list(), added.list()
	return out, true
}

// recordSet keeps records in the order in which they came.
type recordSet struct {
	order []record.Record
	at    map[record.Record]int // in order
}

func (s *recordSet) add(r record.Record) {
	if s.at == nil {
		s.at = make(map[record.Record]int)
	}
	s.at[r] = len(s.order)
	s.order = append(s.order, r)
}

func (s *recordSet) remove(r record.Record) bool {
	if _, ok := s.at[r]; !ok {
		return false
	}
	delete(s.at, r)
	return true
}

func (s *recordSet) list() []record.Record {
	var out []record.Record
	for i, r := range s.order {
		if at, ok := s.at[r]; ok && at == i {
			out = append(out, r)
		}
	}
	return out
}
