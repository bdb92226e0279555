package peer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/peer"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// network joins peers; lose decides what gets lost.
type network struct {
	peers map[string]*peer.Peer
	lose  func(to string, msg []byte, stream bool) bool

	mu   sync.Mutex
	sent []sent
}

type sent struct {
	to     string
	size   int
	stream bool
	answer bool
}

func (n *network) deliver(to string, msg []byte, stream bool) error {
	n.mu.Lock()
	n.sent = append(n.sent, sent{to, len(msg), stream, wire.Type(msg[0]) == wire.TypeAnswer})
	n.mu.Unlock()
	if n.lose != nil && n.lose(to, msg, stream) {
		if stream {
			return errors.New("connection refused")
		}
		return nil
	}
	if p := n.peers[to]; p != nil {
		p.Receive(msg)
	}
	return nil
}

func (n *network) Send(_ netip.AddrPort, node string, msg []byte) error {
	return n.deliver(node, msg, false)
}
func (n *network) SendReliable(_ netip.AddrPort, node string, msg []byte) error {
	return n.deliver(node, msg, true)
}

func (n *network) all() []sent {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]sent(nil), n.sent...)
}

// The kinds of requests that the peers of the tests know, but for the last.
const (
	kindEcho = 1
	kindLong = 2
	kindNo   = 3
	kindHuge = 4
	kindNone = 9
)

// pair returns peers a and b, and end, which stops them. A member called stock cannot be asked.
func pair() (a, b *peer.Peer, n *network, end func()) {
	n = &network{peers: map[string]*peer.Peer{}}
	for _, name := range []string{"a", "b"} {
		p := peer.New(peer.Config{Self: name, Find: func(name string) (peer.Member, bool) {
			switch name {
			case "a", "b", "gone":
				return peer.Member{Ours: true}, true
			case "stock":
				return peer.Member{}, true
			}
			return peer.Member{}, false
		}})
		p.Handle(kindEcho, func(from string, body []byte, _ int) ([]byte, error) {
			return fmt.Appendf(nil, "%s to %s: %s", from, name, body), nil
		})
		p.Handle(kindLong, func(string, []byte, int) ([]byte, error) { return bytes.Repeat([]byte{'x'}, 900), nil })
		p.Handle(kindHuge, func(string, []byte, int) ([]byte, error) { return make([]byte, 2000), nil })
		p.Handle(kindNo, func(string, []byte, int) ([]byte, error) { return nil, errors.New("not today") })
		p.Start(n)
		n.peers[name] = p
	}
	return n.peers["a"], n.peers["b"], n, func() {
		n.peers["a"].Stop()
		n.peers["b"].Stop()
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _, n, end := pair()
		defer end()
		for _, tt := range []struct {
			to     string
			kind   uint8
			o      peer.Options
			body   string
			err    error
			errHas string
		}{
			{to: "b", kind: kindEcho, body: "a to b: hi"},
			{to: "b", kind: kindEcho, o: peer.Options{ByStream: true}, body: "a to b: hi"},
			{to: "b", kind: kindEcho, o: peer.Options{AnswerByStream: true}, body: "a to b: hi"},
			{to: "b", kind: kindEcho, o: peer.Options{Length: 1000, SameLength: true}, body: "a to b: hi"},
			{to: "a", kind: kindEcho, body: "a to a: hi"},
			{to: "b", kind: kindLong, body: strings.Repeat("x", 900)},
			{to: "b", kind: kindLong, o: peer.Options{Length: 100}, errHas: "too long"},
			{to: "b", kind: kindHuge, errHas: "too long"},
			{to: "b", kind: kindNo, errHas: "not today"},
			{to: "a", kind: kindNo, errHas: "not today"},
			{to: "b", kind: kindNone, err: peer.ErrUnknownKind},
			{to: "a", kind: kindNone, err: peer.ErrUnknownKind},
			{to: "gone", kind: kindEcho, err: peer.ErrSilent},
			{to: "stock", kind: kindEcho, err: peer.ErrStock},
			{to: "nobody", kind: kindEcho, err: peer.ErrUnknownMember},
		} {
			r, err := a.Ask(t.Context(), tt.to, tt.kind, []byte("hi"), tt.o)
			good := err == nil && string(r.Body) == tt.body
			switch {
			case tt.err != nil:
				good = errors.Is(err, tt.err)
			case tt.errHas != "":
				good = err != nil && strings.Contains(err.Error(), tt.errHas)
			}
			if !good {
				t.Errorf("%+v: got %q, %v", tt, r.Body, err)
			}
		}
		asked := 0 // bytes that wait for an answer: no answer is longer than its request
		for _, s := range n.all() {
			switch {
			case s.to == "stock":
				t.Error("a stock agent was sent something")
			case s.answer && s.size > asked:
				t.Errorf("an answer of %d bytes to a request of %d", s.size, asked)
			case !s.answer:
				asked = s.size
			}
		}
	})
}

func TestLostPackets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _, n, end := pair()
		defer end()
		left := 2
		n.lose = func(to string, _ []byte, _ bool) bool {
			left--
			return left >= 0
		}
		start := time.Now()
		if r, err := a.Ask(t.Context(), "b", kindEcho, nil, peer.Options{}); err != nil || r.Came.Sub(r.Sent) != 0 {
			t.Errorf("got %+v, %v", r, err)
		}
		if took := time.Since(start); took != 900*time.Millisecond {
			t.Errorf("two lost packets took %v", took)
		}
		n.lose = func(string, []byte, bool) bool { return true }
		if _, err := a.Ask(t.Context(), "b", kindEcho, nil, peer.Options{ByStream: true}); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("TCP: got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := a.Ask(ctx, "b", kindEcho, nil, peer.Options{}); !errors.Is(err, peer.ErrSilent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// A flood of requests in another's name gets that member no more than its share, and nobody else anything.
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, n, end := pair()
		defer end()
		for i := range 5000 {
			for _, from := range []string{"a", "nobody", "stock", ""} {
				b.Receive((&wire.Request{ID: uint64(i), Kind: kindEcho, From: from}).Encode(100))
			}
			synctest.Wait()
		}
		if got := len(n.all()); got == 0 || got > 200 {
			t.Errorf("%d answers at once", got)
		}
		for _, s := range n.all() {
			if s.to != "a" {
				t.Errorf("%q got an answer", s.to)
			}
		}
		time.Sleep(time.Second) // virtual
		if _, err := a.Ask(t.Context(), "b", kindEcho, nil, peer.Options{}); err != nil {
			t.Errorf("after the flood: %v", err)
		}
		// What nobody asked for, and what is damaged, is dropped.
		a.Receive((&wire.Answer{ID: 5}).Encode(0))
		a.Receive([]byte{byte(wire.TypeAnswer)})
		a.Receive([]byte{byte(wire.TypeRequest), 1})
		a.Receive(nil)
	})
}

func TestStopEndsRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, _, _ := pair()
		result := make(chan error)
		go func() {
			_, err := a.Ask(context.Background(), "gone", kindEcho, nil, peer.Options{Wait: time.Hour})
			result <- err
		}()
		synctest.Wait()
		a.Stop()
		if err := <-result; !errors.Is(err, peer.ErrStopped) {
			t.Errorf("got %v", err)
		}
		if _, err := a.Ask(context.Background(), "b", kindEcho, nil, peer.Options{ByStream: true}); !errors.Is(err, peer.ErrStopped) {
			t.Errorf("late: got %v", err)
		}
		a.Stop()
		b.Stop()
	})
}
