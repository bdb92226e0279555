package zone

import (
	"bytes"
	"slices"
)

// Outcome is what a lookup came to.
type Outcome uint8

// The outcomes.
const (
	Success  Outcome = iota // the name has records of that type
	NoData                  // the name exists and has none
	NXDomain                // the name does not exist
	Refused                 // the name is not in this zone, or is not a name
	Unsure                  // the zone is in doubt, and has nobody at the name, if that; there may be somebody all the same
	Unready                 // nothing is known yet
	Dynamic                 // the server knows what is there
)

// String returns the outcome in the words of DNS.
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case NoData:
		return "nodata"
	case NXDomain:
		return "nxdomain"
	case Unsure:
		return "unsure"
	case Unready:
		return "unready"
	case Dynamic:
		return "dynamic"
	default:
		return "refused"
	}
}

// Result is what the zone holds for one question.
type Result struct {
	Outcome Outcome
	// Zone is the zone that the name is in: the one asked or one of its reverse zones. It is nil if Outcome is
	// Refused.
	Zone *Zone
	// Answer holds the records, whose owner is the name asked for. It is nil unless Outcome is Success.
	Answer *RRset
}

// Lookup finds the records of one type at a name, given in uncompressed wire form (RFC 1035 section 3.1) in any
// case.
func (z *Zone) Lookup(qname []byte, t Type) Result {
	result, _ := z.lookup(qname, t, true)
	return result
}

// Find is Lookup for names whose records the zone keeps: nothing is allocated once a set has been asked for, and the
// same set is found until one of its members changes. It reports false if the records would have to be made for the
// question.
func (z *Zone) Find(qname []byte, t Type) (Result, bool) { return z.lookup(qname, t, false) }

func (z *Zone) lookup(qname []byte, t Type, search bool) (result Result, ok bool) {
	var buf [maxName]byte
	k, ok := parseKey(qname, &buf)
	if !ok {
		return Result{Outcome: Refused}, true
	}
	in := z.find(k)
	if in == nil {
		return Result{Outcome: Refused}, true
	}
	rel := k[len(in.origin.key):]
	n, ok, below := in.names.find(rel)
	switch {
	case n.Dynamic():
		return Result{Dynamic, in, nil}, true
	case z.trust == NotReady:
		return Result{Unready, in, nil}, true
	case ok:
		if set := n.Set(t); set != nil {
			return Result{Success, in, set}, true
		}
		if z.trust == Doubtful && n.vacant() {
			return Result{Unsure, in, nil}, true
		}
		return Result{NoData, in, nil}, true
	}
	if below {
		return Result{NoData, in, nil}, true // an empty non-terminal
	}
	if base, rest := cutService(rel); rest != nil {
		if !search {
			return Result{}, false
		}
		if outcome, set := in.filtered(base, rest, t); outcome != NXDomain {
			return Result{outcome, in, set}, true
		}
	}
	if z.trust == Doubtful {
		return Result{Unsure, in, nil}, true
	}
	return Result{NXDomain, in, nil}, true
}

var serviceKey = []byte(key(serviceLabel))

// cutService cuts the key of VALUE.KEY.VALUE.KEY[...].SERVICE.service in two, where tags begin. rest is nil if there is
// no more than one tag, which the names list.
func cutService(rel []byte) (base, rest []byte) {
	if !bytes.HasPrefix(rel, serviceKey) {
		return nil, nil
	}
	end := len(serviceKey) + bytes.IndexByte(rel[len(serviceKey):], 0) + 1
	if bytes.Count(rel[end:], []byte{0}) < 3 {
		return nil, nil
	}
	return rel[:end], rel[end:]
}

// filtered looks up what the names do not list: a service by more than one tag. If a KEY comes first, the name exists if
// any member matches the rest and has the key. The price is that of the smallest set among those of the service by each
// tag alone.
func (z *Zone) filtered(base, rest []byte, t Type) (Outcome, *RRset) {
	var groups []*group
	var policy *policy
	k := append(make([]byte, 0, maxName), base...)
	var first []byte // a KEY without a VALUE
	for len(rest) > 0 {
		size := 1 + bytes.IndexByte(rest, 0)
		if size == len(rest) {
			first = rest[:size-1]
			break
		}
		size += 1 + bytes.IndexByte(rest[size:], 0)
		n, ok := z.names.get(append(k[:len(base)], rest[:size]...))
		g, is := n.from.(*group)
		if !ok || !is || n.shape != shapeService {
			return NXDomain, nil
		}
		if policy = g.policy; !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
		rest = rest[size:]
	}
	match := intersection(groups)
	if first != nil {
		match = slices.DeleteFunc(match, func(p *part) bool {
			n, _ := z.members.get([]byte(p.member))
			return !n.hasKey(string(first))
		})
	}
	switch {
	case len(match) == 0:
		return NXDomain, nil
	case first != nil:
		return NoData, nil
	}
	parts := make([]item[*part], len(match))
	for i, p := range match {
		parts[i] = item[*part]{p.member, p}
	}
	g := &group{policy: policy}
	g.parts, _ = g.parts.with(parts)
	n := Name{shapeService, g}
	switch set := n.Set(t); {
	case set != nil:
		return Success, set
	case z.trust == Doubtful && n.vacant():
		return Unsure, nil
	}
	return NoData, nil
}

// intersection returns those that are in all groups, of which there is one at least, ordered by member.
func intersection(groups []*group) []*part {
	slices.SortFunc(groups, func(a, b *group) int { return a.parts.len() - b.parts.len() })
	match := make([]*part, 0, groups[0].parts.len())
	for _, p := range groups[0].parts.all() {
		match = append(match, p)
	}
	for _, g := range groups[1:] {
		c := cursor[*part]{leaves: g.parts.leaves}
		match = slices.DeleteFunc(match, func(p *part) bool {
			_, in := c.seek(p.member)
			return !in
		})
	}
	return match
}
