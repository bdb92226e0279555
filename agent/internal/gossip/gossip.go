package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"
	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/memberlist"

	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// Versions of Serf's protocol that we advertise. Max is one above Serf's: stock agents accept that, and it is
// how agents of ours recognise each other.
const (
	delegateMin = 2
	delegateMax = 6
)

// memberlistProtocol is the protocol that Serf speaks in all its versions (Serf reference 1.1).
const memberlistProtocol = 2

// Inbox takes what memberlist hears. Its methods are called from memberlist's goroutines, some with
// memberlist's locks held: Post must not block and must not call back into Gossip.
type Inbox interface {
	// Post hands over inputs, in order. It keeps every node event and may drop, and must count, messages beyond a
	// bound of its own.
	Post(in ...state.Input)
	// LocalState returns what to send in a push/pull: a message of type 2. It may wait for the core.
	LocalState() []byte
	// NumMembers is the number of members of every status; it scales the retransmits.
	NumMembers() int
}

// Pinger is told of direct probes, and adds a payload to acknowledgements. Safe for concurrent use.
type Pinger interface {
	AckPayload() []byte
	PingComplete(node string, rtt time.Duration, payload []byte)
}

// Config is what a Gossip needs to start. Zero values are not defaults except where stated.
type Config struct {
	Name string
	// BindAddr is an IP address; BindPort 0 lets the kernel choose.
	BindAddr string
	BindPort int
	// AdvertiseAddr and AdvertisePort are told to peers in place of the bound ones; "" and 0 mean those.
	AdvertiseAddr string
	AdvertisePort int
	// Profile is the name of the timing to keep: see Profiles.
	Profile string
	// Protocol is the version of Serf's protocol to speak, 2 to 5.
	Protocol uint8
	// Cluster, if not empty, is the name that all members of the cluster share, and no other: at most 255 bytes.
	Cluster string
	// ReclaimTime is how long a member must have been failed until another address may take its name; 0 means until
	// memberlist has forgotten it.
	ReclaimTime time.Duration
	// Keyring turns encryption on; nil leaves gossip in the clear.
	Keyring *Keyring
	// Compression of larger messages; peers understand both.
	Compression bool
	// Meta is the node meta to start with (encoded tags).
	Meta []byte
	// CheckName tells what is wrong with a peer's name; peers with bad ones are ignored. nil takes every name. It is
	// called with memberlist's lock held.
	CheckName func(name string) error
	// Ping may be nil.
	Ping Pinger
	// Dialed is told how each attempt to connect to a peer ended; nil if nobody wants to know. It must be quick.
	Dialed func(to netip.AddrPort, err error)
	// Direct takes requests and answers between agents of ours (package peer); nil drops them. It must neither block nor
	// keep raw.
	Direct func(raw []byte)
	// Inbox takes everything else that is heard.
	Inbox Inbox
	Log   hclog.Logger
	// Std takes memberlist's messages, with the level in brackets.
	Std *log.Logger
	// Transport replaces UDP and TCP in tests; nil means the real network.
	Transport Transport
}

// Transport is what carries packets and streams.
type Transport = memberlist.Transport

// Gossip is a running memberlist with Serf's queues on it. Safe for concurrent use.
type Gossip struct {
	cfg     Config
	list    *memberlist.Memberlist
	ml      *memberlist.Config
	queues  queues
	roster  roster
	pusher  *pusher
	courier *courier
	seen    *seen
	meta    atomic.Pointer[[]byte]
	// payload is when an answer to a probe last carried one, in Unix nanoseconds; payloadPause the least time between.
	payload      atomic.Int64
	payloadPause time.Duration
	// sources is where packets came from; nil if the transport does not tell.
	sources *sources
	// ourPush is above zero while we run a join, whose push/pulls may be told to leave old events out.
	ignoreOld atomic.Int32
	settling  atomic.Bool // state is being exchanged early, after a join
	joining   sync.Mutex  // one join at a time (Serf reference 2.4)

	mu      sync.Mutex // guards the step from running to stopping
	stop    chan struct{}
	stopped sync.WaitGroup
	err     error
}

