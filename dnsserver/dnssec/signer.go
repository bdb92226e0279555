package dnssec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// How long signatures hold. They are made as they are asked for, so nothing is gained by long ones; a week leaves room for
// the caches of resolvers and the clocks of their hosts.
const (
	validity = 7 * 24 * time.Hour
	// jitter is by how much less a signature may hold, so that not all end, and are made anew, at once.
	jitter = 24 * time.Hour
	// early is how long before its making a signature begins to hold.
	early = time.Hour
	// renew is how long before its end a signature is made anew.
	renew = 3 * 24 * time.Hour
)

// Signer signs the record sets of zones. It may be used by several goroutines.
type Signer struct {
	keys  map[string][]*Key // by zone
	cache cache
}

// NewSigner returns a signer with the keys of one or several zones.
func NewSigner(keys []*Key) (*Signer, error) {
	s := &Signer{keys: map[string][]*Key{}}
	for _, k := range keys {
		if k.signer == nil {
			return nil, fmt.Errorf("key %v has no private half", k)
		}
		for _, other := range s.keys[k.Zone()] {
			if other.tag == k.tag && other.Algorithm() == k.Algorithm() {
				return nil, fmt.Errorf("key %v is there twice, or its tag is", k)
			}
		}
		s.keys[k.Zone()] = append(s.keys[k.Zone()], k)
	}
	return s, nil
}

// Equal reports whether two signers have the same keys; nil has none.
func (s *Signer) Equal(other *Signer) bool { return slices.Equal(s.Keys(), other.Keys()) }

// Keys lists the keys by zone, tag and algorithm. Nil has none.
func (s *Signer) Keys() []string {
	var keys []string
	for _, z := range s.Zones() {
		for _, k := range s.keys[z] {
			keys = append(keys, k.String())
		}
	}
	slices.Sort(keys)
	return keys
}

// Zones lists the zones that are signed. Nil signs none.
func (s *Signer) Zones() []string {
	if s == nil {
		return nil
	}
	var zones []string
	for z := range s.keys {
		zones = append(zones, z)
	}
	slices.Sort(zones)
	return zones
}

// Signs tells whether a zone, in lower case and with its last dot, is signed. It is not by a nil Signer.
func (s *Signer) Signs(zone string) bool { return s != nil && len(s.keys[zone]) > 0 }

// sigFixed is how long an RRSIG record is but for owner, signer and signature (RFC 4034 section 3.1).
const sigFixed = 10 + 18

// Size is how many octets the signatures of one record set have at most, with owners that are pointers.
func (s *Signer) Size(zone string) int {
	const signature = 64 // of both algorithms
	return len(s.keys[zone]) * (2 + sigFixed + len(zone) + 1 + signature)
}

// Apex returns the records of a type that a signed zone has at its apex because it is signed: DNSKEY, CDS or CDNSKEY.
// For other types there are none. Owner and TTL are the zone's.
func (s *Signer) Apex(zone string, t uint16) []dns.RR {
	var set []dns.RR
	for _, k := range s.keys[zone] {
		switch t {
		case dns.TypeDNSKEY:
			set = append(set, dns.Copy(k.dnskey))
		case dns.TypeCDS:
			set = append(set, k.ds().ToCDS())
		case dns.TypeCDNSKEY:
			set = append(set, k.dnskey.ToCDNSKEY())
		}
	}
	return set
}

// ApexTypes are the types that Apex knows.
func ApexTypes() []uint16 { return []uint16{dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY} }

// Sign returns the signatures of a record set, one for each key of the zone. Their owner is spelled as the set's. What is
// returned is the caller's.
//
// The set is what the answer holds, in any order: of an answer that is a sample, the sample is signed.
func (s *Signer) Sign(now time.Time, zone string, set []dns.RR) ([]dns.RR, error) {
	if len(set) == 0 {
		return nil, errors.New("no records to sign")
	}
	id, err := identify(set)
	if err != nil {
		return nil, err
	}
	sigs, ok := s.cache.get(id, now)
	if !ok {
		if sigs, err = s.sign(now, zone, set); err != nil {
			return nil, err
		}
		s.cache.put(id, sigs)
	}
	return spelled(sigs, set[0].Header().Name), nil
}

// SignOnce is Sign for a set that will hardly be asked for again.
func (s *Signer) SignOnce(now time.Time, zone string, set []dns.RR) ([]dns.RR, error) {
	sigs, err := s.sign(now, zone, set)
	return spelled(sigs, set[0].Header().Name), err
}

func (s *Signer) sign(now time.Time, zone string, set []dns.RR) ([]*dns.RRSIG, error) {
	keys := s.keys[zone]
	if len(keys) == 0 {
		return nil, fmt.Errorf("zone %s has no key", zone)
	}
	from, until := now.Add(-early), now.Add(validity-rand.N(jitter))
	sigs := make([]*dns.RRSIG, 0, len(keys))
	for _, k := range keys {
		sig := &dns.RRSIG{
			Hdr:        dns.RR_Header{Ttl: set[0].Header().Ttl},
			Algorithm:  k.dnskey.Algorithm,
			Inception:  uint32(from.Unix()),
			Expiration: uint32(until.Unix()),
			KeyTag:     k.tag,
			SignerName: zone,
		}
		if err := sig.Sign(k.signer, set); err != nil {
			return nil, fmt.Errorf("signing %s %s: %w", set[0].Header().Name, dns.Type(set[0].Header().Rrtype), err)
		}
		sigs = append(sigs, sig)
	}
	return sigs, nil
}

// spelled returns copies of the signatures with another spelling of their owner.
func spelled(sigs []*dns.RRSIG, owner string) []dns.RR {
	out := make([]dns.RR, len(sigs))
	for i, sig := range sigs {
		c := *sig
		c.Hdr.Name = owner
		out[i] = &c
	}
	return out
}
