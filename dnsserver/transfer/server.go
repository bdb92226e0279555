// Package transfer hands the zone to secondaries: all of it (AXFR, RFC 5936), or what changed since the version that they
// have (IXFR, RFC 1995), and tells them when there is something to fetch (NOTIFY, RFC 1996).
//
// It takes requests whose signature was checked already and writes the messages of the answer; listening is the DNS
// server's business. What is transferred is plain static data: every record set that the zone lists, which leaves out names that
// are made up when asked for and whatever differs between two answers.
//
// A version of the zone is journalled when somebody takes it, and not each time that a member changes. So
// versions in between cost nothing, and a burst of changes becomes one.
package transfer

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/journal"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Limits.
const (
	// DefaultMaxTransfers is how many transfers may run at the same time; who comes then is told to come again.
	DefaultMaxTransfers = 10
)

// Logger takes what operators want to know: who got what, and what went wrong.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// Config describes a Server.
type Config struct {
	// Source returns the zone, or nil if there is none to be trusted yet.
	Source func() *zone.Zone
	// Allow admits clients at first (see SetRules); without a rule nobody is.
	Allow []Rule
	// MaxTransfers is how many may run at the same time; 0 means DefaultMaxTransfers.
	MaxTransfers int
	Log          Logger // nil: none
}

// Server answers requests for transfers. Its methods are safe for concurrent use.
type Server struct {
	cfg     Config
	rules   atomic.Pointer[[]Rule]
	running chan struct{} // holds one value for each transfer that runs
	counts  counts
	// lastRefusal is when the log last told of a refusal, in nanoseconds of Unix time.
	lastRefusal atomic.Int64

	mu        sync.Mutex
	histories map[string]*history // by origin
}

type counts struct{ full, incremental, current, fallback, refused, busy, failed atomic.Uint64 }

// Stats is what a server has done since it was made. Counts only grow, but for the last three.
type Stats struct {
	Full        uint64 // transfers of all of the zone, those asked for as increments included
	Incremental uint64 // transfers of what changed
	Current     uint64 // increments asked for by those who had all
	Fallback    uint64 // of Full: an increment was asked for, from a version that we know nothing of
	Refused     uint64 // requests that no rule admits, or of a wrong form
	Busy        uint64 // requests put off, as too many were running
	Failed      uint64 // transfers that broke off
	Running     int
	Changes     int // in the journal
	Bytes       int // that those take
}

// New returns a server for the zone that the source returns.
func New(cfg Config) *Server {
	if cfg.MaxTransfers <= 0 {
		cfg.MaxTransfers = DefaultMaxTransfers
	}
	s := &Server{
		cfg:       cfg,
		running:   make(chan struct{}, cfg.MaxTransfers),
		histories: make(map[string]*history),
	}
	s.SetRules(cfg.Allow)
	return s
}

// SetRules says who is admitted from now on. Transfers that run go on.
func (s *Server) SetRules(rules []Rule) { s.rules.Store(&rules) }

// Stats returns what the server has done so far.
func (s *Server) Stats() Stats {
	stats := Stats{
		Full: s.counts.full.Load(), Incremental: s.counts.incremental.Load(), Current: s.counts.current.Load(),
		Fallback: s.counts.fallback.Load(), Refused: s.counts.refused.Load(), Busy: s.counts.busy.Load(),
		Failed: s.counts.failed.Load(), Running: len(s.running),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.histories {
		changes, bytes := h.size()
		stats.Changes += changes
		stats.Bytes += bytes
	}
	return stats
}

// history returns that of a zone. There are as many as there are zones, which are always the same.
func (s *Server) history(origin string) *history {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.histories[origin]
	if h == nil {
		h = newHistory()
		s.histories[origin] = h
	}
	return h
}

// Admits reports whether a client may have transfers, by where it asks from and how it signed. Who may not be served must not
// get to Serve.
func (s *Server) Admits(from netip.Addr, signed *tsig.Exchange) bool {
	who, rules := identify(from, signed), *s.rules.Load()
	for _, rule := range rules {
		if rule.admits(who.addr, who.key) {
			return true
		}
	}
	if len(rules) > 0 { // else there are no transfers here, which is no news
		s.refused(who, "no rule allows it")
	}
	return false
}

func identify(from netip.Addr, signed *tsig.Exchange) client {
	who := client{addr: from.Unmap()}
	if signed != nil {
		who.key = signed.KeyName()
	}
	return who
}

// refusalPause is the least time between two lines about refusals in the log: anybody can make them.
const refusalPause = time.Second

func (s *Server) refused(who client, why string) {
	s.counts.refused.Add(1)
	now := time.Now().UnixNano()
	if last := s.lastRefusal.Load(); now-last >= int64(refusalPause) && s.lastRefusal.CompareAndSwap(last, now) {
		s.warn("a zone transfer was refused", who, "reason", why)
	}
}

// Request is a message that asks for AXFR or IXFR.
type Request struct {
	Packet []byte // without its signature
	From   netip.Addr
	TCP    bool
	// Limit is the longest answer over UDP, in octets.
	Limit int
	// Signed signs the answer; nil if the request was not signed.
	Signed *tsig.Exchange
}

// Serve answers a request by calling write with each message, over UDP once. The first error of write ends it and is
// returned; whatever is wrong with the request is an answer.
func (s *Server) Serve(req Request, write func([]byte) error) error {
	query := new(dns.Msg)
	if err := query.Unpack(req.Packet); err != nil {
		query = new(dns.Msg)
		query.SetRcodeFormatError(query)
	}
	out := &sender{req: req, query: query, write: write}
	who := identify(req.From, req.Signed)
	main := s.cfg.Source()
	z := find(main, query)
	if rcode, ede, why := check(main, z, req, query); why != "" {
		s.refused(who, why)
		return out.refuse(rcode, ede, why)
	}
	if main == nil {
		return out.refuse(dns.RcodeServerFailure, dns.ExtendedErrorCodeNotReady, "it is not known yet, or no longer, who the members are")
	}
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	default:
		s.counts.busy.Add(1)
		s.warn("a zone transfer was put off", who, "reason", "too many are running")
		return out.refuse(dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "too many transfers are running")
	}
	start := time.Now()
	kind, err := s.transfer(z, who, query, out)
	if err != nil {
		s.counts.failed.Add(1)
		s.warn("a zone transfer broke off", who, "kind", kind, "messages", out.messages, "error", err)
		return err
	}
	if s.cfg.Log != nil && kind != upToDate {
		s.cfg.Log.Info("zone transfer", who.log("kind", kind, "serial", out.serial, "records", out.records, "messages", out.messages,
			"octets", out.octets, "took", time.Since(start).Round(time.Microsecond))...)
	}
	return nil
}

