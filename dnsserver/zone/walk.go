package zone

import "iter"

// Names yields every name that has records or exists without them, each with its dot at the end, in canonical order
// (RFC 4034 section 6.1): the origin comes first, and a name before what is below it. Names that exist only because
// something is below them are left out, and so are services by more than one tag, of which there is no end.
func (z *Zone) Names() iter.Seq2[string, Name] {
	return func(yield func(string, Name) bool) {
		for k, n := range z.names.all() {
			if !yield(text(k, z.origin.text), n) {
				return
			}
		}
	}
}

// RRsets yields all record sets with their owners, in the order of Names and types, but for the SOA record, which comes
// first. Sets that nobody asked for yet are built on the way.
func (z *Zone) RRsets() iter.Seq2[string, *RRset] {
	return func(yield func(string, *RRset) bool) {
		if !yield(z.origin.text, z.soa) {
			return
		}
		for owner, n := range z.Names() {
			for set := range n.Sets() {
				if set != z.soa && !yield(owner, set) {
					return
				}
			}
		}
	}
}

// Delta is one name that two generations differ in.
type Delta struct {
	Owner    string // with the last dot, in lower case
	Old, New Name   // a zero Name is not there
}

// Apart yields what the two differ in, as sets of one type each: of what is gone, what was added, or both. The SOA record is
// left out.
func (d Delta) Apart() iter.Seq2[*RRset, *RRset] {
	return func(yield func(gone, added *RRset) bool) {
		for _, t := range [...]Type{TypeA, TypeNS, TypePTR, TypeTXT, TypeAAAA, TypeSRV} {
			gone, added := Apart(d.Old.Set(t), d.New.Set(t))
			if (gone != nil || added != nil) && !yield(gone, added) {
				return
			}
		}
	}
}

// Diff yields the names in which two generations of a zone differ, in canonical order; the origin is one of them
// unless the serial is the same. Its price depends on what differs, if one was made from the other. A name is among
// them when the address of a target changed, too, and when its records came out the same: what is in the records
// is compared by RRset.Equal.
func Diff(old, now *Zone) iter.Seq[Delta] {
	return func(yield func(Delta) bool) {
		for k, pair := range diff(old.names, now.names) {
			if !yield(Delta{text(k, now.origin.text), pair[0], pair[1]}) {
				return
			}
		}
	}
}
