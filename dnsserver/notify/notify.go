// Package notify tells secondaries that the zone has changed, so that they fetch it at once instead of at their next refresh
// (NOTIFY, RFC 1996). A burst of changes makes one notification. A secondary that does not answer is told again, less and less
// often, and then left to its own refresh until the next change.
package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Timing.
const (
	// gather is how long after a change further ones are waited for, pause the least time between two notifications of
	// one secondary.
	gather = 50 * time.Millisecond
	pause  = 200 * time.Millisecond
	// A notification that is not answered within the first timeout is sent again, with twice that, and so on.
	firstTimeout = time.Second
	tries        = 6
	// notReady is how often to look whether there is a zone to be trusted yet.
	notReady = time.Second
)

// Logger takes what operators want to know.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// Target is a secondary.
type Target struct {
	Addr string    // host:port
	Key  *tsig.Key // signs the notifications; nil: they are not signed
}

// Config describes a Notifier.
type Config struct {
	// Source returns the zone, or nil if there is none to be trusted yet.
	Source  func() *zone.Zone
	Targets []Target
	// Local is the address to send from, by which secondaries know us; the zero value leaves it to the system.
	Local netip.Addr
	// Dial connects to a secondary, for tests; nil means UDP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	Log  Logger // nil: none
}

// Stats is what a notifier has done since it was made.
type Stats struct {
	Sent     uint64 // packets
	Answered uint64
	Failed   uint64 // notifications given up
}

// Notifier tells secondaries of changes. Use Start, then Close. Its methods are safe for concurrent use.
type Notifier struct {
	cfg    Config
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   []chan struct{} // one for each target, with room for one

	sent, answered, failed atomic.Uint64
}

// Start begins with a notification of the version that there is, as secondaries may have an older one from before a restart.
func Start(cfg Config) *Notifier {
	if cfg.Dial == nil {
		dialer := &net.Dialer{}
		if cfg.Local.IsValid() && !cfg.Local.IsUnspecified() {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(cfg.Local, 0))
		}
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "udp", addr) }
	}
	if cfg.Log == nil {
		cfg.Log = silence{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &Notifier{cfg: cfg, cancel: cancel}
	for _, target := range cfg.Targets {
		wake := make(chan struct{}, 1)
		n.wake = append(n.wake, wake)
		n.wg.Go(func() { n.follow(ctx, target, wake) })
	}
	n.Changed()
	return n
}

// Changed says that there is a newer version. It does not wait.
func (n *Notifier) Changed() {
	for _, wake := range n.wake {
		select {
		case wake <- struct{}{}:
		default: // woken already
		}
	}
}

// Close stops, and returns when all has ended.
func (n *Notifier) Close() {
	n.cancel()
	n.wg.Wait()
}

// Stats returns what was done so far.
func (n *Notifier) Stats() Stats {
	return Stats{Sent: n.sent.Load(), Answered: n.answered.Load(), Failed: n.failed.Load()}
}

// follow keeps one secondary informed.
func (n *Notifier) follow(ctx context.Context, target Target, wake <-chan struct{}) {
	told := map[string]uint32{} // by zone
	silent := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		if !sleep(ctx, gather) {
			return
		}
		z, ok := n.zone(ctx)
		if !ok {
			return
		}
		err := n.tellAll(ctx, target, told, z)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !silent:
			n.cfg.Log.Warn("a secondary does not take notifications; it is left to its own refresh until the next change",
				"secondary", target.Addr, "error", err)
		case err == nil && silent:
			n.cfg.Log.Info("a secondary takes notifications again", "secondary", target.Addr)
		}
		silent = err != nil
		if !sleep(ctx, pause) {
			return
		}
	}
}

// tellAll tells a secondary of all zones that it was not told of yet.
func (n *Notifier) tellAll(ctx context.Context, target Target, told map[string]uint32, z *zone.Zone) error {
	for i, one := range zones(z) {
		if serial, ok := told[one.Origin()]; ok && serial == one.Serial() {
			continue
		}
		serial, err := n.tell(ctx, target, i)
		told[one.Origin()] = serial
		if err != nil {
			n.failed.Add(1)
			return err
		}
		n.answered.Add(1)
	}
	return nil
}

// zones returns a zone and those of addresses that belong to it, always in the same order.
func zones(z *zone.Zone) []*zone.Zone { return append([]*zone.Zone{z}, z.Reverse()...) }

// zone waits until there is a zone to be trusted. It reports false if ctx ended before.
func (n *Notifier) zone(ctx context.Context) (*zone.Zone, bool) {
	for {
		if z := n.cfg.Source(); z != nil {
			return z, true
		}
		if !sleep(ctx, notReady) {
			return nil, false
		}
	}
}

// tell sends the SOA record of one zone's newest version until it is answered, and returns its serial.
func (n *Notifier) tell(ctx context.Context, target Target, which int) (serial uint32, err error) {
	timeout := firstTimeout
	for range tries {
		main, ok := n.zone(ctx)
		if !ok {
			return serial, ctx.Err()
		}
		z := zones(main)[which]
		serial = z.Serial()
		began := time.Now()
		if err = n.send(ctx, target, z, timeout); err == nil || ctx.Err() != nil {
			return serial, err
		}
		// An error that came at once, such as a refused port, is not tried again at once. Secondaries of one
		// primary are not told in step.
		if !sleep(ctx, timeout-time.Since(began)+rand.N(timeout/4)) {
			return serial, ctx.Err()
		}
		timeout *= 2
	}
	return serial, fmt.Errorf("%d attempts: %w", tries, err)
}

// maxReply is how long an answer may be: header, question and signature fit in easily.
const maxReply = 1232

// send sends one notification, and waits for its answer.
func (n *Notifier) send(ctx context.Context, target Target, z *zone.Zone, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := n.cfg.Dial(ctx, target.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends the read below
	defer stop()

	m := new(dns.Msg).SetNotify(z.Origin())
	m.Answer = record.Of(z.Origin(), z.SOA()) // a hint, RFC 1996 section 3.7
	packet, err := m.Pack()
	if err != nil {
		return err
	}
	var signed *tsig.Exchange
	if target.Key != nil {
		signed = tsig.NewExchange(target.Key)
		packet = signed.Seal(packet, time.Now())
	}
	n.sent.Add(1)
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	buf := make([]byte, maxReply)
	for {
		size, err := conn.Read(buf)
		if ctx.Err() != nil {
			return fmt.Errorf("no answer within %v", timeout)
		}
		if err != nil {
			return err
		}
		if rcode, ok, err := answer(m.Id, buf[:size], signed); err != nil {
			return err
		} else if !ok {
			continue // not an answer to this, and it may still come
		} else if rcode != dns.RcodeSuccess {
			return fmt.Errorf("it answers %s; does it know this agent as a primary of %s, and the key?", dns.RcodeToString[rcode], z.Origin())
		}
		return nil
	}
}

// answer reads an answer. It reports false if that is none to the notification with this ID.
func answer(id uint16, packet []byte, signed *tsig.Exchange) (rcode int, ok bool, err error) {
	var m dns.Msg
	if m.Unpack(packet) != nil || m.Id != id || !m.Response || m.Opcode != dns.OpcodeNotify {
		return 0, false, nil
	}
	if signed != nil {
		if _, err := signed.Verify(packet, time.Now()); err != nil && (m.Rcode == dns.RcodeSuccess || !errors.Is(err, tsig.ErrUnsigned)) {
			return 0, true, err
		}
	}
	return m.Rcode, true, nil
}

// sleep waits, and reports false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

type silence struct{}

func (silence) Info(string, ...any) {}
func (silence) Warn(string, ...any) {}
