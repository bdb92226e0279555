package gossip

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rounds runs a courier for members while f tells it news, and returns when it pinged.
func rounds(t *testing.T, members int, f func(*courier)) (pings []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		r := roster{self: "self"}
		for _, n := range nodes(members, 5) {
			r.put(n)
		}
		start := time.Now()
		c := newCourier(&r, 3, func(peer) { pings = append(pings, time.Since(start)) })
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			c.run(stop)
		}()
		f(c)
		synctest.Wait()
		close(stop)
		<-done
	})
	return pings
}

func TestCourierGoesAtOnce(t *testing.T) {
	t.Parallel()
	pings := rounds(t, 20, func(c *courier) {
		time.Sleep(time.Minute)
		c.heard()
	})
	if len(pings) != 3 || pings[2] != time.Minute {
		t.Errorf("pings at %v", pings)
	}
}

// A storm of news does not make a storm of packets.
func TestCourierIsBounded(t *testing.T) {
	t.Parallel()
	const seconds = 60
	pings := rounds(t, 20, func(c *courier) {
		for range 1000 * seconds {
			c.heard()
			time.Sleep(time.Millisecond)
		}
	})
	if n := len(pings) / 3; n < courierRate*seconds || n > courierRate*seconds+courierBurst {
		t.Errorf("%d rounds in %d seconds", n, seconds)
	}
}

func TestCourierHurries(t *testing.T) {
	t.Parallel()
	pings := rounds(t, 20, func(c *courier) {
		first, second := c.hurry(), c.hurry()
		time.Sleep(50 * time.Millisecond)
		first()
		time.Sleep(50 * time.Millisecond)
		second()
		time.Sleep(time.Minute)
	})
	if n := len(pings) / 3; n < 5 || n > 9 || pings[len(pings)-1] > 150*time.Millisecond {
		t.Errorf("%d rounds, the last at %v", n, pings[len(pings)-1])
	}
}

// Who waits while nobody is there costs nothing, and is served as soon as somebody comes.
func TestCourierAlone(t *testing.T) {
	t.Parallel()
	pings := rounds(t, 0, func(c *courier) {
		defer c.hurry()()
		time.Sleep(time.Minute)
		c.roster.put(nodes(1, 6)[0])
		c.heard()
		time.Sleep(time.Second)
	})
	if len(pings) < 10 || pings[0] != time.Minute {
		t.Errorf("%d pings", len(pings))
	}
}

// Whoever suspects us is answered directly.
func TestCourierAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := roster{self: "self"}
		for _, n := range nodes(20, 5) {
			r.put(n)
		}
		var pinged []string
		c := newCourier(&r, 1, func(p peer) { pinged = append(pinged, p.name) })
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			c.run(stop)
		}()
		for range 100 * courierBurst {
			c.accused("v5-007")
			c.accused("stranger")
			time.Sleep(time.Millisecond)
		}
		close(stop)
		<-done
		if len(pinged) == 0 || pinged[0] != "v5-007" {
			t.Fatalf("pinged %v", pinged)
		}
		if most := courierBurst * (defence + 1) * 2; len(pinged) > most {
			t.Errorf("%d pings, more than %d", len(pinged), most)
		}
	})
}

func TestListener(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var accusers []string
	l := listener{&out, func(by string) { accusers = append(accusers, by) }}
	lines := []string{
		"[WARN] memberlist: Refuting a suspect message (from: b (c))\n",
		"[INFO] memberlist: Suspect b has failed, no acks received\n",
	}
	for _, line := range lines {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Error(n, err)
		}
	}
	if len(accusers) != 1 || accusers[0] != "b (c)" || out.String() != strings.Join(lines, "") {
		t.Errorf("heard of %q; passed on %q", accusers, out.String())
	}
}
