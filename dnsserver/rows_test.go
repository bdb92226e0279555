package dnsserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// TestWhatMakesAnAnswerRight has a case for each kind of situation that a query can meet, and what it must get: on both
// ways through the server.
func TestWhatMakesAnAnswerRight(t *testing.T) {
	t.Parallel()
	empty, err := zone.New(zone.Config{Origin: "gossip.", Self: "a", NodeTTL: 60 * time.Second, ServiceTTL: 30 * time.Second, NegativeTTL: 2 * time.Second, Serial: 100})
	if err != nil {
		t.Fatal(err)
	}
	add := func(z *zone.Zone, name, addr string, edit func(*zone.Member)) *zone.Zone {
		m := &zone.Member{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Live: true, Tags: map[string]string{"dc": "eu"},
			Services: []zone.Service{{Name: "web", Port: 80, Weight: 100}}}
		if edit != nil {
			edit(m)
		}
		return z.Update([]zone.Change{{Name: name, Member: m}})
	}
	fresh := add(add(empty, "a", "10.0.0.1", nil), "b", "10.0.0.2", nil)
	last := func(m *zone.Member) { m.Services = append(m.Services, zone.Service{Name: "solo", Port: 1, Weight: 1}) }
	drained := add(fresh, "b", "10.0.0.2", func(m *zone.Member) { last(m); m.Services[0].Drain, m.Services[1].Drain = true, true })
	leaving := add(fresh, "b", "10.0.0.2", func(m *zone.Member) { last(m); m.Live = false })
	failed := add(fresh, "b", "10.0.0.2", func(m *zone.Member) { last(m); m.Down = true })
	stale := add(fresh, "b", "10.0.0.2", func(m *zone.Member) { last(m); m.Stale = true }).WithTrust(zone.Doubtful)
	doubtful := failed.WithTrust(zone.Doubtful)
	many := fresh
	for i := range 200 {
		many = add(many, fmt.Sprint("many", i), fmt.Sprintf("10.1.0.%d", i), nil)
	}
	unready := empty.WithTrust(zone.NotReady)

	const none = -1
	plain := func(*dns.Msg) {}
	edns := func(m *dns.Msg) { m.SetEdns0(1232, false) }
	tests := []struct {
		situation string
		zone      *zone.Zone
		question  string
		qtype     uint16
		edit      func(*dns.Msg)
		path      path

		rcode, answers int
		aa, soa, tc    bool
		ede            int
		ttl            uint32 // of the first answer, or of the SOA record
	}{
		{"known, type present", fresh, "web.service", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 2, true, false, false, none, 30},
		{"known, type present: a node", fresh, "a.node", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 60},
		{"known, type absent", fresh, "web.service", dns.TypeAAAA, edns, overUDP, dns.RcodeSuccess, 0, true, true, false, none, 2},
		{"empty non-terminal", fresh, "dc.tag", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 0, true, true, false, none, 2},
		{"unknown", fresh, "nope.service", dns.TypeA, edns, overUDP, dns.RcodeNameError, 0, true, true, false, none, 2},
		{"not yet joined", unready, "nope.service", dns.TypeA, edns, overUDP, dns.RcodeServerFailure, 0, false, false, false, 14, 0},
		{"not yet joined, no EDNS", unready, "", dns.TypeSOA, plain, overUDP, dns.RcodeServerFailure, 0, false, false, false, none, 0},
		{"no zone at all", nil, "nope.service", dns.TypeA, edns, overUDP, dns.RcodeServerFailure, 0, false, false, false, 14, 0},
		{"collapsed, and we look cut off", stale, "web.service", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 2, true, false, false, 3, zone.MaxStaleTTL},
		{"the last of a service, and we look cut off", stale, "solo.service", dns.TypeSRV, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, 3, zone.MaxStaleTTL},
		{"of whom we are certain, though we look cut off", stale, "a.node", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 60},
		{"shown no longer, and we still look cut off", doubtful, "solo.service", dns.TypeA, edns, overUDP, dns.RcodeServerFailure, 0, false, false, false, 14, 0},
		{"unknown, and we look cut off", doubtful, "nope.service", dns.TypeA, edns, overUDP, dns.RcodeServerFailure, 0, false, false, false, 14, 0},
		{"type absent, though we look cut off", doubtful, "a.node", dns.TypeAAAA, edns, overUDP, dns.RcodeSuccess, 0, true, true, false, none, 2},
		{"failed", failed, "solo.service", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 0, true, true, false, none, 2},
		{"failed: the node", failed, "b.node", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 0, true, true, false, none, 2},
		{"out of zone", fresh, "example.com.", dns.TypeA, edns, overUDP, dns.RcodeRefused, 0, false, false, false, 20, 0},
		{"drained", drained, "web.service", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 30},
		{"drained: the last", drained, "solo.service", dns.TypeSRV, edns, overUDP, dns.RcodeSuccess, 0, true, true, false, none, 2},
		{"drained: the node", drained, "b.node", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 60},
		{"drained: the tag", drained, "eu.dc.tag", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 2, true, false, false, none, 30},
		{"leaving", leaving, "web.service", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 30},
		{"leaving: the tag", leaving, "eu.dc.tag", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 30},
		{"leaving: the node", leaving, "b.node", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 60},
		{"more than fits", many, "web.service", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 0, true, false, true, none, 0},
		{"more than fits, no EDNS", many, "web.service", dns.TypeA, plain, overUDP, dns.RcodeSuccess, 29, true, false, true, none, 30},
		{"the same over TCP", many, "web.service", dns.TypeA, plain, overTCP, dns.RcodeSuccess, 202, true, false, false, none, 30},
		{"ANY", fresh, "a.node", dns.TypeANY, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 60},
		{"EDNS version 1", fresh, "a.node", dns.TypeA, func(m *dns.Msg) { edns(m); m.IsEdns0().SetVersion(1) }, overUDP, dns.RcodeBadVers, 0, false, false, false, none, 0},
		{"an unknown option", fresh, "a.node", dns.TypeA, func(m *dns.Msg) {
			edns(m)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte{1}}}
		}, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 60},
		{"malformed: two questions", fresh, "a.node", dns.TypeA, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, overUDP, dns.RcodeFormatError, 0, false, false, false, none, 0},
		{"any case", fresh, "A.nOdE", dns.TypeA, edns, overUDP, dns.RcodeSuccess, 1, true, false, false, none, 60},
	}
	for _, tt := range tests {
		t.Run(tt.situation, func(t *testing.T) {
			t.Parallel()
			qname := tt.question
			switch {
			case qname == "":
				qname = "gossip."
			case qname[len(qname)-1] != '.':
				qname += ".gossip."
			}
			m := new(dns.Msg).SetQuestion(qname, tt.qtype)
			tt.edit(m)
			for _, quickly := range []bool{false, true} {
				r := newResponder(tt.zone)
				if quickly {
					r.quick = newQuick(&r.policy, new(counters))
				}
				got := ask(t, r, m, tt.path)
				ede := none
				if opt := got.IsEdns0(); (opt != nil) != (m.IsEdns0() != nil) || opt != nil && opt.UDPSize() != 1232 {
					t.Errorf("OPT is %v", opt)
				} else if opt != nil {
					for _, o := range opt.Option {
						if e, ok := o.(*dns.EDNS0_EDE); ok {
							ede = int(e.InfoCode)
						}
					}
				}
				var ttl uint32
				soa := len(got.Ns) == 1
				switch {
				case len(got.Answer) > 0:
					ttl = got.Answer[0].Header().Ttl
				case soa:
					ttl = got.Ns[0].(*dns.SOA).Hdr.Ttl
				}
				if got.Rcode != tt.rcode || len(got.Answer) != tt.answers || got.Authoritative != tt.aa || soa != tt.soa || got.Truncated != tt.tc || ede != tt.ede || ttl != tt.ttl ||
					len(got.Question) > 0 && got.Question[0].Name != qname {
					t.Errorf("quickly %t: EDE %d, TTL %d, in\n%v", quickly, ede, ttl, got)
				}
			}
		})
	}

	// What is no query gets no answer, and what cannot be read gets told so.
	r := newResponder(fresh)
	for what, tt := range map[string]struct {
		packet []byte
		rcode  int // none: silence
	}{
		"too short":       {[]byte{1, 2, 3}, none},
		"a response":      {binary.BigEndian.AppendUint16([]byte{1, 2}, 1<<15|1)[:4:4], none},
		"a cut question":  {append([]byte{1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 3, 'w', 'e'), dns.RcodeFormatError},
		"a wild label":    {append([]byte{1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 0xc0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
		"octets too many": {append([]byte{1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 0, 0, 1, 0, 1, 9, 9), dns.RcodeFormatError},
	} {
		out := r.respond(tt.packet, overUDP)
		if got := len(out) >= headerSize; got != (tt.rcode != none) || got && int(out[3]&15) != tt.rcode {
			t.Errorf("%s: got %x", what, out)
		}
	}
}
