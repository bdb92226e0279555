// Package record turns the record sets of a zone into resource records: as the DNS library has them, for messages, and in
// a compact form that can be compared and kept. It is pure.
package record

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Record is one resource record in uncompressed wire form. Equal records are equal strings.
type Record string

// Of returns the records of a set in order; no set has none. The owner is fully qualified.
func Of(owner string, set *zone.RRset) []dns.RR {
	if set == nil {
		return nil
	}
	rrs := make([]dns.RR, 0, set.Len())
	h := dns.RR_Header{Name: owner, Rrtype: uint16(set.Type), Class: dns.ClassINET, Ttl: set.TTL}
	for i := range set.Len() {
		switch set.Type {
		case zone.TypeA:
			rrs = append(rrs, &dns.A{Hdr: h, A: set.Addrs[i].AsSlice()})
		case zone.TypeAAAA:
			rrs = append(rrs, &dns.AAAA{Hdr: h, AAAA: set.Addrs[i].AsSlice()})
		case zone.TypeSRV:
			s := set.SRV[i]
			rrs = append(rrs, &dns.SRV{Hdr: h, Priority: s.Priority, Weight: s.Weight, Port: s.Port, Target: s.Target.Name})
		case zone.TypeTXT:
			txt := make([]string, len(set.TXT[i]))
			for j, s := range set.TXT[i] {
				txt[j] = Escape(s)
			}
			rrs = append(rrs, &dns.TXT{Hdr: h, Txt: txt})
		case zone.TypePTR:
			rrs = append(rrs, &dns.PTR{Hdr: h, Ptr: set.Names[i]})
		case zone.TypeNS:
			rrs = append(rrs, &dns.NS{Hdr: h, Ns: set.NS[i].Name})
		case zone.TypeSOA:
			s := set.SOA
			rrs = append(rrs, &dns.SOA{
				Hdr: h, Ns: s.Primary, Mbox: s.Mailbox, Serial: s.Serial,
				Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.Minimum,
			})
		}
	}
	return rrs
}

// Pack returns the compact form of a record.
func Pack(rr dns.RR) (Record, error) {
	buf := make([]byte, dns.Len(rr))
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return "", fmt.Errorf("record of %s: %w", rr.Header().Name, err)
	}
	return Record(buf[:n]), nil
}

// PackAll returns the compact forms of a set's records. A record that cannot be packed, which would be our mistake, is
// left out: so it is from answers.
func PackAll(owner string, set *zone.RRset) []Record {
	rrs := Of(owner, set)
	out := make([]Record, 0, len(rrs))
	for _, rr := range rrs {
		if r, err := Pack(rr); err == nil {
			out = append(out, r)
		}
	}
	return out
}

// RR returns the record as the DNS library has it. It must come from Pack.
func (r Record) RR() dns.RR {
	rr, _, err := dns.UnpackRR([]byte(r), 0)
	if err != nil {
		return &dns.ANY{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeANY, Class: dns.ClassINET}} // no Record of ours
	}
	return rr
}

// String returns the record as a line of a zone file.
func (r Record) String() string { return r.RR().String() }

// Diff returns what has to go from old and to be added to it to make it now, each in its order. See zone.Places for what
// it costs.
func Diff(old, now []Record) (gone, added []Record) {
	from, to := zone.Places(old, now)
	for _, i := range from {
		gone = append(gone, old[i])
	}
	for _, i := range to {
		added = append(added, now[i])
	}
	return gone, added
}

// Patch returns the list without those that are gone, and with those added: in the places of the others while there are some, so
// that Diff need not look for them, then behind. It does not change the list.
func Patch(list, gone, added []Record) []Record {
	out := make([]Record, 0, max(len(list)+len(added)-len(gone), 0))
	left := make(map[Record]struct{}, len(gone))
	for _, r := range gone {
		left[r] = struct{}{}
	}
	for _, r := range list {
		if len(left) > 0 {
			if _, ok := left[r]; ok {
				if len(added) == 0 {
					continue
				}
				r, added = added[0], added[1:]
			}
		}
		out = append(out, r)
	}
	return append(out, added...)
}

// Text returns a string as it stands in dns.TXT. It must fit into one string of such a record.
func Text(s string) (string, error) {
	if len(s) > maxString {
		return "", fmt.Errorf("%d octets are more than the %d that a string may have", len(s), maxString)
	}
	return Escape(s), nil
}

const maxString = 255 // RFC 1035 section 3.3

// Escape writes a string as the library takes it: in the escapes of zone files. One without need of them is itself.
func Escape(s string) string {
	first := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' || r == '"' })
	if first < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)+8), s[:first]...)
	for i := first; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' || c == '"':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
