package zone

import "bytes"

// Outcome is what a lookup came to.
type Outcome uint8

// The outcomes.
const (
	Success  Outcome = iota // the name has records of that type
	NoData                  // the name exists and has none
	NXDomain                // the name does not exist
	Refused                 // the name is not in this zone, or is not a name
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
	default:
		return "refused"
	}
}

// Result is what the zone holds for one question.
type Result struct {
	Outcome Outcome
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
	var starts [maxName / 2]uint8 // where each label starts
	n, ok := split(qname, &buf, &starts)
	if !ok || n < z.cfg.originCount {
		return Result{Outcome: Refused}, true
	}
	name := buf[:len(qname)]
	n -= z.cfg.originCount
	end := len(name) - len(z.cfg.origin)
	// The count of labels fixes where the origin must begin, so that "xgossip." is not taken for "gossip.".
	if end < 0 || n > 0 && int(starts[n]) != end || n == 0 && end != 0 || !bytes.Equal(name[end:], z.cfg.origin) {
		return Result{Outcome: Refused}, true
	}
	rel := name[:end]
	if n == 0 {
		return z.apex(t), true
	}
	if e, ok := z.names.get(rel); ok {
		return z.at(e, t), true
	}
	labels := labelsOf(rel, starts[:n])
	if n < 3 || string(labels.at(n-1)) != serviceLabel {
		return Result{Outcome: NXDomain}, true
	}
	if proto := string(labels.at(1)); n == 3 && (proto == "_tcp" || proto == "_udp") {
		return z.rfc2782(labels.at(0), t), true
	}
	if !search {
		return Result{}, false
	}
	return z.filtered(labels, t), true
}

// split checks a wire name, and puts it into buf in lower case and the places of its labels into starts.
func split(wire []byte, buf *[maxName]byte, starts *[maxName / 2]uint8) (labels int, ok bool) {
	if len(wire) == 0 || len(wire) > maxName {
		return 0, false
	}
	for i := 0; ; labels++ {
		size := int(wire[i])
		buf[i] = wire[i]
		if size == 0 {
			return labels, i == len(wire)-1
		}
		if size > maxLabel || i+1+size >= len(wire) {
			return 0, false
		}
		starts[labels] = uint8(i)
		for j := i + 1; j <= i+size; j++ {
			buf[j] = lowerByte(wire[j])
		}
		i += 1 + size
	}
}

// labelled is a relative name with the places of its labels.
type labelled struct {
	wire   []byte
	starts []uint8
}

func labelsOf(wire []byte, starts []uint8) labelled { return labelled{wire, starts} }

func (l labelled) at(i int) []byte {
	start := int(l.starts[i])
	return l.wire[start+1 : start+1+int(l.wire[start])]
}

// from returns the wire form of label i and all after it.
func (l labelled) from(i int) []byte { return l.wire[l.starts[i]:] }

func (z *Zone) apex(t Type) Result {
	switch t {
	case TypeSOA:
		return found(z.soa)
	case TypeNS:
		return found(z.ns)
	}
	return Result{Outcome: NoData}
}

func (z *Zone) at(e *entry, t Type) Result {
	switch {
	case e.group != nil:
		return found(e.group.set(t, z.cfg.serviceTTL))
	case e.node != nil:
		return found(e.node.host.set(t, e.node.txt))
	case e.ns != nil:
		return found(e.ns.nsHost.set(t, nil))
	}
	return Result{Outcome: NoData}
}

func (h *Host) set(t Type, txt *RRset) *RRset {
	switch t {
	case TypeA:
		return h.A
	case TypeAAAA:
		return h.AAAA
	case TypeTXT:
		return txt
	}
	return nil
}

// rfc2782 looks up _SERVICE._tcp.service and _SERVICE._udp.service. A service says nothing of its protocol, so
// both stand for it.
func (z *Zone) rfc2782(label []byte, t Type) Result {
	if len(label) < 2 || label[0] != '_' {
		return Result{Outcome: NXDomain}
	}
	var buf [maxLabel + 1 + 1 + len(serviceLabel)]byte
	k := append(buf[:0], byte(len(label)-1))
	k = append(k, label[1:]...)
	k = append(append(k, byte(len(serviceLabel))), serviceLabel...)
	e, ok := z.names.get(k)
	if !ok {
		return Result{Outcome: NXDomain}
	}
	if t != TypeSRV {
		return Result{Outcome: NoData}
	}
	return z.at(e, t)
}

// filtered looks up VALUE.KEY[.VALUE.KEY...].SERVICE.service. KEY.SERVICE.service and the like are names with
// something below them, if any member has the key.
func (z *Zone) filtered(l labelled, t Type) Result {
	service := len(l.starts) - 2
	e, ok := z.names.get(l.from(service))
	if !ok || e.group == nil {
		return Result{Outcome: NXDomain}
	}
	odd := service % 2 // 1 if the first label is a KEY without a VALUE
	var match []*endpoint
next:
	for _, ep := range e.group.all {
		if odd == 1 && !ep.node.hasKey(l.at(0)) {
			continue
		}
		for i := odd; i < service; i += 2 {
			if !ep.node.hasTag(l.at(i+1), l.at(i)) {
				continue next
			}
		}
		match = append(match, ep)
	}
	switch {
	case len(match) == 0:
		return Result{Outcome: NXDomain}
	case odd == 1:
		return Result{Outcome: NoData}
	}
	return found((&group{all: match}).set(t, z.cfg.serviceTTL))
}

// found is the result for a name that exists, whose set of the type asked for may be nil or without records.
func found(set *RRset) Result {
	if set == nil || set.Len() == 0 {
		return Result{Outcome: NoData}
	}
	return Result{Outcome: Success, Answer: set}
}