// ErrStopped tells that the agent is shutting down.
var ErrStopped = errors.New("the agent is shutting down")

// Start binds the gossip address and begins to listen. It contacts nobody: see Join.
func Start(cfg Config) (*Gossip, error) {
	timing, err := profile(cfg.Profile)
	if err != nil {
		return nil, err
	}
	ml := timing.ml
	// Names are checked by the border, before memberlist sees anything.
	ml.Label, ml.SkipInboundLabelCheck = cfg.Cluster, true
	ml.DeadNodeReclaimTime = cfg.ReclaimTime
	g := &Gossip{cfg: cfg, ml: ml, roster: roster{self: cfg.Name}, seen: newSeen(), stop: make(chan struct{})}
	g.meta.Store(&cfg.Meta)
	g.queues = newQueues(ml.RetransmitMult, timing.retransmit, cfg.Inbox.NumMembers)
	g.pusher = newPusher(&g.roster, timing.fanout, g.pushRoom(), g.pushTo)
	g.payloadPause = timing.payload
	g.courier = newCourier(&g.roster, timing.fanout, g.carry)
	cfg.Std = log.New(listener{cfg.Std.Writer(), g.courier.accused}, cfg.Std.Prefix(), cfg.Std.Flags())

	ml.Name = cfg.Name
	ml.BindAddr, ml.BindPort = cfg.BindAddr, cfg.BindPort
	ml.AdvertiseAddr, ml.AdvertisePort = cfg.AdvertiseAddr, cfg.AdvertisePort
	ml.ProtocolVersion = memberlistProtocol
	ml.DelegateProtocolMin, ml.DelegateProtocolMax = delegateMin, delegateMax
	ml.DelegateProtocolVersion = cfg.Protocol
	ml.EnableCompression = cfg.Compression && cfg.Keyring != nil // what is encrypted must be compressed before; else see squeezed
	ml.LogOutput = nil
	ml.Logger = cfg.Std
	if cfg.Keyring != nil {
		ml.Keyring = cfg.Keyring.ring
	}
	d := (*delegate)(g)
	ml.Delegate, ml.Events, ml.Conflict = d, d, d
	if cfg.Ping != nil {
		ml.Ping = d
	}
	ml.Alive = newNameGuard(cfg.CheckName, cfg.Log)
	ml.Logger = log.New(quiet{cfg.Std.Writer()}, cfg.Std.Prefix(), cfg.Std.Flags())
	if ml.Transport = cfg.Transport; ml.Transport == nil {
		var direct func([]byte)
		if !g.sealed() {
			direct = d.NotifyMsg
		}
		t, err := newTransport(cfg.BindAddr, cfg.BindPort, ml.Logger, direct)
		if err != nil {
			return nil, err
		}
		ml.Transport = t
		g.sources = &t.sources
		if cfg.BindPort == 0 {
			ml.BindPort = t.port()
			if ml.AdvertisePort == 0 {
				ml.AdvertisePort = ml.BindPort
			}
		}
	}
	ml.Transport = newBorder(ml.Transport, cfg.Cluster, cfg.Compression && cfg.Keyring == nil, cfg.Log)
	if cfg.Dialed != nil {
		ml.Transport = watched{ml.Transport, cfg.Dialed}
	}
	if g.list, err = memberlist.Create(ml); err != nil {
		_ = ml.Transport.Shutdown() // the error at hand says more
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	g.spawn(g.watchQueues)
	g.spawn(func() { g.pusher.run(g.stop) })
	g.spawn(func() { g.courier.run(g.stop) })
	return g, nil
}

// watchQueues samples the queues until Stop.
func (g *Gossip) watchQueues() {
	tick := time.NewTicker(queueCheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.queues.check(g.cfg.Log)
		case <-g.stop:
			return
		}
	}
}

