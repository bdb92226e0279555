package telemetry

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"
)

const (
	// udpPacket is the most bytes of one packet to statsd, tcpChunk of one write to statsite.
	udpPacket = 1400
	tcpChunk  = 4096
	// queueSize bounds the figures that wait for a server.
	queueSize = 4096
	// flushDelay is how long figures may wait for others to share a packet with.
	flushDelay = 100 * time.Millisecond
	// dialTimeout and writeTimeout bound what a server can hold up: only its own figures.
	dialTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second
	// retryDelay is the pause after a failure.
	retryDelay = 5 * time.Second
	// endTimeout bounds the last flush.
	endTimeout = time.Second
)

// remote sends figures to a server, one line each: "name:value|kind". It is a metrics.MetricSink that never blocks:
// what the server does not take in time is dropped and counted.
type remote struct {
	dial  func(context.Context) (net.Conn, error)
	limit int // bytes of one write
	log   hclog.Logger

	lines   chan string
	dropped atomic.Uint64

	life context.Context
	end  context.CancelFunc // makes run flush and return
}

var _ metrics.MetricSink = (*remote)(nil)

func dialer(network, addr string) func(context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, network, addr) }
}

// newRemote returns a remote whose run and end its owner calls.
func newRemote(dial func(context.Context) (net.Conn, error), limit int, log hclog.Logger) *remote {
	r := &remote{dial: dial, limit: limit, log: log, lines: make(chan string, queueSize)}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// run sends until end is called. It tells the log of a server that is away once, not at every attempt.
func (r *remote) run() {
	away := false
	for r.life.Err() == nil {
		conn, err := r.dial(r.life)
		if err == nil {
			if away {
				away = false
				r.log.Info("metrics server is back", "lost", r.dropped.Load())
			}
			err = r.send(conn)
			_ = conn.Close() // every write was checked
		}
		if r.life.Err() != nil {
			return
		}
		if !away {
			away = true
			r.log.Warn("metrics server cannot be reached; its figures are lost until it can", "err", err)
		}
		r.discard(retryDelay)
	}
}

// send passes lines on until a write fails or end is called.
func (r *remote) send(conn net.Conn) error {
	// A write that hangs must not hold up the end for long.
	defer context.AfterFunc(r.life, func() { _ = conn.SetWriteDeadline(time.Now().Add(endTimeout)) })()
	buf := make([]byte, 0, r.limit)
	pending := 0
	flush := func() error {
		if len(buf) == 0 {
			return nil
		}
		if r.life.Err() == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // if it has none, so be it: only we wait
		}
		_, err := conn.Write(buf)
		if err != nil {
			r.dropped.Add(uint64(pending))
		}
		buf, pending = buf[:0], 0
		return err
	}
	add := func(line string) error {
		if len(line) > r.limit {
			r.dropped.Add(1)
			return nil
		}
		if len(buf)+len(line) > r.limit {
			if err := flush(); err != nil {
				r.dropped.Add(1)
				return err
			}
		}
		buf = append(buf, line...)
		pending++
		return nil
	}
	var due <-chan time.Time // nil while there is nothing to flush, so that an idle agent sleeps
	for {
		select {
		case line := <-r.lines:
			if err := add(line); err != nil {
				return err
			}
			if due == nil {
				due = time.After(flushDelay)
			}
		case <-due:
			due = nil
			if err := flush(); err != nil {
				return err
			}
		case <-r.life.Done():
			for {
				select {
				case line := <-r.lines:
					if err := add(line); err != nil {
						return err
					}
				default:
					return flush()
				}
			}
		}
	}
}

// discard drops lines for a while, so that a server that comes back gets news.
func (r *remote) discard(d time.Duration) {
	enough := time.After(d)
	for {
		select {
		case <-r.lines:
			r.dropped.Add(1)
		case <-enough:
			return
		case <-r.life.Done():
			return
		}
	}
}

// push queues one figure.
func (r *remote) push(key []string, labels []metrics.Label, val float64, kind string) {
	var b strings.Builder
	for i, part := range key {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	for _, l := range labels {
		b.WriteByte('.')
		b.WriteString(l.Value)
	}
	line := lineName.Replace(b.String()) + ":" + strconv.FormatFloat(val, 'f', 6, 64) + "|" + kind + "\n"
	select {
	case r.lines <- line:
	default:
		r.dropped.Add(1)
	}
}

// lineName replaces what would end a name. The gate has seen to line feeds.
var lineName = strings.NewReplacer(":", "_", " ", "_", "|", "_")

func (r *remote) SetGauge(key []string, val float32) { r.push(key, nil, float64(val), "g") }

func (r *remote) SetGaugeWithLabels(key []string, val float32, labels []metrics.Label) {
	r.push(key, labels, float64(val), "g")
}

func (r *remote) EmitKey(key []string, val float32) { r.push(key, nil, float64(val), "kv") }

func (r *remote) IncrCounter(key []string, val float32) { r.push(key, nil, float64(val), "c") }

func (r *remote) IncrCounterWithLabels(key []string, val float32, labels []metrics.Label) {
	r.push(key, labels, float64(val), "c")
}

func (r *remote) AddSample(key []string, val float32) { r.push(key, nil, float64(val), "ms") }

func (r *remote) AddSampleWithLabels(key []string, val float32, labels []metrics.Label) {
	r.push(key, labels, float64(val), "ms")
}
