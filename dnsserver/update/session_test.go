package update

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// primary is a server of the zone example. that listens. It allows updates that are signed with a key of its own, and
// transfers.
type primary struct {
	t    *testing.T
	addr string
	keys *tsig.Keyring

	mu      sync.Mutex
	records server
	refused atomic.Int64 // messages
}

func newPrimary(t *testing.T, keys *tsig.Keyring) *primary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &primary{t: t, addr: l.Addr().String(), keys: keys, records: server{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				stop := make(chan struct{})
				defer close(stop)
				running.Go(func() {
					select {
					case <-stop:
					case <-t.Context().Done():
					}
					_ = conn.Close() // whoever is first
				})
				p.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return p
}

func (p *primary) serve(conn net.Conn) {
	for {
		var prefix [2]byte
		if _, err := io.ReadFull(conn, prefix[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(prefix[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		out := p.answer(packet)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
			return
		}
	}
}

func (p *primary) answer(packet []byte) []byte {
	plain, signed, err := p.keys.Open(packet, time.Now())
	m := new(dns.Msg)
	if err != nil {
		if err := m.Unpack(packet); err != nil {
			p.t.Error(err)
		}
		p.refused.Add(1)
		out, _ := new(dns.Msg).SetRcode(m, dns.RcodeNotAuth).Pack()
		var refusal *tsig.Error
		if errors.As(err, &refusal) {
			out = p.keys.Refusal(out, packet, refusal, time.Now())
		}
		return out
	}
	if err := m.Unpack(plain); err != nil {
		p.t.Error(err)
	}
	reply := new(dns.Msg).SetReply(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Opcode == dns.OpcodeUpdate {
		reply.Rcode = p.records.update(p.t, m)
	} else { // a transfer
		soa := &dns.SOA{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: ".", Mbox: "."}
		reply.Answer = []dns.RR{soa}
		for text := range p.records {
			rr, err := dns.NewRR(text)
			if err != nil {
				p.t.Error(err)
			}
			reply.Answer = append(reply.Answer, rr)
		}
		reply.Answer = append(reply.Answer, soa)
	}
	out, err := reply.Pack()
	if err != nil {
		p.t.Error(err)
	}
	if signed != nil {
		out = signed.Seal(out, time.Now())
	}
	return out
}

// nodes counts the addresses of nodes.
func (p *primary) nodes() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for text := range p.records {
		if f := strings.Fields(text); f[3] == "A" && strings.HasSuffix(f[0], ".node.example.") {
			n++
		}
	}
	return n
}

// eventually waits for a condition that must come.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never came: ", what)
		}
	}
}

func newKeyring(t *testing.T, secret string) (*tsig.Key, *tsig.Keyring) {
	t.Helper()
	key, err := tsig.NewKey("k", "hmac-sha256", secret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := tsig.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, ring
}

const (
	goodSecret  = "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISE/Pz8="
	otherSecret = "b3RoZXIgb2YgdGhpcnR5LXR3byBvY3RldHMhISEhPz8="
)

// nodesZone returns a zone with so many members.
func nodesZone(t *testing.T, n int) *zone.Zone {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	var changes []zone.Change
	for i := range n {
		name := fmt.Sprintf("n%d", i)
		changes = append(changes, zone.Change{Name: name, Member: &zone.Member{
			Name: name, Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})},
			Services: []zone.Service{{Name: "web", Port: 80, Weight: 1}},
		}})
	}
	return z.Update(changes)
}

// TestSetKey: with a wrong key nothing is published; with the right one all is, and soon.
func TestSetKey(t *testing.T) {
	t.Parallel()
	good, ring := newKeyring(t, goodSecret)
	bad, _ := newKeyring(t, otherSecret)
	p := newPrimary(t, ring)
	var source atomic.Pointer[zone.Zone]
	source.Store(nodesZone(t, 3))
	u, err := New(Config{Server: p.addr, Zone: "example", Name: "example", Key: bad, Owner: "x", Source: source.Load})
	if err != nil {
		t.Fatal(err)
	}
	u.Start()
	t.Cleanup(u.Close)
	eventually(t, "a refusal", func() bool { s := u.Stats(); return s.Failures > 1 && strings.Contains(s.Error, "the secret") })
	u.SetKey(bad) // the same
	u.SetKey(good)
	eventually(t, "three nodes", func() bool { return p.nodes() == 3 && u.Stats().Error == "" })
	// The connection with the old key is not used any more.
	u.SetKey(bad)
	source.Store(nodesZone(t, 4))
	u.Changed()
	eventually(t, "another refusal", func() bool { return strings.Contains(u.Stats().Error, "the secret") })
	if n := p.nodes(); n != 3 {
		t.Errorf("%d nodes, with a key that is wrong", n)
	}
}

// limit is a guard that lets two nodes go at once.
type limit struct {
	holding atomic.Bool
	lifted  atomic.Bool
	gone    atomic.Int64
}

func (l *limit) Hold(gone []string, of int) string {
	l.holding.Store(len(gone) > 2 && !l.lifted.Load())
	if l.holding.Load() {
		return fmt.Sprintf("%d of %d", len(gone), of)
	}
	return ""
}

func (l *limit) Gone(gone []string, _ int) { l.gone.Add(int64(len(gone))) }

// TestGuard: what the guard holds stays with all its records while others come, and goes when the guard says so.
func TestGuard(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, nil)
	var source atomic.Pointer[zone.Zone]
	source.Store(nodesZone(t, 6))
	guard := &limit{}
	u, err := New(Config{
		Server: p.addr, Zone: "example", Name: "example", Owner: "x", Source: source.Load, Guard: guard, Settle: time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	u.Start()
	t.Cleanup(u.Close)
	show := func(z *zone.Zone) {
		source.Store(z)
		u.Changed()
	}
	eventually(t, "six nodes", func() bool { return p.nodes() == 6 })
	show(nodesZone(t, 4))
	eventually(t, "four nodes", func() bool { return p.nodes() == 4 && guard.gone.Load() == 2 })
	// Three at once do not go, though another one comes, and the service keeps them.
	show(nodesZone(t, 1).Update([]zone.Change{{Name: "new", Member: &zone.Member{Name: "new", Live: true, Addrs: []netip.Addr{netip.MustParseAddr("10.0.1.1")}}}}))
	eventually(t, "the new node", func() bool { return p.nodes() == 5 && guard.holding.Load() && u.Stats().Held > 3 })
	p.mu.Lock()
	if !p.records["web.service.example.\t0\tIN\tA\t10.0.0.3"] {
		t.Errorf("the service lost a member that is held: %v", p.records)
	}
	p.mu.Unlock()
	guard.lifted.Store(true)
	eventually(t, "the end of it", func() bool { return p.nodes() == 2 && u.Stats().Held == 0 })
}
