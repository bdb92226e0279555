// Package dnsbridge keeps the DNS zone of an agent in step with its view of the cluster, and serves it. It is the
// one place that knows both what a member is and what a zone is: the rules for which members have which names are
// here (see Convert), those for the names themselves in dnsserver/zone.
package dnsbridge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver"
	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Config is what the bridge needs to know of the agent's settings.
type Config struct {
	Addr string // host:port to serve on, UDP and TCP
	Zone string // such as "gossip."
	// TTLs of names that stand for one member, of names that stand for a set, and of negative answers. Whole
	// seconds; 0 means not to be cached.
	NodeTTL, ServiceTTL, NegativeTTL time.Duration
	// Order, Answers, Services and Reverse are those of zone.Config.
	Order    zone.Order
	Answers  int
	Services map[string]zone.Policy
	Reverse  []netip.Prefix
	// RTT returns estimates of the round-trip times to members, by name, and Band is by how much two may differ to count
	// as the same. They are for sets ordered by distance. Nil means that none is known.
	RTT  func() map[string]time.Duration
	Band time.Duration
	// Ready reports whether the view may be trusted yet. Until then clients get SERVFAIL, never "no such name".
	// It is called for each query. Nil means always.
	Ready func() bool
	// StaleLimit is how long members that failed are shown, marked as stale, while the agent looks cut off; 0 means
	// not at all.
	StaleLimit time.Duration
	// Confidence returns how far the view is to be trusted right now, for the status. Nil means as it was when the view
	// changed last.
	Confidence func() view.Confidence
	// Server is how the server talks. What it needs of the other fields here is filled in.
	Server dnsserver.Config
	// SigningKeys are files of keys that sign the zone; none means that it is not signed.
	SigningKeys []string
	Outward     Outward
	Log         hclog.Logger // nil: none
}

// Bridge serves a view as a zone. Its methods are safe for concurrent use.
type Bridge struct {
	cfg    Config
	log    hclog.Logger
	store  *view.Store
	server *dnsserver.Server
	signer atomic.Pointer[dnssec.Signer] // nil: nothing is signed
	out    *outward
	empty  *zone.Zone // to answer from before there is a view

	distances atomic.Pointer[zone.Distances]

	writing sync.Mutex // held by who changes zone
	zone    atomic.Pointer[zone.Zone]

	follower follower
	stale    atomic.Int64 // members shown as stale
	lapsed   atomic.Bool  // the zone lacks members that may be there all the same
	problems atomic.Int64 // names that could not be published as they are
	changed  atomic.Int64 // when the zone changed last, in ns since 1970
	cancel   context.CancelFunc
	ctx      context.Context
	wg       sync.WaitGroup
}

