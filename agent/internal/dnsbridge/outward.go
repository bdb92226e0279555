package dnsbridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver/notify"
	"github.com/seed-645ce708/gossip/dnsserver/transfer"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/update"
)

// Outward is how the zone reaches other DNS servers: they transfer it, or are updated. The zero value: neither.
type Outward struct {
	Keys     string   // file of TSIG keys; "": none
	Transfer []string // who may transfer the zone, as transfer.ParseRule reads it
	Notify   []string // secondaries to tell of changes: HOST[:PORT], maybe with " key=NAME" behind it

	// A server to update, the zone there, the name in it that ours becomes, the name of a key, and what marks our records.
	Server, Zone, Name, Key, Owner string
}

// outward is what runs for it. What the settings say of keys and of who may what can be exchanged while it runs.
type outward struct {
	bridge    *Bridge
	keys      atomic.Pointer[tsig.Keyring]
	transfers *transfer.Server
	offered   atomic.Bool      // somebody may transfer
	updater   *update.Updater  // nil if there is nothing to update
	notifier  *notify.Notifier // nil before start

	mu      sync.Mutex
	targets []notify.Target
}

// contacts is what the settings say of keys and of who may what.
type contacts struct {
	file    string
	keys    *tsig.Keyring
	rules   []transfer.Rule
	targets []notify.Target
	update  *tsig.Key // nil: none
}

const defaultPort = "53"

func newOutward(b *Bridge) (*outward, error) {
	cfg := b.cfg.Outward
	o := &outward{bridge: b}
	c, err := newContacts(cfg)
	if err != nil {
		return nil, err
	}
	o.transfers = transfer.New(transfer.Config{Source: b.copied, Log: b.log})
	if cfg.Server != "" {
		if err := o.newUpdater(cfg); err != nil {
			return nil, fmt.Errorf("dns_update_server: %w", err)
		}
	}
	o.meet(c)
	return o, nil
}

func newContacts(cfg Outward) (c contacts, err error) {
	if c.file = cfg.Keys; c.file != "" {
		if c.keys, err = tsig.Load(cfg.Keys); err != nil {
			return c, err
		}
	}
	for _, text := range cfg.Transfer {
		rule, err := transfer.ParseRule(text)
		if err == nil && rule.Key != "" {
			_, err = c.key(rule.Key)
		}
		if err != nil {
			return c, fmt.Errorf("dns_transfer: %w", err)
		}
		c.rules = append(c.rules, rule)
	}
	for _, text := range cfg.Notify {
		target, err := c.target(text)
		if err != nil {
			return c, fmt.Errorf("dns_notify: %q: %w", text, err)
		}
		c.targets = append(c.targets, target)
	}
	if cfg.Server != "" && cfg.Key != "" {
		if c.update, err = c.key(cfg.Key); err != nil {
			return c, fmt.Errorf("dns_update_key: %w", err)
		}
	}
	return c, nil
}

// meet takes the contacts over from those before. What is under way goes on.
func (o *outward) meet(c contacts) {
	o.keys.Store(c.keys)
	o.transfers.SetRules(c.rules)
	o.offered.Store(len(c.rules) > 0)
	o.mu.Lock()
	o.targets = c.targets
	if o.notifier != nil {
		o.notifier.SetTargets(c.targets)
	}
	o.mu.Unlock()
	if o.updater != nil {
		o.updater.SetKey(c.update)
	}
}

func (o *outward) newUpdater(cfg Outward) error {
	settings := update.Config{
		Zone: cfg.Zone, Name: cfg.Name, Owner: cfg.Owner, Source: o.bridge.settled, Doubt: o.doubt, Log: o.bridge.log,
		Guard: newRemovals(o.bridge.cfg.StaleLimit, func() []*view.Member { return o.bridge.store.Load().Members }),
	}
	if settings.Name == "" {
		settings.Name = cfg.Zone
	}
	var err error
	if settings.Server, err = hostPort(cfg.Server); err != nil {
		return err
	}
	o.updater, err = update.New(settings)
	return err
}

