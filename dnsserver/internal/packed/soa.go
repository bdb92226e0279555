package packed

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// denial is the SOA record of negative answers. Its names end in the zone's origin, which is also how the question ends:
// there they point to, if the question spells it in small letters. Else they are spelt out, since they are to be seen
// as they are, whatever case the client plays with.
type denial struct {
	origin  []byte // wire form
	primary []byte // first label, with its length
	mailbox []byte

	pointing, spelt        []byte // the record from its type on
	primaryEnd, mailboxEnd int    // in pointing: offsets of the two pointers to the origin
	speltPrimary           int    // in spelt: offset of the origin in the primary's name
	speltMailbox           int    // in spelt: offset of the pointer to that
}

// packSOA makes the denial of a zone from its SOA; it returns nil if the names in it are not as expected.
func packSOA(s *zone.RRset) any {
	none := (*denial)(nil)
	if s.Type != zone.TypeSOA || s.SOA == nil {
		return none
	}
	first, origin, ok := cutLabel(s.SOA.Mailbox)
	if !ok {
		return none
	}
	d := &denial{origin: origin, mailbox: first}
	first, rest, ok := cutLabel(s.SOA.Primary)
	if !ok || !bytes.Equal(rest, origin) || bytes.Equal(first, d.mailbox) {
		return none
	}
	d.primary = first

	head := func() []byte {
		b := appendHead(nil, zone.TypeSOA, s.TTL, 0)
		return b[pointerSize:]
	}
	tail := func(b []byte) []byte {
		for _, n := range []uint32{s.SOA.Serial, s.SOA.Refresh, s.SOA.Retry, s.SOA.Expire, s.SOA.Minimum} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		binary.BigEndian.PutUint16(b[rrHead-2:], uint16(len(b)-rrHead))
		return b
	}
	b := append(head(), d.primary...)
	d.primaryEnd = len(b)
	b = append(append(b, 0, 0), d.mailbox...)
	d.mailboxEnd = len(b)
	d.pointing = tail(append(b, 0, 0))

	b = append(head(), d.primary...)
	d.speltPrimary = len(b)
	b = append(append(b, origin...), d.mailbox...)
	d.speltMailbox = len(b)
	d.spelt = tail(append(b, 0, 0))
	return d
}

// cutLabel returns the first label of a name and the rest of it, in wire form.
func cutLabel(name string) (first, rest []byte, ok bool) {
	wire, err := zone.ParseName(name)
	if err != nil || len(wire) < 2 || strings.ToLower(name) != name {
		return nil, nil, false
	}
	n := 1 + int(wire[0])
	return wire[:n], wire[n:], true
}

// appendTo appends the record to a reply that ends with its question. It returns nil if it is not sure how: where the
// question's name and those of the record have more in common than the origin.
func (d *denial) appendTo(out []byte) []byte {
	name := out[headerSize : len(out)-questionTail]
	at := len(name) - len(d.origin)
	owner := pointerMark | uint16(headerSize+at)
	asked := name[at:]
	start := len(out) + pointerSize
	if bytes.Equal(asked, d.origin) {
		if bytes.HasSuffix(name[:at], d.primary) || bytes.HasSuffix(name[:at], d.mailbox) {
			return nil
		}
		out = binary.BigEndian.AppendUint16(out, owner)
		out = append(out, d.pointing...)
		binary.BigEndian.PutUint16(out[start+d.primaryEnd:], owner)
		binary.BigEndian.PutUint16(out[start+d.mailboxEnd:], owner)
		return out
	}
	// Of an origin of several labels the last ones may be spelt alike and so be pointed to.
	if last := lastLabel(d.origin); bytes.Equal(asked[len(asked)-len(last):], last) {
		return nil
	}
	out = binary.BigEndian.AppendUint16(out, owner)
	out = append(out, d.spelt...)
	binary.BigEndian.PutUint16(out[start+d.speltMailbox:], pointerMark|uint16(start+d.speltPrimary))
	return out
}

// lastLabel returns the last label of a name and its root.
func lastLabel(wire []byte) []byte {
	last := wire
	for off := 0; wire[off] != 0; off += 1 + int(wire[off]) {
		last = wire[off:]
	}
	return last
}