// New checks the settings. The bridge does nothing before Start.
func New(cfg Config, store *view.Store) (*Bridge, error) {
	b := &Bridge{cfg: cfg, log: cfg.Log, store: store}
	if b.log == nil {
		b.log = hclog.NewNullLogger()
	}
	empty, err := zone.New(zone.Config{
		Origin:      cfg.Zone,
		Self:        store.Load().Local,
		NodeTTL:     cfg.NodeTTL,
		ServiceTTL:  cfg.ServiceTTL,
		NegativeTTL: cfg.NegativeTTL,
		Order:       cfg.Order,
		Answers:     cfg.Answers,
		Services:    cfg.Services,
		Reverse:     cfg.Reverse,
		// The clock carries the serial over a restart: it is ahead of where an earlier run stopped, unless
		// that changed more than once a second for its whole life. Secondaries that are ahead are noticed (advance).
		Serial: uint32(time.Now().Unix()),
	})
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	b.zone.Store(empty)
	b.empty = empty.WithTrust(zone.NotReady)
	b.distances.Store(&zone.Distances{Band: cfg.Band})
	b.follower.log = b.log
	b.follower.doubt.holds.Limit = cfg.StaleLimit
	b.changed.Store(time.Now().UnixNano())
	if b.out, err = newOutward(b); err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	server := cfg.Server
	if server.Signer, err = newSigner(cfg.SigningKeys, empty); err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	b.signer.Store(server.Signer)
	server.Addr, server.Source, server.Status, server.Distances = cfg.Addr, b.source, b.status, b.distances.Load
	server.Keys, server.Transfers = b.out.keys.Load(), b.out.transfers
	server.Report = func(err error) { b.log.Error("DNS goes on with what it had", "error", err) }
	if b.server, err = dnsserver.New(server); err != nil {
		return nil, err
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// source is the zone that queries are answered from. It says itself what it is worth.
func (b *Bridge) source() *zone.Zone {
	if !b.ready() {
		return b.empty
	}
	return b.zone.Load()
}

// settled is the zone to go by outside of this agent, or nil before there is one worth it.
func (b *Bridge) settled() *zone.Zone {
	if !b.ready() {
		return nil
	}
	return b.zone.Load()
}

// copied is the zone for secondaries to keep, which say "no such name" of what is not in it. It is nil when we would not say
// that: better they keep what they have.
func (b *Bridge) copied() *zone.Zone {
	if b.lapsed.Load() {
		return nil
	}
	return b.settled()
}

// ready reports whether there is a view to answer from.
func (b *Bridge) ready() bool { return b.cfg.Ready == nil || b.cfg.Ready() }

// Start makes the first zone, and serves it from then on. If the address is taken, errors.Is finds
// syscall.EADDRINUSE in the error. After an error nothing is left running. It must be called once at most.
func (b *Bridge) Start() error {
	snap, newer := b.store.Watch()
	again := b.apply(snap)
	if err := b.server.Start(); err != nil {
		if errors.Is(err, dnsserver.ErrTLS) {
			return fmt.Errorf("cannot serve DNS over TLS on %s: %w; choose another address with -dns-tls-addr", b.cfg.Server.TLSAddr, err)
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("cannot serve DNS on %s: the address is taken (%w); choose another with -dns-addr, or none with -dns-addr=\"\"",
				b.cfg.Addr, err)
		}
		return fmt.Errorf("cannot serve DNS on %s: %w; choose another address with -dns-addr", b.cfg.Addr, err)
	}
	b.out.start(b.Addr())
	b.wg.Go(func() { b.follow(newer, again) })
	b.wg.Go(b.measure)
	if b.byDistance() {
		b.distances.Store(&zone.Distances{RTT: b.cfg.RTT(), Band: b.cfg.Band})
		b.wg.Go(b.keepDistances)
	}
	b.log.Info("serving DNS", "addr", b.Addr(), "zone", b.zone.Load().Origin())
	if tls := b.server.TLSAddr(); tls != "" {
		b.log.Info("serving DNS over TLS", "addr", tls)
	}
	return nil
}

// Addr returns the address that is served, or "" before Start.
func (b *Bridge) Addr() string { return b.server.Addr() }

// TLSAddr returns the address at which DNS over TLS is served, or "" if it is not.
func (b *Bridge) TLSAddr() string { return b.server.TLSAddr() }

// Close stops serving and waits until all has ended. It may be called more than once, and without Start.
func (b *Bridge) Close() error {
	b.cancel()
	b.wg.Wait()
	b.out.close()
	return b.server.Close()
}

// After each change the bridge rests for a multiple of the time that the change took, so that however fast the
// view changes, this takes a fixed share of one core at most: changes meanwhile are made in one go. At 10,000
// members a change takes a fraction of a millisecond, so a rest does not show.
const (
	restFactor = 4
	maxRest    = 50 * time.Millisecond
)

// follow applies the newest view, again and again, and at the times at which the same view is to be shown otherwise.
func (b *Bridge) follow(newer <-chan struct{}, again time.Time) {
	for {
		var due <-chan time.Time
		if !again.IsZero() {
			due = time.After(time.Until(again))
		}
		select {
		case <-b.ctx.Done():
			return
		case <-newer:
		case <-due:
		}
		var snap *view.Snapshot
		start := time.Now()
		snap, newer = b.store.Watch()
		again = b.apply(snap)
		if rest := min(restFactor*time.Since(start), maxRest); rest > 0 && !b.sleep(rest) {
			return
		}
	}
}

func (b *Bridge) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-b.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// edit replaces the zone by what f makes of it, and reports whether that is another version.
func (b *Bridge) edit(f func(*zone.Zone) *zone.Zone) (now *zone.Zone, changed bool) {
	b.writing.Lock()
	defer b.writing.Unlock()
	old := b.zone.Load()
	now = f(old)
	b.zone.Store(now)
	return now, now.Serial() != old.Serial()
}

// advance gives a zone a later serial than a secondary has.
func (b *Bridge) advance(origin string, past uint32) {
	if _, changed := b.edit(func(z *zone.Zone) *zone.Zone { return z.Advance(origin, past) }); changed {
		b.out.changed() // for the other secondaries
	}
}

// apply shows a view, and returns when it is to be shown otherwise; zero means never.
func (b *Bridge) apply(snap *view.Snapshot) (again time.Time) {
	changes, again := b.follower.changes(time.Now(), snap)
	b.stale.Store(int64(len(b.follower.doubt.held)))
	trust := zone.Trusted
	if snap.Confidence.Isolated || snap.Confidence.Stale {
		trust = zone.Doubtful
	}
	lapsed := snap.Confidence.Isolated && b.follower.doubt.lapsed()
	if lapsed {
		b.lapsed.Store(true) // before anybody gets that zone
	}
	next, changed := b.edit(func(z *zone.Zone) *zone.Zone { return z.Update(changes).WithTrust(trust) })
	b.lapsed.Store(lapsed)
	if !changed {
		return again
	}
	b.changed.Store(time.Now().UnixNano())
	b.out.changed()
	problems := next.Problems()
	b.problems.Store(int64(len(problems)))
	b.follower.report(problems)
	return again
}
