package dnsserver

import (
	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/internal/rrl"
	"github.com/seed-645ce708/gossip/dnsserver/record"
)

// chaos answers what the server says about itself, in the class that other servers use for it (RFC 4892). What the
// operator did not choose to tell is refused, so that nobody can pick targets by version.
func (r *responder) chaos(req *request, rep *reply) {
	var text string
	switch dns.CanonicalName(req.question.Name) {
	case "version.bind.", "version.server.":
		text = r.policy.version
	case "hostname.bind.", "id.server.":
		text = r.policy.nsid
	}
	if text == "" {
		rep.fail(dns.RcodeRefused, dns.ExtendedErrorCodeProhibited, "")
		return
	}
	rep.authoritative = true
	if t := req.question.Qtype; t != dns.TypeTXT && t != dns.TypeANY || !r.admit(rep, rrl.Answer) {
		return
	}
	h := rep.header(dns.TypeTXT, 0)
	h.Class = dns.ClassCHAOS
	rep.answer = []dns.RR{&dns.TXT{Hdr: h, Txt: []string{record.Escape(text)}}}
	rep.size += pointerSize + rrHead + 1 + len(text)
}