// find returns which of the zones a query is for; nil if none.
func find(main *zone.Zone, query *dns.Msg) *zone.Zone {
	if main == nil || len(query.Question) != 1 {
		return nil
	}
	name := dns.CanonicalName(query.Question[0].Name)
	if name == main.Origin() {
		return main
	}
	for _, z := range main.Reverse() {
		if name == z.Origin() {
			return z
		}
	}
	return nil
}

// check says what is wrong with a request; nothing if why is "".
func check(main, z *zone.Zone, req Request, query *dns.Msg) (rcode int, ede uint16, why string) {
	if len(query.Question) != 1 || query.Opcode != dns.OpcodeQuery {
		return dns.RcodeFormatError, dns.ExtendedErrorCodeInvalidData, "it is malformed"
	}
	q := query.Question[0]
	_, ixfr := have(query)
	switch {
	case q.Qclass != dns.ClassINET, main != nil && z == nil:
		return dns.RcodeNotAuth, dns.ExtendedErrorCodeNotAuthoritative, "it is not for this zone"
	case q.Qtype == dns.TypeAXFR && !req.TCP: // RFC 5936 section 4.2
		return dns.RcodeFormatError, dns.ExtendedErrorCodeInvalidData, "all of a zone goes over TCP alone"
	case q.Qtype == dns.TypeIXFR && !ixfr:
		return dns.RcodeFormatError, dns.ExtendedErrorCodeInvalidData, "it does not say which version there is"
	}
	return 0, 0, ""
}

// have returns the serial that an IXFR query says the client has, RFC 1995 section 3.
func have(query *dns.Msg) (serial uint32, ok bool) {
	if len(query.Ns) != 1 {
		return 0, false
	}
	soa, ok := query.Ns[0].(*dns.SOA)
	if !ok {
		return 0, false
	}
	return soa.Serial, true
}

// What a transfer came to, for the log.
const (
	fullZone    = "AXFR"
	increment   = "IXFR"
	fallback    = "AXFR, as IXFR was not possible"
	upToDate    = "nothing new"
	overflowing = "IXFR, told to come over TCP"
)

func (s *Server) transfer(z *zone.Zone, who client, query *dns.Msg, out *sender) (kind string, err error) {
	h := s.history(z.Origin())
	z = h.commit(z)
	if query.Question[0].Qtype == dns.TypeAXFR {
		h.take(z, who)
		s.counts.full.Add(1)
		return fullZone, out.zone(z)
	}
	serial, _ := have(query)
	if z.Serial() == serial || journal.Newer(serial, z.Serial()) {
		s.counts.current.Add(1)
		return upToDate, out.soa(z) // RFC 1995 section 2
	}
	delta, ok := h.since(serial, z, who)
	switch {
	case out.req.TCP && !ok:
		h.take(z, who)
		s.counts.full.Add(1)
		s.counts.fallback.Add(1)
		return fallback, out.zone(z)
	case !out.req.TCP && (!ok || !out.fits(delta)):
		// RFC 1995 section 2: the newest SOA alone, which sends the client to TCP.
		s.counts.current.Add(1)
		return overflowing, out.soa(z)
	}
	h.take(z, who)
	s.counts.incremental.Add(1)
	return increment, out.delta(delta)
}

func (s *Server) warn(msg string, who client, args ...any) {
	if s.cfg.Log != nil {
		s.cfg.Log.Warn(msg, who.log(args...)...)
	}
}

func (c client) log(args ...any) []any {
	out := []any{"client", c.addr.String()}
	if c.key != "" {
		out = append(out, "key", c.key)
	}
	return append(out, args...)
}
