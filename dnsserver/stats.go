package dnsserver

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Stats is what a server has done since it was made. Counts only grow, but for Connections and Shedding.
type Stats struct {
	UDP, TCP, TLS uint64            // packets received, malformed ones included; TCP without TLS
	Rcodes        map[string]uint64 // replies by code, such as "NOERROR"
	Types         map[string]uint64 // replies by type asked for, such as "A"; "other" for those not listed
	Truncated     uint64            // replies with the TC bit, those over the limit included
	Stale         uint64            // replies marked as what was known last
	Silent        uint64            // packets that got no reply, as they were no queries
	Errors        uint64            // failures to read, write or make a reply
	Slipped       uint64            // replies over the limit that went out empty
	Dropped       uint64            // replies over the limit that did not go out
	Lost          uint64            // packets that the kernel dropped, for want of room or since their network floods (Linux)
	Shedding      uint64            // networks that flood and are kept out by the kernel, now
	CookiesGood   uint64            // queries with a cookie of ours
	CookiesBad    uint64            // queries with a cookie that is not ours, not the sender's, or too old
	Connections   int               // open now, TLS included
	TCPRefused    uint64            // connections closed at once, as there were too many
	TCPEvicted    uint64            // idle connections closed to make room for another
	TLSFailed     uint64            // connections whose handshake failed
	Latency       Latency           // from a query's arrival to its reply
}

// counted are the types that are counted by name.
var counted = [...]uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeANY, dns.TypePTR, dns.TypeHTTPS,
	dns.TypeDNSKEY, dns.TypeDS, dns.TypeAXFR, dns.TypeIXFR,
}

// counters count what a part of the server does. Each loop has its own, so that cores do not share cache lines.
type counters struct {
	udp, tcp, tls, truncated, stale, silent, errors, slipped, dropped, lost, shedding, cookiesGood, cookiesBad,
	tcpRefused, tcpEvicted, tlsFailed atomic.Uint64

	rcodes  [dns.RcodeBadCookie + 1]atomic.Uint64
	types   [len(counted) + 1]atomic.Uint64 // the last one is all others
	latency histogram
}

func (c *counters) count(req *request, rep *reply) {
	c.rcodes[rep.rcode].Add(1)
	if rep.truncated {
		c.truncated.Add(1)
	}
	if rep.stale {
		c.stale.Add(1)
	}
	if req.questions == 1 && req.wireName != nil {
		c.types[typeIndex(req.question.Qtype)].Add(1)
	}
}

// typeIndex returns where a type is counted.
func typeIndex(qtype uint16) int {
	for i, t := range counted {
		if t == qtype {
			return i
		}
	}
	return len(counted)
}

// addTo adds the counts to s.
func (c *counters) addTo(s *Stats) {
	for to, from := range map[*uint64]*atomic.Uint64{
		&s.UDP: &c.udp, &s.TCP: &c.tcp, &s.TLS: &c.tls, &s.Truncated: &c.truncated, &s.Stale: &c.stale, &s.Silent: &c.silent,
		&s.Errors: &c.errors, &s.Slipped: &c.slipped, &s.Dropped: &c.dropped, &s.CookiesGood: &c.cookiesGood,
		&s.Lost: &c.lost, &s.Shedding: &c.shedding, &s.CookiesBad: &c.cookiesBad, &s.TCPRefused: &c.tcpRefused, &s.TCPEvicted: &c.tcpEvicted, &s.TLSFailed: &c.tlsFailed,
	} {
		*to += from.Load()
	}
	for i := range c.rcodes {
		if n := c.rcodes[i].Load(); n > 0 {
			name := dns.RcodeToString[i]
			if i == dns.RcodeBadVers {
				name = "BADVERS" // shares its number with BADSIG, which we never send
			}
			s.Rcodes[name] += n
		}
	}
	for i := range c.types {
		if n := c.types[i].Load(); n > 0 {
			name := "other"
			if i < len(counted) {
				name = dns.TypeToString[counted[i]]
			}
			s.Types[name] += n
		}
	}
	for i := range c.latency {
		s.Latency[i] += c.latency[i].Load()
	}
}

// read returns the counts of these counters alone.
func (c *counters) read() Stats { return readAll([]*counters{c}) }

func readAll(all []*counters) Stats {
	s := Stats{Rcodes: make(map[string]uint64), Types: make(map[string]uint64)}
	for _, c := range all {
		c.addTo(&s)
	}
	return s
}

// tally hands out counters, and adds them up.
type tally struct {
	mu  sync.Mutex
	all []*counters
}

// counters returns new ones, which stay part of the sum.
func (t *tally) counters() *counters {
	c := new(counters)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, c)
	return c
}

func (t *tally) read() Stats {
	t.mu.Lock()
	all := t.all
	t.mu.Unlock()
	return readAll(all)
}

// latencyBuckets reach from 1 µs to half a second, and beyond.
const latencyBuckets = 21

// Latency counts queries by how long they took: in bucket i, less than 1<<i microseconds and not less than half of
// that; in the last one all others.
type Latency [latencyBuckets]uint64

// LatencyLimit returns the time below which the queries of a bucket stayed; 0 for the last one, which has no limit.
func LatencyLimit(bucket int) time.Duration {
	if bucket >= latencyBuckets-1 {
		return 0
	}
	return time.Microsecond << bucket
}

// Quantile returns a time below which the share q of the queries stayed, exact to a factor of two; 0 if there were
// none.
func (l *Latency) Quantile(q float64) time.Duration {
	var total, sum uint64
	for _, n := range l {
		total += n
	}
	for i, n := range l {
		if sum += n; n > 0 && float64(sum) >= q*float64(total) {
			return time.Microsecond << i
		}
	}
	return 0
}

// Since returns what came after an earlier reading.
func (l *Latency) Since(old *Latency) (diff Latency) {
	for i := range l {
		diff[i] = l[i] - old[i]
	}
	return diff
}

type histogram [latencyBuckets]atomic.Uint64

// observe counts one query.
func (h *histogram) observe(took time.Duration) { h.observeMany(took, 1) }

// observeMany counts queries that took the same, such as those of one batch.
func (h *histogram) observeMany(took time.Duration, n uint64) {
	h[min(bits.Len64(uint64(max(took, 0)/time.Microsecond)), latencyBuckets-1)].Add(n)
}
