package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// secondary is one in memory, which answers as it is told to.
type secondary struct {
	keys   *tsig.Keyring
	serial atomic.Uint32 // what it has; 0: nothing
	rcode  atomic.Int32  // of its answers to notifications
	deaf   atomic.Bool   // does not answer
	key    atomic.Value  // that the last message was signed with

	mu   sync.Mutex
	told []string // serials, and when
}

// dial connects to it. What is written in one piece is read in one, as with packets.
func (s *secondary) dial(context.Context, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		buf := make([]byte, 4096)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if s.deaf.Load() {
				continue
			}
			if _, err := server.Write(s.answer(buf[:n])); err != nil {
				return
			}
		}
	}()
	return client, nil
}

func (s *secondary) answer(packet []byte) []byte {
	plain, signed, err := s.keys.Open(packet, time.Now())
	if err != nil {
		panic(err) // the notifier's signature is at fault
	}
	if signed != nil {
		s.key.Store(signed.KeyName())
	}
	query := new(dns.Msg)
	if err := query.Unpack(plain); err != nil {
		panic(err)
	}
	reply := new(dns.Msg).SetReply(query)
	switch {
	case query.Opcode == dns.OpcodeNotify:
		reply.Rcode = int(s.rcode.Load())
		soa := query.Answer[0].(*dns.SOA)
		s.mu.Lock()
		s.told = append(s.told, fmt.Sprintf("%d@%v", soa.Serial, time.Since(epoch).Truncate(time.Second)))
		s.mu.Unlock()
		if reply.Rcode == dns.RcodeSuccess {
			s.serial.Store(soa.Serial)
		}
	case s.serial.Load() == 0:
		reply.Rcode = dns.RcodeServerFailure
	default:
		reply.Answer = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: ".", Mbox: ".", Serial: s.serial.Load(),
		}}
	}
	out, err := reply.Pack()
	if err != nil {
		panic(err)
	}
	if signed != nil {
		out = signed.Seal(out, time.Now())
	}
	return out
}

// epoch is when the time of a test bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *secondary) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.told)
}

// primary is a zone that a test changes.
type primary struct{ zone atomic.Pointer[zone.Zone] }

func newPrimary(t *testing.T) *primary {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "a", Serial: 100})
	if err != nil {
		t.Fatal(err)
	}
	p := &primary{}
	p.zone.Store(z)
	return p
}

func (p *primary) change(i int) {
	p.zone.Store(p.zone.Load().Update([]zone.Change{{Name: "a", Member: &zone.Member{
		Name: "a", Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})},
	}}}))
}

func (p *primary) advance(origin string, past uint32) {
	p.zone.Store(p.zone.Load().Advance(origin, past))
}

func (p *primary) start(target Target, s *secondary) *Notifier {
	return Start(Config{Source: p.zone.Load, Targets: []Target{target}, Advance: p.advance, Dial: s.dial})
}

func TestNotify(t *testing.T) {
	t.Parallel()
	key, err := tsig.NewKey("k", "hmac-sha256", "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISE/Pz8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := tsig.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]Target{"signed": {Addr: "s:53", Key: key}, "unsigned": {Addr: "s:53"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &secondary{keys: ring}
				p := newPrimary(t)
				n := p.start(target, s)
				defer n.Close()
				expect := func(after time.Duration, want string) {
					t.Helper()
					time.Sleep(after)
					synctest.Wait()
					if got := s.heard(); got != want {
						t.Errorf("heard %s, want %s", got, want)
					}
				}
				expect(time.Second, "[100@0s]")
				// A burst is one notification, and what comes right after it another.
				for i := range 10 {
					p.change(i)
					n.Changed()
				}
				expect(100*time.Millisecond, "[100@0s 110@1s]")
				for i := range 10 {
					p.change(i)
					n.Changed()
				}
				expect(time.Second, "[100@0s 110@1s 120@1s]")
				// Nothing changed.
				n.Changed()
				expect(10*time.Second, "[100@0s 110@1s 120@1s]")
				// It is ahead, as another agent served it.
				s.serial.Store(5000)
				p.change(100)
				n.Changed()
				expect(time.Second, "[100@0s 110@1s 120@1s 5001@12s]")
				// Packets are lost for a while.
				s.deaf.Store(true)
				p.change(101)
				n.Changed()
				time.Sleep(5 * time.Second)
				s.deaf.Store(false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := n.Stats(); s.serial.Load() != 5002 || got.Answered != 5 || got.Failed != 0 {
					t.Errorf("after a loss: has %d, %+v", s.serial.Load(), got)
				}
			})
		})
	}
}

