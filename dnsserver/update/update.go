// Package update keeps the names of the zone in step below a name of another DNS server's zone, by dynamic updates (RFC 2136).
// So those who cannot be made to ask an agent find the members all the same, at the server that they ask anyway.
//
// Whatever is there already stays as it is. Each name that we make carries a marker beside it, a TXT record at _gossip.NAME
// that says whose it is. The server itself is told to touch a name only if it bears our marker, or was not there; so it is safe
// against others who change the zone at the same time. At names of ours the types that we publish are ours, and others are
// left alone.
//
// What is there is read once by a transfer of the zone, if the server allows it, and now and then again. After that only
// what changed is sent. Without transfers the server's answers say what is there; what an earlier run left at names that no member
// makes any more then stays.
//
// While the view of the cluster is in doubt, records are added and none is removed. Nor are they while so many nodes would go
// at once that the view had better be doubted (see Guard).
package update

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	// gather is how long after a change further ones are waited for.
	gather = 100 * time.Millisecond
	// DefaultSettle is how long after the start nothing is removed, as the view may not be complete yet.
	DefaultSettle = 10 * time.Second
	// reread is how often everything at the primary is read again, in case that others changed it.
	reread = time.Hour
	// retryRefused is how often some of the names that the primary refused are tried again: it may have been told otherwise,
	// or was frozen for a while.
	retryRefused = time.Minute
	// look is how often to look whether what is held may go.
	look = time.Second
	// After a failure the next attempt waits, from minBackoff on twice as long each time.
	minBackoff = time.Second
	maxBackoff = time.Minute
)

// Logger takes what operators want to know.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// Config describes an Updater.
type Config struct {
	Server string    // the primary: host:port
	Zone   string    // of the primary, such as "example.com."
	Name   string    // what our zone's name becomes there: the primary's zone, or a name in it; "" means our zone's name
	Key    *tsig.Key // signs everything at first (see SetKey); nil: nothing is signed
	// Owner tells our records from those of others who do the same, and must stay the same over restarts. Several agents of
	// one cluster share it.
	Owner string
	// Source returns our zone, or nil if there is none to be trusted yet.
	Source func() *zone.Zone
	// Doubt says why the view is in doubt; "" if it is not.
	Doubt func() string
	// Guard limits how many nodes go at once; nil: nobody does.
	Guard Guard
	// Settle is how long after the start nothing is removed; 0 means DefaultSettle.
	Settle time.Duration
	Log    Logger // nil: none
}

// Guard decides whether nodes may go. It is asked by one goroutine, before each update, with nobody to go as well. Nodes are
// labels of NODE.node.
type Guard interface {
	// Hold says why these nodes, of so many that the primary has, must stay for now, and all records with them; "" if they may
	// go. It is told nil while nobody is to go, or nothing is removed anyway.
	Hold(gone []string, of int) (reason string)
	// Gone tells that these nodes were removed, of so many.
	Gone(gone []string, of int)
}

// MaxOwner is how many octets an owner may have.
const MaxOwner = 200

// Stats is what an updater has done, and how it stands.
type Stats struct {
	Updates  uint64 // messages that the primary accepted
	Records  uint64 // added and removed by those
	Failures uint64 // attempts that failed
	Names    int    // of ours at the primary
	Pending  int    // names that are not as they should be yet
	Held     int    // removals held, as the view is in doubt or too many would go at once
	Foreign  int    // names that we would publish, and that belong to others
	Rejected int    // names whose records the primary refuses
	Error    string // of the last attempt; "" if it went well
}

// Updater keeps a primary in step. Use Start, then Close. Its methods are safe for concurrent use.
type Updater struct {
	cfg     Config
	marker  string
	started time.Time
	wake    chan struct{} // has room for one
	key     atomic.Pointer[tsig.Key]
	rekeyed chan struct{} // has room for one
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu    sync.Mutex
	stats Stats
}

