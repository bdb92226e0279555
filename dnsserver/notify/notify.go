// Package notify tells secondaries that the zone has changed, so that they fetch it at once instead of at their next refresh
// (NOTIFY, RFC 1996). A burst of changes makes one notification. A secondary that does not answer is told again, less and less
// often, and then left to its own refresh until the next change.
//
// Before that a secondary is asked which version it has. One that is ahead of us, from another agent that served it or from
// ourselves before a restart, would ignore all that we say until our serial had caught up: so ours is advanced.
package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/journal"
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
	Source func() *zone.Zone
	// Targets are whom to tell at first (see SetTargets).
	Targets []Target
	// Advance gives the zone of that name a later serial than past.
	Advance func(origin string, past uint32)
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
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	followers []follower

	sent, answered, failed atomic.Uint64
}

// follower keeps one secondary informed.
type follower struct {
	target Target
	wake   chan struct{} // has room for one
	cancel context.CancelFunc
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
	n := &Notifier{cfg: cfg, ctx: ctx, cancel: cancel}
	n.SetTargets(cfg.Targets)
	return n
}

// SetTargets says whom to tell from now on. Who was told already, with the same key, hears of the next change; all others
// of the version that there is. It must not be called after Close.
func (n *Notifier) SetTargets(targets []Target) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.followers
	n.followers = nil
	for _, target := range targets {
		if i := slices.IndexFunc(old, func(f follower) bool { return f.target.equal(target) }); i >= 0 {
			n.followers = append(n.followers, old[i])
			old = slices.Delete(old, i, i+1)
			continue
		}
		ctx, cancel := context.WithCancel(n.ctx)
		f := follower{target, make(chan struct{}, 1), cancel}
		n.followers = append(n.followers, f)
		f.wake <- struct{}{}
		n.wg.Go(func() { n.follow(ctx, target, f.wake) })
	}
	for _, f := range old {
		f.cancel()
	}
}

func (t Target) equal(other Target) bool { return t.Addr == other.Addr && t.Key.Equal(other.Key) }

// Changed says that there is a newer version. It does not wait.
func (n *Notifier) Changed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.followers {
		select {
		case f.wake <- struct{}{}:
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
		var theirs uint32
		var has bool
		if theirs, has, err = n.ask(ctx, target, z.Origin(), timeout); err == nil && has && journal.Newer(theirs, serial) {
			n.cfg.Advance(z.Origin(), theirs)
			err = fmt.Errorf("it has serial %d, which is later than ours", theirs)
			continue // with the version that this made
		}
		if err == nil {
			err = n.notify(ctx, target, z, timeout)
		}
		if err == nil || ctx.Err() != nil {
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

// ask asks a secondary which version it has. It reports false if the secondary does not say.
func (n *Notifier) ask(ctx context.Context, target Target, origin string, timeout time.Duration) (serial uint32, ok bool, err error) {
	m := new(dns.Msg).SetQuestion(origin, dns.TypeSOA)
	m.RecursionDesired = false
	reply, err := n.exchange(ctx, target, m, timeout)
	if err != nil || reply.Rcode != dns.RcodeSuccess || len(reply.Answer) == 0 {
		return 0, false, err
	}
	soa, ok := reply.Answer[0].(*dns.SOA)
	if !ok || dns.CanonicalName(soa.Hdr.Name) != origin {
		return 0, false, nil
	}
	return soa.Serial, true, nil
}

// notify sends one notification.
func (n *Notifier) notify(ctx context.Context, target Target, z *zone.Zone, timeout time.Duration) error {
	m := new(dns.Msg).SetNotify(z.Origin())
	m.Answer = record.Of(z.Origin(), z.SOA()) // a hint, RFC 1996 section 3.7
	n.sent.Add(1)
	reply, err := n.exchange(ctx, target, m, timeout)
	if err == nil && reply.Rcode != dns.RcodeSuccess {
		err = fmt.Errorf("it answers %s; does it know this agent as a primary of %s, and the key?", dns.RcodeToString[reply.Rcode], z.Origin())
	}
	return err
}

// maxReply is how long an answer may be: header, question, SOA record and signature fit in easily.
const maxReply = 4096

// exchange sends a message, and waits for its answer.
func (n *Notifier) exchange(ctx context.Context, target Target, m *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := n.cfg.Dial(ctx, target.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends the read below
	defer stop()
	packet, err := m.Pack()
	if err != nil {
		return nil, err
	}
	var signed *tsig.Exchange
	if target.Key != nil {
		signed = tsig.NewExchange(target.Key)
		packet = signed.Seal(packet, time.Now())
	}
	if _, err := conn.Write(packet); err != nil {
		return nil, err
	}
	buf := make([]byte, maxReply)
	for {
		size, err := conn.Read(buf)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no answer within %v", timeout)
		}
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		if reply.Unpack(buf[:size]) != nil || reply.Id != m.Id || !reply.Response || reply.Opcode != m.Opcode {
			continue // no answer to this, which may still come
		}
		if signed != nil {
			// A server that does not want us need not sign that.
			if _, err := signed.Verify(buf[:size], time.Now()); err != nil && (reply.Rcode == dns.RcodeSuccess || !errors.Is(err, tsig.ErrUnsigned)) {
				return nil, err
			}
		}
		return reply, nil
	}
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
