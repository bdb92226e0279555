package update

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/tsig"
)

// locked is a server that takes any update, if it is signed with a key of its own. It allows no transfers.
type locked struct {
	addr  string
	keys  *tsig.Keyring
	mu    sync.Mutex
	taken int // records
}

func newLocked(t *testing.T, keys *tsig.Keyring) *locked {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &locked{addr: l.Addr().String(), keys: keys}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return p
}

// serve answers until the client hangs up, as it does when it is done.
func (p *locked) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
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

func (p *locked) answer(packet []byte) []byte {
	m := new(dns.Msg)
	_ = m.Unpack(packet) // it is ours
	_, signed, err := p.keys.Open(packet, time.Now())
	var refused *tsig.Error
	rcode := dns.RcodeSuccess
	switch {
	case errors.As(err, &refused):
		rcode = dns.RcodeNotAuth
	case signed == nil || m.Opcode != dns.OpcodeUpdate:
		rcode = dns.RcodeRefused
	default:
		p.mu.Lock()
		p.taken += len(m.Ns)
		p.mu.Unlock()
	}
	out, _ := new(dns.Msg).SetRcode(m, rcode).Pack() // a header and a question
	switch {
	case refused != nil:
		return p.keys.Refusal(out, packet, refused, time.Now())
	case signed != nil:
		return signed.Seal(out, time.Now())
	}
	return out
}

func (p *locked) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
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

func newKey(t *testing.T, secret string) *tsig.Key {
	t.Helper()
	key, err := tsig.NewKey("k", "hmac-sha256", secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSetKey: with a wrong key nothing is published; with the right one all is, without a wait for the next attempt.
func TestSetKey(t *testing.T) {
	t.Parallel()
	good, bad := newKey(t, "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISE/Pz8="), newKey(t, "b3RoZXIgb2YgdGhpcnR5LXR3byBvY3RldHMhISEhPz8=")
	ring, err := tsig.NewKeyring(good)
	if err != nil {
		t.Fatal(err)
	}
	p := newLocked(t, ring)
	z := members(t, 3)
	u, err := New(Config{Server: p.addr, Zone: "example", Key: bad, Owner: "x", Source: z.Load})
	if err != nil {
		t.Fatal(err)
	}
	u.Start()
	t.Cleanup(u.Close)
	wrong := func() bool { return strings.Contains(u.Stats().Error, "is the secret the same") }
	eventually(t, "a refusal", func() bool { return u.Stats().Failures > 1 && wrong() })
	u.SetKey(bad) // the same
	u.SetKey(good)
	eventually(t, "the nodes", func() bool { return p.count() > 3 && u.Stats().Error == "" })
	u.SetKey(bad)
	before := p.count()
	z.Store(members(t, 4).Load())
	u.Changed()
	eventually(t, "another refusal", wrong)
	if n := p.count(); n != before {
		t.Errorf("%d records, with a key that is wrong", n-before)
	}
}