// New checks the configuration. The updater does nothing before Start.
func New(cfg Config) (*Updater, error) {
	for _, name := range []*string{&cfg.Zone, &cfg.Name} {
		if _, ok := dns.IsDomainName(*name); !ok && *name != "" {
			return nil, fmt.Errorf("dns update: %q is not a domain name", *name)
		}
	}
	if cfg.Zone == "" {
		return nil, errors.New("dns update: which zone of the primary is missing")
	}
	cfg.Zone = dns.CanonicalName(cfg.Zone)
	if cfg.Name != "" {
		cfg.Name = dns.CanonicalName(cfg.Name)
		if !dns.IsSubDomain(cfg.Zone, cfg.Name) {
			return nil, fmt.Errorf("dns update: %s is not in the zone %s", cfg.Name, cfg.Zone)
		}
	}
	if len(cfg.Owner) == 0 || len(cfg.Owner) > MaxOwner {
		return nil, fmt.Errorf("dns update: the owner must have 1 to %d characters", MaxOwner)
	}
	if cfg.Settle == 0 {
		cfg.Settle = DefaultSettle
	}
	if cfg.Log == nil {
		cfg.Log = silence{}
	}
	marker, err := record.Text("owner=" + cfg.Owner)
	if err != nil {
		return nil, fmt.Errorf("dns update: owner: %w", err)
	}
	u := &Updater{cfg: cfg, marker: marker, wake: make(chan struct{}, 1), rekeyed: make(chan struct{}, 1)}
	u.key.Store(cfg.Key)
	return u, nil
}

// SetKey says what signs from now on. Another key than before is tried at once, whatever failed with that.
func (u *Updater) SetKey(key *tsig.Key) {
	if key.Equal(u.key.Swap(key)) {
		return
	}
	select {
	case u.rekeyed <- struct{}{}:
	default: // told already
	}
}

// Start begins. It must be called once at most.
func (u *Updater) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel, u.started = cancel, time.Now()
	u.wg.Go(func() { u.run(ctx) })
}

// Changed says that the zone changed. It does not wait.
func (u *Updater) Changed() {
	select {
	case u.wake <- struct{}{}:
	default: // woken already
	}
}

// Close stops, and returns when all has ended. What was published stays.
func (u *Updater) Close() {
	if u.cancel != nil {
		u.cancel()
	}
	u.wg.Wait()
}

// Stats returns how things stand.
func (u *Updater) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stats
}

// run keeps the primary in step until ctx ends.
func (u *Updater) run(ctx context.Context) {
	s := &session{Updater: u, ledger: newLedger(u.marker)}
	defer s.hangUp()
	backoff, failing := minBackoff, false
	for {
		wait := look
		err := s.step(ctx)
		s.hangUp() // servers close connections that are idle
		s.tellLost()
		u.note(s, err)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				u.cfg.Log.Warn("updates of another DNS server fail; they are tried again until they do not",
					"server", u.cfg.Server, "zone", u.cfg.Zone, "error", err)
			}
			failing = true
			wait = backoff + rand.N(backoff/2)
			backoff = min(2*backoff, maxBackoff)
		default:
			if failing {
				u.cfg.Log.Info("updates of another DNS server work again", "server", u.cfg.Server, "zone", u.cfg.Zone)
			}
			backoff, failing = minBackoff, false
		}
		if !u.pause(ctx, wait, err != nil) {
			return
		}
	}
}

// pause waits for a change or another key, or until it is time to look again. It reports false if ctx ended before.
func (u *Updater) pause(ctx context.Context, d time.Duration, all bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	wake := u.wake
	if all {
		wake = nil // no change makes a failure go away
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-u.rekeyed:
		return true
	case <-wake:
	}
	timer.Reset(gather)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (u *Updater) note(s *session, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.Names, u.stats.Pending, u.stats.Foreign, u.stats.Rejected = s.ledger.count()
	u.stats.Held = s.held
	u.stats.Error = ""
	if err != nil {
		u.stats.Failures++
		u.stats.Error = err.Error()
	}
}

func (u *Updater) applied(changes []change) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.Updates++
	for _, c := range changes {
		u.stats.Records += uint64(len(c.gone) + len(c.added))
	}
}

// doubt says why nothing may be removed.
func (s *session) doubt() string {
	reason := s.distrust()
	if s.cfg.Guard == nil {
		return reason
	}
	gone, of := s.ledger.nodes(s.nodes())
	if reason != "" {
		gone = nil // that they are gone is no news while nothing is believed
	}
	if held := s.cfg.Guard.Hold(gone, of); held != "" {
		return held
	}
	return reason
}

// distrust says why the view is in doubt.
func (u *Updater) distrust() string {
	if time.Since(u.started) < u.cfg.Settle {
		return "the agent has just started"
	}
	if u.cfg.Doubt != nil {
		return u.cfg.Doubt()
	}
	return ""
}

type silence struct{}

func (silence) Info(string, ...any) {}
func (silence) Warn(string, ...any) {}
