package dnssec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Deny returns the NSEC record that says which types a name has and that nothing lies between it and the next possible
// name. Types without NXNAME mean that the name exists, perhaps with none; Nonexistent is for names that do not.
func Deny(name string, types []uint16, ttl uint32) (*dns.NSEC, error) {
	next, err := nextName(name)
	if err != nil {
		return nil, err
	}
	bitmap := append(slices.Clone(types), dns.TypeRRSIG, dns.TypeNSEC)
	slices.Sort(bitmap)
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
		NextDomain: next,
		TypeBitMap: slices.Compact(bitmap),
	}, nil
}

// Nonexistent are the types that a name which does not exist has in an NSEC record, RFC 9824 section 3.2.
func Nonexistent() []uint16 { return []uint16{dns.TypeNXNAME} }

const maxName = 255 // octets on the wire

// nextName returns the name that follows in canonical order, in lower case: the one with the label \000 before it, or if
// that would be too long, one next to it (RFC 4471 section 3.1.2 has the rules).
func nextName(name string) (string, error) {
	name = dns.CanonicalName(name)
	var buf [maxName]byte
	n, err := dns.PackDomainName(name, buf[:], 0, nil, false)
	if err != nil {
		return "", fmt.Errorf("the name after %s: %w", name, err)
	}
	if n+2 <= maxName {
		return `\000.` + strings.TrimPrefix(name, "."), nil
	}
	wire := slices.Clone(buf[:n])
	for size := int(wire[0]); size > 0; size = int(wire[0]) {
		last := &wire[size]
		switch {
		case *last == 0xff: // no octet is greater: the name without it is shorter, and its successor follows
			wire = slices.Delete(wire, size, size+1)
			wire[0]--
			continue
		case *last == 'A'-1: // the next ones count as small letters
			*last = 'Z' + 1
		default:
			*last++
		}
		next, _, err := dns.UnpackDomainName(wire, 0)
		return next, err
	}
	return "", fmt.Errorf("no name follows %s", name)
}
