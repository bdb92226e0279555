package gossip

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func named(names ...string) (list []peer) {
	for _, n := range names {
		list = append(list, peer{name: n, ours: true})
	}
	return list
}

func TestChoose(t *testing.T) {
	t.Parallel()
	intn := rand.New(rand.NewPCG(1, 2)).IntN
	for _, tc := range []struct {
		self string
		list []peer
		n    int
		next string // must be among the chosen
		want int
	}{
		{"b", nil, 3, "", 0},
		{"b", named("a"), 2, "a", 1},
		{"b", named("a", "c"), 2, "c", 2},
		{"b", named("a", "c", "d", "e"), 1, "c", 1},
		{"b", named("a", "c", "d", "e"), 3, "c", 3},
		{"z", named("a", "c", "d", "e"), 2, "a", 2},
		{"", named("a", "c", "d", "e"), 2, "a", 2},
		{"b", named("a", "c", "d", "e"), 0, "", 0},
	} {
		for range 100 {
			got := choose(tc.list, tc.self, tc.n, intn)
			var names []string
			for _, p := range got {
				names = append(names, p.name)
			}
			slices.Sort(names)
			if len(got) != tc.want || len(slices.Compact(names)) != tc.want || tc.next != "" && !slices.Contains(names, tc.next) {
				t.Fatalf("%s of %v, %d: chose %v", tc.self, tc.list, tc.n, names)
			}
		}
	}
}

// Everyone is reached by pushing alone, however chance falls, as long as nothing is lost.
func TestChoosingReachesAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var all []string
		for i := range 2 + rnd.IntN(100) {
			all = append(all, fmt.Sprintf("n%03d", i))
		}
		reached := map[string]bool{all[0]: true}
		for queue := all[:1]; len(queue) > 0; queue = queue[1:] {
			others := slices.DeleteFunc(named(all...), func(p peer) bool { return p.name == queue[0] })
			for _, p := range choose(others, queue[0], fanout(3, len(others)), rnd.IntN) {
				if !reached[p.name] {
					reached[p.name] = true
					queue = append(slices.Clone(queue), p.name)
				}
			}
		}
		if len(reached) != len(all) {
			t.Fatalf("seed %d: %d of %d", seed, len(reached), len(all))
		}
	}
}

// What one agent sends of a message, pushed and gossiped, is no more than Serf's.
func TestNoMoreThanSerf(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lan", "wan"} {
		ours, err := profile(name)
		if err != nil {
			t.Fatal(err)
		}
		serf, err := profile("serf-" + name)
		if err != nil {
			t.Fatal(err)
		}
		for n := 2; n <= 1_000_000; n += 1 + n/50 {
			digits := int(math.Ceil(math.Log10(float64(n + 1))))
			sent := fanout(ours.fanout, n-1) + ours.retransmit*digits
			if most := serf.retransmit * digits; sent > most || serf.fanout != 0 {
				t.Errorf("%s with %d members: %d copies instead of %d", name, n, sent, most)
			}
		}
	}
}

func TestPack(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var msgs [][]byte
		for i := range rnd.IntN(50) {
			size := 1 + rnd.IntN(300)
			if rnd.IntN(20) == 0 {
				size = 2000 // fits no packet
			}
			msgs = append(msgs, bytes.Repeat([]byte{byte(i)}, size))
		}
		var back [][]byte
		groups := pack(msgs, 1000)
		for i, g := range groups {
			batch := wire.BeginBatch(nil)
			for _, msg := range g {
				batch = wire.AppendToBatch(batch, msg)
			}
			if len(g) == 0 || len(g) > 1 && len(batch) > 1000 {
				t.Fatalf("group %d: %d messages of %d bytes", i, len(g), len(batch))
			}
			back = append(back, g...)
		}
		if !slices.EqualFunc(back, msgs, bytes.Equal) {
			t.Fatal("messages got lost or out of order")
		}
		if len(msgs) > 10 && len(groups) > len(msgs)*2/3 {
			t.Errorf("%d groups of %d messages", len(groups), len(msgs))
		}
	}
}

// recorded is what a pusher sent.
type recorded struct {
	to    string
	msg   []byte
	after time.Duration
}

// push runs a pusher to which f pushes, and returns what it sent and counted. Each packet takes a millisecond to send.
func push(t *testing.T, nodes []*memberlist.Node, f func(*pusher)) (sent []recorded, counts map[string]int) {
	counts = map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		r := roster{self: "self"}
		for _, n := range nodes {
			r.put(n)
		}
		start := time.Now()
		p := newPusher(&r, 3, 1000, func(to peer, msg []byte) {
			sent = append(sent, recorded{to.name, msg, time.Since(start)})
			time.Sleep(time.Millisecond)
		})
		p.metric = func(name string, n int) { counts[name] += n }
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			p.run(stop)
		}()
		f(p)
		time.Sleep(time.Minute)
		close(stop)
		<-done
	})
	return sent, counts
}

