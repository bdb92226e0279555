package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/lab"
)

func testCold(c *cluster, r *report) error {
	r.time(c, "cold start of all at once: all know all", c.cold)
	return nil
}

func testEvents(c *cluster, r *report) error {
	defer c.listen(nil)
	for i := range c.set.events {
		heard, began, err := c.fire(fmt.Sprintf("bench-%d", i))
		if err != nil {
			return err
		}
		last, missing := c.wait(heard, began, func(d time.Duration) { r.time(c, "event at an agent", d) })
		if missing > 0 {
			return fmt.Errorf("an event did not reach %d agents", missing)
		}
		r.time(c, "event at all agents", last)
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

// fire sends an event from some agent, and tells when agents hear it.
func (c *cluster) fire(name string) (heard <-chan time.Time, began time.Time, err error) {
	times := make(chan time.Time, len(c.agents))
	c.listen(func(_ *agent, e api.Event) {
		if u, ok := e.(*api.UserEventRecord); ok && u.Name == name {
			times <- time.Now()
		}
	})
	from := c.agents[rand.IntN(len(c.agents))] //nolint:gosec // any will do
	began = time.Now()
	return times, began, from.rpc.UserEvent(c.ctx, name, []byte("0123456789abcdef"), false)
}

// wait waits until all agents have heard, and returns when the last one did and how many have not; each is told of every
// one.
func (c *cluster) wait(heard <-chan time.Time, began time.Time, each ...func(time.Duration)) (last time.Duration, missing int) {
	deadline := time.After(limit)
	for n := range c.agents {
		select {
		case t := <-heard:
			last = t.Sub(began)
			for _, f := range each {
				f(last)
			}
		case <-deadline:
			return last, len(c.agents) - n
		}
	}
	return last, 0
}

func testQueries(c *cluster, r *report) error {
	for range c.set.events {
		from := c.agents[rand.IntN(len(c.agents))] //nolint:gosec // any will do
		began := time.Now()
		q, err := from.rpc.Query(c.ctx, api.QueryRequest{Name: "bench", RequestAck: true, Timeout: 10 * time.Second})
		if err != nil {
			return err
		}
		answers := 0
		for rec := range q.C() {
			if rec.Type == api.QueryRecordResponse {
				answers++
			}
			if answers == len(c.agents) {
				r.time(c, "query answered by all agents", time.Since(began))
				break
			}
		}
		r.add(c, "agents that did not answer a query", "", float64(len(c.agents)-answers))
		_ = q.Close() // it has what it can get
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

func testJoins(c *cluster, r *report) error {
	for i := range c.set.trials {
		began := time.Now()
		a, err := c.spawn(len(c.agents)+i, fmt.Sprintf("j%03d", i))
		if err != nil {
			return err
		}
		err = c.seenByAll(c.agents, a.name, "alive")
		r.time(c, "start of another agent: all others know it", time.Since(began))
		a.end()
		if err == nil {
			err = c.each(c.agents, func(b *agent) error { return c.await(b, a.name, 1, "failed") })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// others is all agents but one.
func (c *cluster) others(a *agent) []*agent {
	return slices.DeleteFunc(slices.Clone(c.agents), func(b *agent) bool { return a == b })
}

// replace starts an agent again and waits until all know it.
func (c *cluster) replace(i int) error {
	c.agents[i].end()
	a, err := c.spawn(i, c.agents[i].name)
	if err != nil {
		return err
	}
	c.agents[i] = a
	if err := c.connect(a); err != nil {
		return err
	}
	err = c.each(c.agents, func(b *agent) error { return c.await(b, "n.*", len(c.agents), "alive") })
	time.Sleep(3 * time.Second)
	return err
}

func testLeaves(c *cluster, r *report) error {
	for k := range c.set.trials {
		i := 1 + k*7%(len(c.agents)-1)
		a := c.agents[i]
		began := time.Now()
		go func() { _ = a.rpc.Leave(c.ctx) }() // the connection may end before the answer
		if err := c.seenByAll(c.others(a), a.name, "left"); err != nil {
			return err
		}
		r.time(c, "graceful leave: all others see it", time.Since(began))
		if err := c.replace(i); err != nil {
			return err
		}
	}
	return nil
}

func testFailures(c *cluster, r *report) error {
	for k := range c.set.trials {
		i := 1 + k*7%(len(c.agents)-1)
		a := c.agents[i]
		if err := a.cmd.Process.Kill(); err != nil {
			return err
		}
		first, last, err := c.seen(c.others(a), a.name, "failed")
		if err != nil {
			return err
		}
		r.time(c, "SIGKILL: the first sees the failure", first)
		r.time(c, "SIGKILL: the last sees the failure", last)
		if err := c.replace(i); err != nil {
			return err
		}
	}
	return nil
}

// testIdle counts the bytes of agents that have nothing to do.
func testIdle(c *cluster, r *report) error {
	time.Sleep(settled)
	sent, ok, err := count(func() error {
		time.Sleep(c.set.idle)
		return nil
	})
	if ok {
		r.add(c, "bytes that an idle agent sends, with headers", "B/s", sent/c.set.idle.Seconds()/float64(len(c.agents)))
	}
	return err
}

// settled is how long after a change the early exchanges of state and the gossip about it are over.
const settled = 20 * time.Second

// testBytes counts what events cost above what idling does.
func testBytes(c *cluster, r *report) error {
	const events, pause = 20, 3 * time.Second
	time.Sleep(settled)
	for range min(c.set.trials, 3) {
		idle, ok, err := count(func() error {
			time.Sleep(events * pause)
			return nil
		})
		if err != nil || !ok {
			return err
		}
		busy, _, err := count(func() error {
			for i := range events {
				from := c.agents[i*7%len(c.agents)]
				if err := from.rpc.UserEvent(c.ctx, fmt.Sprint("bytes-", i), []byte("0123456789abcdef"), false); err != nil {
					return err
				}
				time.Sleep(pause)
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.add(c, "bytes for an event, for each agent", "B", (busy-idle)/events/float64(len(c.agents)))
	}
	return nil
}

// count counts the bytes of gossip that all agents send while f runs; ok is false if this cannot be done.
func count(f func() error) (sent float64, ok bool, err error) {
	b, err := lab.CountBytes(gossipPort)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: bytes are not counted:", err)
		return 0, false, nil
	}
	err = f()
	return float64(b.Stop()), true, err
}

// testLoss sends events while each tenth packet gets lost.
func testLoss(c *cluster, r *report) error {
	c.lab.Lose(0.1)
	defer c.lab.Lose(0)
	defer c.listen(nil)
	missed := 0
	for i := range 5 * c.set.events {
		heard, began, err := c.fire(fmt.Sprintf("loss-%d", i))
		if err != nil {
			return err
		}
		last, missing := c.wait(heard, began)
		missed += missing
		r.time(c, "with 10 % loss, event at all agents", last)
	}
	r.add(c, "with 10 % loss, agents that missed an event", "", float64(missed))
	return nil
}

// testStall counts failures that are none.
func testStall(c *cluster, r *report) error {
	const stall = 3 * time.Second
	var wrong atomic.Int64
	for _, a := range c.agents {
		lines, err := a.rpc.Monitor(c.ctx, "INFO")
		if err != nil {
			return err
		}
		a.pump.Go(func() {
			for line := range lines.C() {
				if strings.Contains(line, "EventMemberFailed: ") {
					wrong.Add(1)
					fmt.Fprintf(os.Stderr, "bench: %s: %s\n", a.name, line)
				}
			}
		})
		defer lines.Close()
	}
	time.Sleep(time.Second) // what was logged before the agents were complete
	wrong.Store(0)
	c.lab.Lose(0.05)
	defer c.lab.Lose(0)
	time.Sleep(c.set.stall / 2)
	if err := lab.Freeze(c.agents[len(c.agents)/2].cmd.Process, stall); err != nil {
		return err
	}
	time.Sleep(c.set.stall / 2)
	r.add(c, fmt.Sprintf("with 5 %% loss for %v, one still for %v: wrong failures", c.set.stall, stall), "", float64(wrong.Load()))
	return nil
}

// testRates sends events from eight callers at each rate for ten seconds.
func testRates(c *cluster, r *report) error {
	const callers, seconds = 8, 10
	defer c.listen(nil)
	for _, rate := range c.set.rates {
		prefix := fmt.Sprintf("r%d-", rate)
		got := make(map[*agent]*atomic.Int64)
		for _, a := range c.agents {
			got[a] = &atomic.Int64{}
		}
		c.listen(func(a *agent, e api.Event) {
			if u, ok := e.(*api.UserEventRecord); ok && strings.HasPrefix(u.Name, prefix) {
				got[a].Add(1)
			}
		})
		var next, sent, refused atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for range callers {
			all.Go(func() {
				for {
					k := next.Add(1) - 1
					if k >= int64(rate*seconds) || c.ctx.Err() != nil {
						return
					}
					time.Sleep(time.Until(began.Add(time.Duration(k) * time.Second / time.Duration(rate))))
					if c.agents[0].rpc.UserEvent(c.ctx, fmt.Sprint(prefix, k), make([]byte, 32), false) == nil {
						sent.Add(1)
					} else {
						refused.Add(1)
					}
				}
			})
		}
		all.Wait()
		took := time.Since(began)
		worst := func() (n int64) {
			n = sent.Load()
			for _, a := range c.agents {
				n = min(n, got[a].Load())
			}
			return n
		}
		for last, quiet := worst(), time.Now(); worst() < sent.Load() && time.Since(quiet) < 5*time.Second; time.Sleep(pollEvery) {
			if now := worst(); now > last {
				last, quiet = now, time.Now()
			}
		}
		what := fmt.Sprintf("%d events a second for %d s: ", rate, seconds)
		r.add(c, what+"sent", "1/s", float64(sent.Load())/took.Seconds())
		r.add(c, what+"refused", "", float64(refused.Load()))
		r.add(c, what+"lost at the worst agent", "", float64(sent.Load()-worst()))
	}
	return nil
}
