package update

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// primary is a server that takes updates over TCP, with the whims that real ones have. It allows no transfers.
type primary struct {
	t    *testing.T
	addr string

	mu      sync.Mutex
	records server
	limit   int  // of records of one type at a name, as BIND's max-records-per-type
	frozen  bool // refuses all updates, as BIND after 'rndc freeze'
}

func newPrimary(t *testing.T) *primary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &primary{t: t, addr: l.Addr().String(), records: server{}, limit: 1 << 20}
	s := &dns.Server{
		Listener: l, Handler: p, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		MaxTCPQueries: -1, ReadTimeout: time.Minute, IdleTimeout: func() time.Duration { return time.Minute },
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.ActivateAndServe() }) // ends with the listener
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return p
}

func (p *primary) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reply := new(dns.Msg).SetReply(m)
	switch {
	case m.Opcode == dns.OpcodeUpdate:
		reply.Rcode = p.update(m)
		reply.Question = nil
	case m.Question[0].Qtype == dns.TypeAXFR:
		reply.Rcode = dns.RcodeRefused
	default:
		for text := range p.records {
			if f := strings.Fields(text); f[0] == m.Question[0].Name && f[3] == dns.TypeToString[m.Question[0].Qtype] {
				rr, err := dns.NewRR(text)
				if err != nil {
					p.t.Error(err)
				}
				reply.Answer = append(reply.Answer, rr)
			}
		}
	}
	if err := w.WriteMsg(reply); err != nil {
		p.t.Log(err) // who asked may be gone
	}
}

func (p *primary) update(m *dns.Msg) int {
	if p.frozen {
		return dns.RcodeRefused
	}
	next := maps.Clone(p.records)
	if rcode := next.update(p.t, m); rcode != dns.RcodeSuccess {
		return rcode
	}
	sizes := map[string]int{}
	for text := range next {
		f := strings.Fields(text)
		key := f[0] + " " + f[3]
		if sizes[key]++; sizes[key] > p.limit {
			return dns.RcodeServerFailure
		}
	}
	p.records = next
	return dns.RcodeSuccess
}

// count returns how many records of a type there are at a name.
func (p *primary) count(name, rrtype string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for text := range p.records {
		if f := strings.Fields(text); f[0] == name && f[3] == rrtype {
			n++
		}
	}
	return n
}

func (p *primary) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// newSession updates a primary with a zone of so many members that offer web.
func newSession(t *testing.T, p *primary, members int) (s *session, change func(port int)) {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	change = func(port int) {
		var changes []zone.Change
		for i := range members {
			name := fmt.Sprintf("n%d", i)
			changes = append(changes, zone.Change{Name: name, Member: &zone.Member{
				Name: name, Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})},
				Services: []zone.Service{{Name: "web", Port: uint16(port), Weight: 1}},
			}})
		}
		z = z.Update(changes)
	}
	change(80)
	u, err := New(Config{
		Server: p.addr, Zone: "example.com", Name: "svc.example.com", Owner: "x", Settle: time.Nanosecond,
		Source: func() *zone.Zone { return z },
	})
	if err != nil {
		t.Fatal(err)
	}
	s = &session{Updater: u, ledger: newLedger(u.marker)}
	t.Cleanup(s.hangUp)
	return s, change
}

// steps has a session do what it can, and returns the last error.
func steps(t *testing.T, s *session) (err error) {
	t.Helper()
	for range 20 {
		err = s.step(t.Context())
		s.hangUp()
	}
	return err
}

// A server that takes no more than so many records of a type at a name gets all other names.
func TestTooManyRecords(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	p.limit = 100
	s, _ := newSession(t, p, 150)
	if err := steps(t, s); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		if n := p.count(fmt.Sprintf("n%d.node.svc.example.com.", i), "A"); n != 1 {
			t.Fatalf("n%d has %d addresses", i, n)
		}
	}
	if n := p.count("web.service.svc.example.com.", "A"); n != 0 {
		t.Errorf("%d records where the server takes %d of 150", n, p.limit)
	}
	if _, _, foreign, rejected := s.ledger.count(); rejected == 0 || foreign > 0 {
		t.Errorf("%d names count as refused, %d as others'", rejected, foreign)
	}
	// The operator allows more.
	p.set(func() { p.limit = 1000 })
	s.retried = time.Time{}
	if err := steps(t, s); err != nil {
		t.Fatal(err)
	}
	if n := p.count("web.service.svc.example.com.", "SRV"); n != 150 {
		t.Errorf("%d records of 150", n)
	}
	if _, pending, _, rejected := s.ledger.count(); pending+rejected > 0 {
		t.Errorf("%d names are pending, %d count as refused", pending, rejected)
	}
}

// A name whose records are more than a message holds is made in several, and unmade as well.
func TestMoreThanAMessageHolds(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	const members = 400
	s, change := newSession(t, p, members)
	if err := steps(t, s); err != nil {
		t.Fatal(err)
	}
	if n := p.count("web.service.svc.example.com.", "SRV"); n != members {
		t.Fatalf("%d records of %d", n, members)
	}
	change(81)
	if err := steps(t, s); err != nil {
		t.Fatal(err)
	}
	if n := p.count("web.service.svc.example.com.", "SRV"); n != members {
		t.Errorf("after a change: %d records of %d", n, members)
	}
}

// A server that refuses everything for a while, as one that is frozen, is told everything once it no longer does.
func TestRefusesForAWhile(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	s, change := newSession(t, p, 20)
	if err := steps(t, s); err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.frozen = true })
	change(81)
	if err := steps(t, s); err == nil {
		t.Error("nobody is told that everything is refused")
	}
	p.set(func() { p.frozen = false })
	s.retried = time.Time{}
	if err := steps(t, s); err != nil {
		t.Fatal(err)
	}
	if _, pending, _, rejected := s.ledger.count(); pending+rejected > 0 {
		t.Errorf("%d names are pending, %d count as refused", pending, rejected)
	}
}
