package dnsserver

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// secured answers for one signed zone.
type secured struct {
	*responder
	path   path
	zone   *zone.Zone
	signer *dnssec.Signer
}

// secured returns nil for a zone that is not signed.
func (r *responder) secured(z *zone.Zone, p path) *secured {
	if !p.id.signer.Signs(z.Origin()) {
		return nil
	}
	return &secured{r, p, z, p.id.signer}
}

// answer fills in the reply, and signs it for who sets the DO bit.
func (s *secured) answer(result zone.Result, rep *reply) {
	do := rep.req.edns.do && rep.authoritative
	if do {
		rep.size += s.signer.Size(s.zone.Origin()) // kept for the signatures of the answer
		rep.compact = rep.req.edns.co              // RFC 9824 section 5.1: by it a resolver knows what the code means
	}
	if !s.special(rep, result.Outcome) {
		s.unsigned(result, rep)
	}
	if do && (rep.rcode == dns.RcodeSuccess || rep.rcode == dns.RcodeNameError) {
		s.sign(rep, result.Outcome)
	}
}

// special answers for the types that a zone has because it is signed: keys at the apex, NSEC and RRSIG at every name.
// It returns false for other types, and where there are none.
func (s *secured) special(rep *reply, outcome zone.Outcome) bool {
	if outcome != zone.NoData && outcome != zone.Dynamic {
		return false
	}
	switch t := rep.req.question.Qtype; t {
	case dns.TypeNSEC:
		nsec, err := s.denial(rep, outcome)
		if err != nil {
			return false
		}
		rep.answer = []dns.RR{nsec}
	case dns.TypeRRSIG:
		// One set's signatures are enough, as one set is for ANY (RFC 8482).
		result := lookup(s.zone, rep.req.wireName, dns.TypeANY)
		if result.Outcome != zone.Success {
			return false
		}
		s.addAnswer(rep, result.Answer)
		sigs, err := s.signer.Sign(s.path.now, s.zone.Origin(), rep.answer)
		if rep.answer, rep.additional = sigs, nil; err != nil {
			return false
		}
	default:
		if !s.apex(rep) {
			return false
		}
		rep.answer = s.signer.Apex(s.zone.Origin(), t)
	}
	for _, rr := range rep.answer {
		rr.Header().Name = rep.req.question.Name
	}
	return len(rep.answer) > 0
}

// apex tells whether the question is about the zone itself.
func (s *secured) apex(rep *reply) bool { return len(rep.req.question.Name) == len(s.zone.Origin()) }

// sign makes a reply one that can be validated.
func (s *secured) sign(rep *reply, outcome zone.Outcome) {
	var err error
	switch {
	case rep.truncated:
		rep.empty() // a part of a set proves nothing
	case len(rep.answer) > 0:
		err = s.signAnswer(rep)
	default:
		err = s.deny(rep, outcome)
	}
	if err != nil {
		s.stats.errors.Add(1)
		rep.empty()
		rep.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "the answer cannot be signed")
	}
}

func (s *secured) signAnswer(rep *reply) error {
	if rep.req.question.Qtype == dns.TypeRRSIG {
		return nil
	}
	sigs, err := s.signer.Sign(s.path.now, s.zone.Origin(), rep.answer)
	if err != nil {
		return err
	}
	rep.answer = append(rep.answer, sigs...)
	// RFC 4035 section 3.1.1: signatures of what is additional may be left out where there is no room.
	for i := 0; i < len(rep.additional); {
		end := i + 1
		for end < len(rep.additional) && sameSet(rep.additional[i], rep.additional[end]) {
			end++
		}
		owner := rep.additional[i].Header().Name
		size := s.signer.Size(s.zone.Origin()) + wireLen(owner)
		if rep.size+size > rep.limit {
			break
		}
		sigs, err := s.signer.Sign(s.path.now, s.zone.Origin(), rep.additional[i:end])
		if err != nil {
			return err
		}
		rep.size += size
		rep.additional = slices.Insert(rep.additional, end, sigs...)
		i = end + len(sigs)
	}
	return nil
}

func sameSet(a, b dns.RR) bool {
	return a.Header().Rrtype == b.Header().Rrtype && a.Header().Name == b.Header().Name
}

// deny proves that there is nothing. To who does not say that it takes compact answers with another code (RFC 9824 section
// 5.1), a name that does not exist is one without records.
func (s *secured) deny(rep *reply, outcome zone.Outcome) error {
	nsec, err := s.denial(rep, outcome)
	if err != nil {
		return err
	}
	soa, err := s.signer.Sign(s.path.now, s.zone.Origin(), rep.authority)
	if err != nil {
		return err
	}
	sign := s.signer.Sign
	if outcome == zone.NXDomain {
		sign = s.signer.SignOnce // whoever asks chooses the name
		if !rep.req.edns.co {
			rep.rcode = dns.RcodeSuccess
		}
	}
	proof, err := sign(s.path.now, s.zone.Origin(), []dns.RR{nsec})
	if err != nil {
		return err
	}
	rep.authority = slices.Concat(rep.authority, soa, []dns.RR{nsec}, proof)
	return nil
}

// denial returns the NSEC record of the name that was asked for.
func (s *secured) denial(rep *reply, outcome zone.Outcome) (*dns.NSEC, error) {
	types := dnssec.Nonexistent()
	if outcome != zone.NXDomain {
		types = s.types(rep)
	}
	return dnssec.Deny(rep.req.question.Name, types, s.zone.SOA().TTL)
}

// zoneTypes are the types that names of a zone may have.
var zoneTypes = []zone.Type{
	zone.TypeA, zone.TypeNS, zone.TypeSOA, zone.TypePTR, zone.TypeTXT, zone.TypeAAAA, zone.TypeSRV,
}

// types lists the types of the name that was asked for, but for the one that it was found not to have.
func (s *secured) types(rep *reply) []uint16 {
	var types []uint16
	for _, t := range zoneTypes {
		switch result := s.zone.Lookup(rep.req.wireName, t); {
		case result.Outcome == zone.Success, result.Outcome == zone.Dynamic && t == zone.TypeTXT && s.policy.status != nil:
			types = append(types, uint16(t))
		}
	}
	if s.apex(rep) {
		types = append(types, dnssec.ApexTypes()...)
	}
	return slices.DeleteFunc(types, func(t uint16) bool { return t == rep.req.question.Qtype })
}