// Addr returns the address that peers are told.
func (g *Gossip) Addr() netip.AddrPort {
	n := g.list.LocalNode()
	addr, _ := netip.AddrFromSlice(n.Addr)
	return netip.AddrPortFrom(addr.Unmap(), n.Port)
}

// BindPort returns the bound port, which the kernel chose if Config.BindPort was 0.
func (g *Gossip) BindPort() int { return g.ml.BindPort }

// JoinError lists, in order, the addresses that could not be joined and why.
type JoinError struct{ Failures []error }

func (e *JoinError) Error() string {
	texts := make([]string, len(e.Failures))
	for i, err := range e.Failures {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the single failures.
func (e *JoinError) Unwrap() []error { return e.Failures }

// Join exchanges state with every address: host, host:port or nodename/host:port. It returns how many were
// reached, with a *JoinError if none was. With ignoreOld, user events from before the join are not delivered.
// When ctx ends Join returns at once; an exchange under way may still succeed behind it.
func (g *Gossip) Join(ctx context.Context, addrs []string, ignoreOld bool) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	started := g.spawn(func() {
		if ignoreOld { // the others do not disturb each other, and may well take half a minute
			g.joining.Lock()
			defer g.joining.Unlock()
		}
		if ctx.Err() != nil {
			done <- result{0, ctx.Err()}
			return
		}
		if ignoreOld {
			g.ignoreOld.Add(1)
			defer g.ignoreOld.Add(-1)
		}
		n, err := g.list.Join(addrs)
		if n > 0 {
			g.settle()
		}
		done <- result{n, g.joinError(err)}
	})
	if !started {
		return 0, fmt.Errorf("join: %w", ErrStopped)
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("join: %w", ctx.Err())
	case <-g.stop:
		return 0, fmt.Errorf("join: %w", ErrStopped)
	}
}

// spawn runs f in a goroutine that Stop waits for. It returns false once Stop has begun.
func (g *Gossip) spawn(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.stop:
		return false
	default:
		g.stopped.Go(f)
		return true
	}
}

// ErrRefused is what joining fails with, by errors.Is, if the peer is there but not of our cluster, or has another
// key: to ask again soon is no use.
var ErrRefused = errors.New("refused")

// refused is an error that is ErrRefused too.
type refused struct{ error }

func (refused) Is(target error) bool { return target == ErrRefused }

func (r refused) Unwrap() error { return r.error }

func (g *Gossip) joinError(err error) error {
	if err == nil {
		return nil
	}
	failures := []error{err}
	var many *multierror.Error
	if errors.As(err, &many) {
		failures = many.Errors
	}
	for i, f := range failures {
		failures[i] = explain(f, g.cfg.Keyring != nil, g.cfg.Cluster)
	}
	return &JoinError{Failures: failures}
}

// explain adds what to do to the failures whose cause memberlist cannot know. It gives texts only.
func explain(err error, encrypted bool, cluster string) error {
	text := strings.TrimSpace(err.Error())
	var hint string
	hard := true
	switch {
	case strings.Contains(text, mismatch):
		hint = "one of the two is not where it belongs, or compare -cluster"
	case strings.Contains(text, "o installed keys could decrypt"):
		hint = "the keys of the two sides differ; compare -encrypt and the keyring file"
	case strings.Contains(text, "encryption is not configured"):
		hint = "the peer encrypts its gossip; start with the cluster's key (-encrypt or -keyring-file)"
	case strings.Contains(text, "encryption is configured but remote state is not encrypted"):
		hint = "the peer does not encrypt its gossip; start without a key or give it ours"
	case strings.HasSuffix(text, "EOF"), strings.Contains(text, syscall.ECONNRESET.Error()):
		hard = false
		switch {
		case cluster != "":
			hint = fmt.Sprintf("the peer hung up without an answer; it may not be of cluster %q, not have our key, or not be an agent", cluster)
		case encrypted:
			hint = "the peer hung up without an answer; it may not have our key, or not be an agent"
		default:
			hint = "the peer hung up without an answer; it may want an encryption key, or not be an agent"
		}
	case strings.Contains(text, syscall.ECONNREFUSED.Error()):
		hint, hard = "nothing listens there; is the agent running?", false
	case strings.Contains(text, "strconv.Parse"), strings.Contains(text, "lookup : "):
		hint, hard = "write HOST or HOST:PORT, with a port up to 65535", false
	case strings.Contains(text, "i/o timeout"), strings.Contains(text, "deadline exceeded"):
		hint, hard = "no answer; check the address and the firewall", false
	default:
		return err
	}
	err = fmt.Errorf("%w (%s)", err, hint)
	if hard {
		return refused{err}
	}
	return err
}