func nodes(n int, version uint8) (list []*memberlist.Node) {
	for i := range n {
		list = append(list, &memberlist.Node{
			Name: fmt.Sprintf("v%d-%03d", version, i), Addr: net.IPv4(127, 0, version, byte(i)), Port: 7946, DMax: version,
		})
	}
	return list
}

func message(i int) []byte { return wire.Encode(&wire.Leave{LTime: 1, Node: fmt.Sprintf("m%04d", i)}) }

// messages returns what a packet carries: one message, or a batch of them.
func messages(t *testing.T, packet []byte) [][]byte {
	t.Helper()
	if wire.Type(packet[0]) != wire.TypeBatch {
		return [][]byte{packet}
	}
	msgs, err := wire.SplitBatch(packet)
	if err != nil {
		t.Fatal(err)
	}
	return msgs
}

func TestPushAtOnceAndTogether(t *testing.T) {
	t.Parallel()
	const n = 500
	sent, counts := push(t, nodes(12, delegateMax), func(p *pusher) {
		for i := range n {
			p.push(message(i))
		}
	})
	if sent[0].after != 0 {
		t.Errorf("the first packet went out after %v", sent[0].after)
	}
	copies := map[string]int{}
	for _, s := range sent {
		for _, m := range messages(t, s.msg) {
			copies[string(m)]++
		}
		if len(s.msg) > 1000 {
			t.Errorf("a packet of %d bytes", len(s.msg))
		}
	}
	for i := range n {
		if copies[string(message(i))] != 3 {
			t.Fatalf("message %d was sent %d times", i, copies[string(message(i))])
		}
	}
	if len(sent) > 3*n/10 || counts["packets"] != len(sent) || counts["dropped"] != 0 {
		t.Errorf("%d packets for %d messages; counted %v", len(sent), n, counts)
	}
}

func TestPushIsBounded(t *testing.T) {
	t.Parallel()
	const n = 3 * pushQueueDepth
	sent, counts := push(t, nodes(1, delegateMax), func(p *pusher) {
		for i := range n {
			p.push(message(i))
		}
	})
	got := 0
	for _, s := range sent {
		got += len(messages(t, s.msg))
	}
	if got+counts["dropped"] != n || got < pushBurst/2 || got > pushBurst+pushRate {
		t.Errorf("%d of %d were pushed, %v", got, n, counts)
	}
}

// Agents of Serf's get no batch, and few messages.
func TestStockIsSpared(t *testing.T) {
	t.Parallel()
	const seconds = 20
	mixed := append(nodes(10, delegateMax), nodes(10, 5)...)
	sent, _ := push(t, mixed, func(p *pusher) {
		for i := range 1000 * seconds {
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
			p.push(message(i))
		}
	})
	stock := 0
	for _, s := range sent {
		if s.to[1] != '5' {
			continue
		}
		if stock++; wire.Type(s.msg[0]) != wire.TypeLeave {
			t.Fatalf("%s got a message of type %d", s.to, s.msg[0])
		}
	}
	// Ten of ours push to ten of Serf's, so each pushes 100 a second.
	if stock < 5*seconds || stock > stockRate*(seconds+60)+stockBurst {
		t.Errorf("%d messages went to Serf's", stock)
	}
}

func TestPushToNobody(t *testing.T) {
	t.Parallel()
	sent, counts := push(t, nil, func(p *pusher) { p.push(message(1)) })
	if len(sent) != 0 || len(counts) != 0 {
		t.Error(sent, counts)
	}
}

func TestRoster(t *testing.T) {
	t.Parallel()
	r := roster{self: "v6-001"}
	for _, n := range slices.Backward(append(nodes(5, delegateMax), nodes(4, 5)...)) {
		r.put(n)
	}
	if all, ours := r.size(); all != 8 || ours != 4 {
		t.Errorf("%d members, %d of them ours", all, ours)
	}
	if !slices.IsSortedFunc(r.list, func(a, b peer) int { return bytes.Compare([]byte(a.name), []byte(b.name)) }) {
		t.Error("not in order")
	}
	r.put(&memberlist.Node{Name: "v5-000", Addr: net.ParseIP("::ffff:10.0.0.1"), Port: 1, DMax: delegateMax})
	r.remove("v6-000")
	r.remove("stranger")
	if all, ours := r.size(); all != 7 || ours != 4 {
		t.Errorf("%d members, %d of them ours", all, ours)
	}
	if p := r.choose(100, rand.IntN)[0]; p != (peer{"v5-000", "10.0.0.1:1", true}) {
		t.Errorf("replaced by %+v", p)
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	s := newSeen()
	for i := range 3 * seenSize {
		if s.has(message(i)) {
			t.Fatalf("message %d was never added", i)
		}
		s.add(message(i))
	}
	for i := 2 * seenSize; i < 3*seenSize; i++ {
		if !s.has(message(i)) {
			t.Fatalf("message %d was forgotten", i)
		}
	}
	if s.has(message(0)) {
		t.Error("nothing is ever forgotten")
	}
}