// Who is new is told at once, as is who has another key; all others hear nothing of it, and who is not listed nothing more.
func TestSetTargets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := func(name string, secret string) *tsig.Key {
			k, err := tsig.NewKey(name, "hmac-sha256", secret)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		const one, two = "b25lIHNlY3JldCBvZiB0aGlydHktdHdvIG9jdGV0cyE=", "dHdvIHNlY3JldCBvZiB0aGlydHktdHdvIG9jdGV0cyE="
		keys, err := tsig.NewKeyring(key("one", one), key("two", two))
		if err != nil {
			t.Fatal(err)
		}
		a, b := &secondary{keys: keys}, &secondary{}
		p := newPrimary(t)
		n := Start(Config{Source: p.zone.Load, Advance: p.advance, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == "a:53" {
				return a.dial(ctx, addr)
			}
			return b.dial(ctx, addr)
		}})
		defer n.Close()
		for i, step := range []struct {
			targets []Target
			a, b    string
			key     any
		}{
			{nil, "[]", "[]", nil},
			{[]Target{{"a:53", key("one", one)}}, "[101@1s]", "[]", "one."},
			{[]Target{{"b:53", nil}, {"a:53", key("one", one)}}, "[101@1s 102@2s]", "[102@2s]", "one."},
			{[]Target{{"a:53", key("two", two)}}, "[101@1s 102@2s 103@3s]", "[102@2s]", "two."},
			{nil, "[101@1s 102@2s 103@3s]", "[102@2s]", "two."},
		} {
			n.SetTargets(step.targets)
			n.SetTargets(step.targets) // nothing happens
			if i > 0 {
				p.change(i)
				n.Changed()
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if a.heard() != step.a || b.heard() != step.b || a.key.Load() != step.key {
				t.Errorf("step %d: heard %s and %s, the last with key %v", i, a.heard(), b.heard(), a.key.Load())
			}
		}
	})
}

// Who does not answer, or does not want to hear, is told a few times and then of the next change alone.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*secondary){
		"deaf":    func(s *secondary) { s.deaf.Store(true) },
		"refuses": func(s *secondary) { s.rcode.Store(dns.RcodeNotAuth) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &secondary{}
				spoil(s)
				p := newPrimary(t)
				var log logger
				n := Start(Config{Source: p.zone.Load, Targets: []Target{{Addr: "s:53"}}, Advance: p.advance, Dial: s.dial, Log: &log})
				defer n.Close()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				got := n.Stats()
				if got.Failed != 1 || got.Sent > tries {
					t.Errorf("%+v", got)
				}
				s.deaf.Store(false)
				s.rcode.Store(dns.RcodeSuccess)
				time.Sleep(10 * time.Minute)
				if s.serial.Load() != 0 {
					t.Error("told again without a change")
				}
				p.change(1)
				n.Changed()
				time.Sleep(time.Second)
				if s.serial.Load() != 101 {
					t.Errorf("has %d", s.serial.Load())
				}
				if log.warnings.Load() != 1 || log.notes.Load() != 1 {
					t.Errorf("%d warnings, %d notes", log.warnings.Load(), log.notes.Load())
				}
			})
		})
	}
}

type logger struct{ warnings, notes atomic.Int64 }

func (l *logger) Info(string, ...any) { l.notes.Add(1) }
func (l *logger) Warn(string, ...any) { l.warnings.Add(1) }

// A notifier ends at once, whatever it waits for.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &secondary{}
		s.deaf.Store(true)
		p := newPrimary(t)
		waits := p.start(Target{Addr: "s:53"}, s)
		unready := Start(Config{Source: func() *zone.Zone { return nil }, Targets: []Target{{}}, Advance: p.advance, Dial: s.dial})
		broken := Start(Config{Source: p.zone.Load, Targets: []Target{{}}, Advance: p.advance, Dial: func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("no network")
		}})
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		waits.Close()
		unready.Close()
		broken.Close()
		if took := time.Since(start); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}
