package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// writes is a connection that remembers each write and may fail or hang.
type writes struct {
	net.Conn // nil: nothing else is called
	got      chan string
	err      error
	deadline atomic.Pointer[time.Time]
	hang     bool
}

func newWrites() *writes { return &writes{got: make(chan string, 100)} }

func (w *writes) Write(p []byte) (int, error) {
	for w.hang {
		if d := w.deadline.Load(); d != nil && !time.Now().Before(*d) {
			return 0, context.DeadlineExceeded
		}
		time.Sleep(10 * time.Millisecond)
	}
	if w.err != nil {
		return 0, w.err
	}
	w.got <- string(p)
	return len(p), nil
}

func (w *writes) SetWriteDeadline(t time.Time) error { w.deadline.Store(&t); return nil }
func (w *writes) Close() error                       { return nil }

// runRemote runs a remote over connections that dial gives out, until end.
func runRemote(limit int, log hclog.Logger, dial func() (net.Conn, error)) (r *remote, end func()) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	r = newRemote(func(context.Context) (net.Conn, error) { return dial() }, limit, log)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run()
	}()
	return r, func() {
		r.end()
		<-done
	}
}

func TestRemotePackets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := newWrites()
		r, end := runRemote(udpPacket, nil, func() (net.Conn, error) { return conn, nil })
		for i := range 100 {
			r.IncrCounter([]string{"some", "name", fmt.Sprint(i)}, float32(i))
		}
		r.SetGauge([]string{strings.Repeat("x", udpPacket)}, 1) // fits no packet
		synctest.Wait()
		time.Sleep(flushDelay)
		synctest.Wait()
		lines := 0
		for len(conn.got) > 0 {
			packet := <-conn.got
			if len(packet) > udpPacket {
				t.Errorf("a packet of %d bytes", len(packet))
			}
			if !strings.HasSuffix(packet, "|c\n") {
				t.Errorf("a line was cut: %q", packet)
			}
			lines += strings.Count(packet, "\n")
		}
		if lines != 100 || r.dropped.Load() != 1 {
			t.Errorf("got %d lines, %d dropped", lines, r.dropped.Load())
		}
		r.AddSample([]string{"last"}, 1)
		end()
		if len(conn.got) != 1 || <-conn.got != "last:1.000000|ms\n" {
			t.Error("what waited at the end was lost")
		}
	})
}

// TestRemoteAway: an unreachable server holds nobody up, is told of once, and gets news when it is back.
func TestRemoteAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var there atomic.Bool
		var dials atomic.Int32
		broken := &writes{err: errors.New("broken pipe")}
		good := newWrites()
		conns := []net.Conn{broken, good}
		r, end := runRemote(tcpChunk, hclog.New(&hclog.LoggerOptions{Output: &log}), func() (net.Conn, error) {
			dials.Add(1)
			if !there.Load() {
				return nil, errors.New("refused")
			}
			c := conns[0]
			conns = conns[1:]
			return c, nil
		})
		for range 3 * queueSize {
			r.IncrCounter([]string{"x"}, 1)
		}
		time.Sleep(time.Minute)
		if n := dials.Load(); n < 10 || n > 14 {
			t.Errorf("%d attempts in a minute", n)
		}
		there.Store(true)
		time.Sleep(retryDelay) // to the connection that breaks
		r.IncrCounter([]string{"broken"}, 1)
		time.Sleep(2 * retryDelay)
		r.IncrCounter([]string{"news"}, 1)
		end()
		if len(good.got) != 1 || <-good.got != "news:1.000000|c\n" {
			t.Error("the server that came back got no news")
		}
		if got := r.dropped.Load(); got != 3*queueSize+1 {
			t.Errorf("%d dropped", got)
		}
		told := ""
		for line := range strings.Lines(log.String()) {
			for _, what := range []string{"cannot be reached", "is back"} {
				if strings.Contains(line, what) {
					told += what + "; "
				}
			}
		}
		if told != "cannot be reached; is back; cannot be reached; is back; " {
			t.Errorf("log: %s", &log)
		}
	})
}

// TestRemoteHangs: a server that takes nothing ends neither the agent's work nor its end.
func TestRemoteHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := &writes{hang: true}
		r, end := runRemote(tcpChunk, nil, func() (net.Conn, error) { return conn, nil })
		r.IncrCounter([]string{"x"}, 1)
		time.Sleep(2 * flushDelay) // the write hangs now
		start := time.Now()
		for range 2 * queueSize {
			r.IncrCounter([]string{"x"}, 1)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("figures waited %v", took)
		}
		end()
		if took := time.Since(start); took > endTimeout+100*time.Millisecond {
			t.Errorf("the end took %v", took)
		}
	})
}
