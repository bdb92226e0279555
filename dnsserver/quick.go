package dnsserver

import (
	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
	"github.com/seed-645ce708/gossip/dnsserver/internal/packed"
	"github.com/seed-645ce708/gossip/dnsserver/internal/rrl"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// quick is the way that plain questions take: past parsing, building and packing a message. What is not plain it leaves
// to the responder behind it. It serves one goroutine.
type quick struct {
	packed *packed.Responder
	policy *policy
	stats  *counters
}

// quickSize is the room for replies to start with; longer ones are rare.
const quickSize = 2048

func newQuick(policy *policy, stats *counters) *quick {
	return &quick{packed: packed.New(packed.Config{Size: advertised, Cookies: policy.cookies != nil}), policy: policy, stats: stats}
}

// respond writes the reply to a packet into out, up to its capacity, and returns it. It reports false if the packet is not
// for here. A reply of nil is none: the limit of replies has it so. The time of the query must be set.
func (q *quick) respond(out, packet []byte, z *zone.Zone, p path) (reply []byte, ok bool) {
	if z == nil {
		return nil, false
	}
	reply, result := q.packed.Respond(out, packet, z, packed.Path{
		TCP: p.tcp, UDPLimit: p.udpLimit, Signed: q.policy.identity.load().signer != nil,
	})
	if reply == nil {
		return nil, false
	}
	known := p.tcp
	if result.Cookie != nil {
		good := q.policy.cookies.Check(result.Cookie, p.client, p.now) == cookie.Good
		if known = known || good; !known && q.policy.requireCookie {
			return nil, false
		}
		q.fillCookie(reply, result.Cookie, good, p)
	}
	if q.policy.limiter != nil && !known {
		switch q.policy.limiter.Decide(p.client, kindOf(result.Outcome), p.now.Sub(q.policy.origin)) {
		case rrl.Drop:
			q.stats.dropped.Add(1)
			return nil, true
		case rrl.Slip:
			q.stats.slipped.Add(1)
			reply = result.Empty(reply)
		}
	}
	q.stats.rcodes[result.Rcode].Add(1)
	q.stats.types[typeIndex(result.Type)].Add(1)
	if result.Truncated {
		q.stats.truncated.Add(1)
	}
	return reply, true
}

// fillCookie puts a fresh cookie at the end of the reply, and counts the one of the query.
func (q *quick) fillCookie(reply, sent []byte, good bool, p path) {
	fresh := q.policy.cookies.Make([cookie.ClientSize]byte(sent), p.client, p.now)
	copy(reply[len(reply)-len(fresh):], fresh[:])
	switch {
	case good:
		q.stats.cookiesGood.Add(1)
	case len(sent) > cookie.ClientSize:
		q.stats.cookiesBad.Add(1)
	}
}

// kindOf is what the limit counts a reply as.
func kindOf(o zone.Outcome) rrl.Kind {
	switch o {
	case zone.NXDomain:
		return rrl.NXDomain
	case zone.NoData:
		return rrl.NoData
	case zone.Success, zone.Dynamic:
		return rrl.Answer
	default:
		return rrl.Error
	}
}
