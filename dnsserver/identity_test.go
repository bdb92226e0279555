package dnsserver

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/transfer"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func reload(s *Server, m Material) error {
	commit, err := s.Prepare(m)
	if err == nil {
		commit()
	}
	return err
}

// keyring has one key of that name, with a secret that depends on c.
func keyring(t *testing.T, name string, c byte) (*tsig.Key, *tsig.Keyring) {
	t.Helper()
	k, err := tsig.NewKey(name, "hmac-sha256", strings.Repeat(string(c), 40))
	if err != nil {
		t.Fatal(err)
	}
	r, err := tsig.NewKeyring(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, r
}

// TestKeysAreReplacedUnderQueries: while keys come and go every query is answered, and each answer holds by keys that there
// were.
func TestKeysAreReplacedUnderQueries(t *testing.T) {
	t.Parallel()
	z := testZone(t, 20, zone.OrderRandom)
	secret, ring := keyring(t, "reader", 'A')
	one, two := newKey(t, "gossip", dnssec.ECDSAP256), newKey(t, "gossip", dnssec.Ed25519)
	verifiers := map[uint16]*dns.DNSKEY{one.Tag(): newVerifier(t, one).key, two.Tag(): newVerifier(t, two).key}
	s := start(t, Config{Addr: "127.0.0.1:0", Keys: ring, Source: func() *zone.Zone { return z }})

	ctx, done := context.WithCancel(t.Context())
	var swapper, clients sync.WaitGroup
	swapper.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			m := Material{Keys: ring, Signer: []*dnssec.Signer{newSigner(t, one), newSigner(t, one, two), newSigner(t, two), nil}[i%4]}
			if err := reload(s, m); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i, network := range []string{"udp", "tcp"} {
		clients.Go(func() {
			conn, err := dns.DialTimeout(network, s.Addr(), 30*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			for n := range 500 {
				q := secureQuery([]string{"many.service.gossip.", "nope.gossip."}[n%2], dns.TypeA)
				packet, err := q.Pack()
				if err != nil {
					t.Error(err)
					return
				}
				exchange := tsig.NewExchange(secret)
				if n%4 < 2 {
					packet = exchange.Seal(packet, time.Now())
				}
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				if _, err := conn.Write(packet); err != nil {
					t.Error(err)
					return
				}
				conn.UDPSize = 4096
				reply, err := conn.ReadMsgHeader(nil)
				if err != nil {
					t.Errorf("query %d over %s: %v", n, network, err)
					return
				}
				if n%4 < 2 {
					if reply, err = exchange.Verify(reply, time.Now()); err != nil {
						t.Error(err)
					}
				}
				m := new(dns.Msg)
				if err := m.Unpack(reply); err != nil || m.Id != q.Id || m.Truncated || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
					t.Errorf("client %d: %v, %v", i, err, m)
				}
				checkSignatures(t, verifiers, m)
			}
		})
	}
	clients.Wait()
	done()
	swapper.Wait()
}

// checkSignatures verifies each signature in the sections about the question.
func checkSignatures(t *testing.T, keys map[uint16]*dns.DNSKEY, m *dns.Msg) {
	t.Helper()
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			sig, ok := rr.(*dns.RRSIG)
			if !ok {
				continue
			}
			var set []dns.RR
			for _, rr := range section {
				if rr.Header().Rrtype == sig.TypeCovered {
					set = append(set, rr)
				}
			}
			if err := sig.Verify(keys[sig.KeyTag], set); err != nil {
				t.Errorf("%v: %v", sig, err)
			}
		}
	}
}

// TestTransferOutlivesItsKey: a transfer that is under way when its key is taken away ends as it began; the next one is
// refused.
func TestTransferOutlivesItsKey(t *testing.T) {
	t.Parallel()
	secret, ring := keyring(t, "secondary", 'A')
	successor, next := keyring(t, "secondary", 'B')
	z := testZone(t, 3000, zone.OrderRandom)
	source := func() *zone.Zone { return z }
	rule, err := transfer.ParseRule("key=secondary")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		Addr: "127.0.0.1:0", Source: source, Keys: ring, Transfers: transfer.New(transfer.Config{Source: source, Allow: []transfer.Rule{rule}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := s.responder(s.tally.counters())
	fetch := func(key *tsig.Key) (messages int, err error) {
		t.Helper()
		packet, err := new(dns.Msg).SetAxfr("gossip.").Pack()
		if err != nil {
			t.Fatal(err)
		}
		exchange := tsig.NewExchange(key)
		packet = exchange.Seal(packet, time.Now())
		take := func(b []byte) error {
			_, err := exchange.Verify(b, time.Now())
			if messages++; messages == 1 && err == nil {
				return reload(s, Material{Keys: next})
			}
			return err
		}
		last := r.respond(packet, path{tcp: true, client: netip.MustParseAddr("192.0.2.1"), now: time.Now(), send: take})
		return messages + 1, take(last)
	}
	if n, err := fetch(secret); err != nil || n < 3 {
		t.Errorf("under way: %d messages, %v", n, err)
	}
	if _, err := fetch(secret); err == nil {
		t.Error("the key that was taken away is still good")
	}
	if n, err := fetch(successor); err != nil || n < 3 {
		t.Errorf("with the new secret: %d messages, %v", n, err)
	}
}

// TestSigningBeginsAndEnds without a restart, on the path of plain questions too.
func TestSigningBeginsAndEnds(t *testing.T) {
	t.Parallel()
	z := testZone(t, 3, zone.OrderRandom)
	s := start(t, Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return z }})
	for _, step := range []struct {
		signer  *dnssec.Signer
		answers int
	}{{nil, 1}, {newSigner(t, newKey(t, "gossip", dnssec.ECDSAP256)), 2}, {nil, 1}} {
		if err := reload(s, Material{Signer: step.signer}); err != nil {
			t.Fatal(err)
		}
		m, _, err := (&dns.Client{Timeout: 30 * time.Second}).Exchange(secureQuery("web1.node.gossip.", dns.TypeA), s.Addr())
		if err != nil || len(m.Answer) != step.answers {
			t.Errorf("got %v, %v, want %d records", m, err, step.answers)
		}
	}
}
