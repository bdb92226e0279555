package dnsbridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

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

// outward is what runs for it.
type outward struct {
	bridge    *Bridge
	keys      *tsig.Keyring
	transfers *transfer.Server // nil if nobody may
	targets   []notify.Target
	notifier  *notify.Notifier // nil before start, or without targets
	updater   *update.Updater  // nil if there is nothing to update
}

const defaultPort = "53"

func newOutward(b *Bridge) (*outward, error) {
	cfg := b.cfg.Outward
	o := &outward{bridge: b}
	var err error
	if cfg.Keys != "" {
		if o.keys, err = tsig.Load(cfg.Keys); err != nil {
			return nil, err
		}
	}
	var rules []transfer.Rule
	for _, text := range cfg.Transfer {
		rule, err := transfer.ParseRule(text)
		if err == nil && rule.Key != "" {
			_, err = o.key(rule.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("dns_transfer: %w", err)
		}
		rules = append(rules, rule)
	}
	if len(rules) > 0 {
		o.transfers = transfer.New(transfer.Config{Source: b.settled, Allow: rules, Log: b.log})
	}
	for _, text := range cfg.Notify {
		target, err := o.target(text)
		if err != nil {
			return nil, fmt.Errorf("dns_notify: %q: %w", text, err)
		}
		o.targets = append(o.targets, target)
	}
	if cfg.Server != "" {
		if err := o.newUpdater(cfg); err != nil {
			return nil, fmt.Errorf("dns_update_server: %w", err)
		}
	}
	return o, nil
}

func (o *outward) newUpdater(cfg Outward) error {
	settings := update.Config{
		Zone: cfg.Zone, Name: cfg.Name, Owner: cfg.Owner, Source: o.bridge.settled, Doubt: o.doubt, Log: o.bridge.log,
	}
	if settings.Name == "" {
		settings.Name = cfg.Zone
	}
	var err error
	if settings.Server, err = hostPort(cfg.Server); err != nil {
		return err
	}
	if cfg.Key != "" {
		if settings.Key, err = o.key(cfg.Key); err != nil {
			return err
		}
	}
	o.updater, err = update.New(settings)
	return err
}

func (o *outward) target(text string) (notify.Target, error) {
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
	t.Key, err = o.key(name)
	return t, err
}

func (o *outward) key(name string) (*tsig.Key, error) {
	if key, ok := o.keys.Key(name); ok {
		return key, nil
	}
	if o.keys == nil {
		return nil, fmt.Errorf("there is no key %q, as dns_tsig_keys names no file", name)
	}
	return nil, fmt.Errorf("there is no key %q in %s, only %s", name, o.bridge.cfg.Outward.Keys, strings.Join(o.keys.Names(), ", "))
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
	if len(o.targets) > 0 {
		cfg := notify.Config{Source: o.bridge.settled, Advance: o.bridge.advance, Targets: o.targets, Log: o.bridge.log}
		if served, err := netip.ParseAddrPort(addr); err == nil {
			cfg.Local = served.Addr()
		}
		o.notifier = notify.Start(cfg)
	}
	if o.updater != nil {
		o.updater.Start()
	}
}

// changed tells of a newer zone.
func (o *outward) changed() {
	if o.notifier != nil {
		o.notifier.Changed()
	}
	if o.updater != nil {
		o.updater.Changed()
	}
}

// close stops, and waits until all has ended.
func (o *outward) close() {
	if o.notifier != nil {
		o.notifier.Close()
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

// counts are what was done, by the names that people and metrics know it by.
func (o *outward) counts() map[string]uint64 {
	m := map[string]uint64{}
	if o.transfers != nil {
		s := o.transfers.Stats()
		m["transfers_full"], m["transfers_incremental"], m["transfers_fallback"] = s.Full, s.Incremental, s.Fallback
		m["transfers_refused"], m["transfers_failed"] = s.Refused+s.Busy, s.Failed
	}
	if o.notifier != nil {
		s := o.notifier.Stats()
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
	if o.transfers != nil {
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