// Send passes one message straight to a member, best effort by UDP. It does not wait for the network.
func (g *Gossip) Send(to netip.AddrPort, node string, msg []byte) error {
	metrics.AddSample([]string{"serf", "msgs", "sent"}, float32(len(msg)))
	return g.sendPacket(to.String(), node, msg)
}

// Broadcast sends one message to everyone: at once to a few members, who pass it on, and by gossip, which repairs what
// is lost on the way. sent, if not nil, is closed once gossip has sent it out as often as it will, which never happens
// while no other member is alive.
func (g *Gossip) Broadcast(q state.Queue, msg []byte, sent chan<- struct{}) {
	g.seen.add(msg)
	g.pusher.push(msg)
	b := &broadcast{msg: msg, sent: sent}
	if sent != nil {
		b.done = g.courier.hurry()
	}
	if len(msg) > g.gossipRoom() {
		b.Finished() // it would wait for ever for a packet with so much room
		return
	}
	g.queues.add(q, b, g.pusher.fanout > 0)
}

// QueueDepth returns how many messages wait in a queue.
func (g *Gossip) QueueDepth(q state.Queue) int { return g.queues[q].NumQueued() }

// UpdateMeta makes meta our node meta and tells the cluster. It waits until the change is on its way, or
// returns an error after timeout; the change is made all the same.
func (g *Gossip) UpdateMeta(meta []byte, timeout time.Duration) error {
	if len(meta) > memberlist.MetaMaxSize {
		return fmt.Errorf("node meta of %d bytes exceeds the limit of %d", len(meta), memberlist.MetaMaxSize)
	}
	g.meta.Store(&meta)
	defer g.courier.hurry()()
	return g.list.UpdateNode(timeout)
}

// NumAlive returns how many members memberlist takes to be alive, ourselves included.
func (g *Gossip) NumAlive() int { return g.list.NumMembers() }

// HealthScore is memberlist's idea of our own slowness: 0 is healthy.
func (g *Gossip) HealthScore() int { return g.list.GetHealthScore() }

// Leave tells the cluster that we go. It waits until the message is on its way, or returns an error after
// timeout. Gossip goes on until Stop.
func (g *Gossip) Leave(timeout time.Duration) error {
	defer g.courier.hurry()()
	return g.list.Leave(timeout)
}

// Stop ends all gossip at once; peers will take us for failed unless Leave came before. It waits for our own
// goroutines; memberlist's own end shortly after.
func (g *Gossip) Stop() error {
	g.mu.Lock()
	select {
	case <-g.stop:
	default:
		close(g.stop)
		g.err = g.list.Shutdown()
	}
	g.mu.Unlock()
	g.stopped.Wait()
	return g.err
}

// Rejoin exchanges state with a member whose name and address, ip:port, are known. It announces nothing.
func (g *Gossip) Rejoin(ctx context.Context, name, addr string) error {
	_, err := g.Join(ctx, []string{joinAddr(name, addr)}, false)
	return err
}

// Ping tells whether an agent of that name answers at the address, by UDP. It takes as long as a failed probe at most.
func (g *Gossip) Ping(name string, addr netip.AddrPort) bool {
	_, err := g.list.Ping(name, net.UDPAddrFromAddrPort(addr))
	return err == nil
}