func (c *contacts) target(text string) (notify.Target, error) {
	var t notify.Target
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return t, errors.New("write HOST[:PORT], or HOST[:PORT] key=NAME")
	}
	var err error
	if t.Addr, err = hostPort(words[0]); err != nil || len(words) == 1 {
		return t, err
	}
	name, ok := strings.CutPrefix(words[1], "key=")
	if !ok {
		return t, fmt.Errorf("%q is not key=NAME", words[1])
	}
	t.Key, err = c.key(name)
	return t, err
}

func (c *contacts) key(name string) (*tsig.Key, error) {
	if key, ok := c.keys.Key(name); ok {
		return key, nil
	}
	if c.keys == nil {
		return nil, fmt.Errorf("there is no key %q, as dns_tsig_keys names no file", name)
	}
	return nil, fmt.Errorf("there is no key %q in %s, only %s", name, c.file, strings.Join(c.keys.Names(), ", "))
}

// hostPort returns HOST[:PORT] with a port.
func hostPort(text string) (string, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return net.JoinHostPort(addr.String(), defaultPort), nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.ContainsAny(host, ":/ ") && net.ParseIP(host) == nil {
		return "", fmt.Errorf("%q is not HOST[:PORT]", text)
	}
	return net.JoinHostPort(host, port), nil
}

// start begins to notify and to update. addr is where the zone is served.
func (o *outward) start(addr string) {
	o.mu.Lock()
	cfg := notify.Config{Source: o.bridge.copied, Advance: o.bridge.advance, Targets: o.targets, Log: o.bridge.log}
	if served, err := netip.ParseAddrPort(addr); err == nil {
		cfg.Local = served.Addr()
	}
	o.notifier = notify.Start(cfg)
	o.mu.Unlock()
	if o.updater != nil {
		o.updater.Start()
	}
}

// changed tells of a newer zone.
func (o *outward) changed() {
	o.mu.Lock()
	notifier := o.notifier
	o.mu.Unlock()
	if notifier != nil {
		notifier.Changed()
	}
	if o.updater != nil {
		o.updater.Changed()
	}
}

// close stops, and waits until all has ended.
func (o *outward) close() {
	o.mu.Lock()
	notifier := o.notifier
	o.notifier, o.targets = nil, nil
	o.mu.Unlock()
	if notifier != nil {
		notifier.Close()
	}
	if o.updater != nil {
		o.updater.Close()
	}
}

// doubt says why the zone may lack members that are there; "" if nothing speaks for it.
func (o *outward) doubt() string {
	switch c := o.bridge.store.Load().Confidence; {
	case c.Isolated:
		return "the agent looks cut off"
	case c.Stale:
		return "the agent that tells of the members cannot be reached"
	}
	return ""
}

// notified returns what was done to notify, if there is anybody to tell.
func (o *outward) notified() (s notify.Stats, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.notifier == nil || len(o.targets) == 0 {
		return s, false
	}
	return o.notifier.Stats(), true
}

// counts are what was done, by the names that people and metrics know it by.
func (o *outward) counts() map[string]uint64 {
	m := map[string]uint64{}
	if o.offered.Load() {
		s := o.transfers.Stats()
		m["transfers_full"], m["transfers_incremental"], m["transfers_fallback"] = s.Full, s.Incremental, s.Fallback
		m["transfers_refused"], m["transfers_failed"] = s.Refused+s.Busy, s.Failed
	}
	if s, ok := o.notified(); ok {
		m["notifies_sent"], m["notifies_answered"], m["notifies_failed"] = s.Sent, s.Answered, s.Failed
	}
	if o.updater != nil {
		s := o.updater.Stats()
		m["updates"], m["update_records"], m["update_failures"] = s.Updates, s.Records, s.Failures
	}
	return m
}

// gauges are how things stand, likewise.
func (o *outward) gauges() map[string]int {
	m := map[string]int{}
	if o.offered.Load() {
		s := o.transfers.Stats()
		m["journal_changes"], m["journal_bytes"] = s.Changes, s.Bytes
	}
	if o.updater != nil {
		s := o.updater.Stats()
		m["update_names"], m["update_pending"], m["update_held"] = s.Names, s.Pending, s.Held
		m["update_foreign"], m["update_rejected"] = s.Foreign, s.Rejected
	}
	return m
}

// trouble is what the last update failed with; "" if it did not.
func (o *outward) trouble() string {
	if o.updater == nil {
		return ""
	}
	return o.updater.Stats().Error
}
