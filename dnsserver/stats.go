package dnsserver

import (
	"sync/atomic"

	"github.com/miekg/dns"
)

// Stats is what a server has done since it was made. Counts only grow.
type Stats struct {
	UDP, TCP   uint64            // packets received, malformed ones included
	Rcodes     map[string]uint64 // replies by code, such as "NOERROR"
	Types      map[string]uint64 // replies by type asked for, such as "A"; "other" for those not listed
	Truncated  uint64            // replies with the TC bit
	Stale      uint64            // replies marked as what was known last
	Silent     uint64            // packets that got no reply, as they were no queries
	Errors     uint64            // failures to read, write or make a reply
	TCPRefused uint64            // connections closed at once, as there were too many
}

// counted are the types that are counted by name.
var counted = [...]uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeANY, dns.TypePTR, dns.TypeHTTPS,
}

type counters struct {
	udp, tcp, truncated, stale, silent, errors, tcpRefused atomic.Uint64

	rcodes [dns.RcodeBadVers + 1]atomic.Uint64
	types  [len(counted) + 1]atomic.Uint64 // the last one is all others
}

func (c *counters) count(req *request, rep *reply) {
	c.rcodes[rep.rcode].Add(1)
	if rep.truncated {
		c.truncated.Add(1)
	}
	if rep.stale {
		c.stale.Add(1)
	}
	if req.questions != 1 || req.wireName == nil {
		return
	}
	for i, t := range counted {
		if t == req.question.Qtype {
			c.types[i].Add(1)
			return
		}
	}
	c.types[len(counted)].Add(1)
}

func (c *counters) read() Stats {
	s := Stats{
		UDP:        c.udp.Load(),
		TCP:        c.tcp.Load(),
		Rcodes:     make(map[string]uint64),
		Types:      make(map[string]uint64),
		Truncated:  c.truncated.Load(),
		Stale:      c.stale.Load(),
		Silent:     c.silent.Load(),
		Errors:     c.errors.Load(),
		TCPRefused: c.tcpRefused.Load(),
	}
	for i := range c.rcodes {
		if n := c.rcodes[i].Load(); n > 0 {
			name := dns.RcodeToString[i]
			if i == dns.RcodeBadVers {
				name = "BADVERS" // shares its number with BADSIG, which we never send
			}
			s.Rcodes[name] = n
		}
	}
	for i := range c.types {
		if n := c.types[i].Load(); n > 0 {
			name := "other"
			if i < len(counted) {
				name = dns.TypeToString[counted[i]]
			}
			s.Types[name] = n
		}
	}
	return s
}
