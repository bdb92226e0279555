package update

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// session is what the goroutine of an Updater knows.
type session struct {
	*Updater
	ledger *ledger
	shown  *zone.Zone // whose names are in the ledger
	conn   *conn
	read   time.Time // when everything at the primary was read last
	held   int       // removals
	blind  bool      // the primary allows no transfers
	doubts string    // why removals are held, as told in the log

	accepted    bool      // the primary took an update in this step
	refusals    int       // of single names, in this step
	refusing    error     // the primary took nothing in the last step that had something to change; nil if it did
	retried     time.Time // when some of what the primary refused was tried again last
	toldRefused bool
}

// step makes the primary's records what they should be, as far as that is possible now.
func (s *session) step(ctx context.Context) error {
	z := s.cfg.Source()
	if z == nil {
		return nil
	}
	s.show(z)
	if s.read.IsZero() || time.Since(s.read) > reread {
		if err := s.reread(ctx); err != nil {
			return err
		}
		s.read = time.Now()
	}
	if time.Since(s.retried) > retryRefused {
		s.ledger.retry(maxRefusals)
		s.retried = time.Now()
	}
	reason := s.doubt()
	changes, held := s.ledger.plan(reason != "")
	s.held = held
	s.tellHeld(reason)
	s.accepted, s.refusals = false, 0
	if s.refusing != nil {
		if len(changes) == 0 {
			return s.refusing
		}
		// Those that come first may be just those that it will never take.
		rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	}
	for _, batch := range batches(changes) {
		batch = slices.DeleteFunc(batch, s.ledger.barred)
		if len(batch) == 0 {
			continue
		}
		if err := s.apply(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// show puts what the zone holds now into the ledger.
func (s *session) show(z *zone.Zone) {
	if z == s.shown {
		return
	}
	names := renamer{z.Origin(), s.cfg.Name}
	if names.to == "" {
		names.to = names.from
	}
	if s.shown == nil {
		for owner, n := range z.Names() {
			s.want(z, names, zone.Delta{Owner: owner, New: n})
		}
	} else {
		for change := range zone.Diff(s.shown, z) {
			s.want(z, names, change)
		}
	}
	s.shown = z
}

// want notes what is wanted otherwise at one name. The names that say who serves our zone say nothing about the primary's.
func (s *session) want(z *zone.Zone, names renamer, change zone.Delta) {
	head, _ := strings.CutSuffix(change.Owner, "."+z.Origin())
	if change.Owner == z.Origin() || strings.HasPrefix(head, "ns-") && !strings.Contains(head, ".") {
		return
	}
	var gone, added []record.Record
	for before, after := range change.Apart() {
		gone = append(gone, names.records(record.Of(change.Owner, before))...)
		added = append(added, names.records(record.Of(change.Owner, after))...)
	}
	if len(gone)+len(added) > 0 {
		s.ledger.want(names.name(change.Owner), gone, added)
	}
}

// below is the name that everything of ours is below of.
func (s *session) below() string {
	if s.cfg.Name != "" {
		return s.cfg.Name
	}
	return s.shown.Origin()
}

// nodes is what the names of nodes end with.
func (s *session) nodes() string { return ".node." + s.below() }

// tellGone tells the guard of nodes that the primary has no more.
func (s *session) tellGone(changes []change) {
	if s.cfg.Guard == nil {
		return
	}
	var gone []string
	for _, c := range changes {
		if node, ok := strings.CutSuffix(c.name, s.nodes()); ok && c.remove {
			gone = append(gone, node)
		}
	}
	if len(gone) > 0 {
		_, of := s.ledger.nodes(s.nodes())
		s.cfg.Guard.Gone(gone, of)
	}
}

// reread reads everything at the primary. If that allows no transfers, it has to do without.
func (s *session) reread(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	found, err := s.conn.readAll(s.cfg.Zone, s.below(), s.marker)
	if isRcode(err, dns.RcodeRefused, dns.RcodeNotImplemented) {
		s.hangUp()
		if !s.blind {
			s.blind = true
			s.cfg.Log.Warn("another DNS server is updated without knowing what is there, as it allows no transfer of the zone; "+
				"what an earlier run left at names that no member makes any more stays",
				"server", s.cfg.Server, "zone", s.cfg.Zone)
		}
		return nil
	}
	if err != nil {
		return err
	}
	s.blind = false
	s.ledger.found(found.ours, found.foreign)
	return nil
}

// apply makes changes, all of them or, if the primary is not as we thought, one by one.
func (s *session) apply(ctx context.Context, changes []change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	_, err := s.conn.ask(s.ledger.message(s.cfg.Zone, changes), "an update")
	switch {
	case err == nil:
		s.tellGone(changes)
		s.ledger.done(changes)
		s.applied(changes)
		s.accepted = true
		if s.refusing != nil {
			s.refusing = nil
			s.ledger.retryAll()
		}
		return nil
	case !unmet(err) && !unwanted(err):
		return err
	case len(changes) > 1:
		half := len(changes) / 2
		if err := s.apply(ctx, changes[:half]); err != nil {
			return err
		}
		return s.apply(ctx, changes[half:])
	}
	owner := changes[0].name
	if !unmet(err) {
		return s.refused(owner, err)
	}
	owned, have, err := s.conn.readName(owner, s.marker)
	if err != nil {
		return err
	}
	s.ledger.reread(owner, owned, have)
	return nil // what is known now goes into the next plan
}

// unwanted reports whether the primary may have something against what the update says at some name: BIND answers REFUSED to
// names of hosts with underscores, and SERVFAIL to more records of a type than it allows (max-records-per-type).
func unwanted(err error) bool { return isRcode(err, dns.RcodeRefused, dns.RcodeServerFailure) }

// maxRefusals is how many names the primary may refuse in a step, before it took any, until we take it that it refuses us.
const maxRefusals = 8

// refused deals with a name that the primary does not want.
func (s *session) refused(owner string, err error) error {
	s.ledger.reject(owner)
	s.refusals++
	if !s.accepted && s.refusals >= maxRefusals {
		s.refusing = err
		return err
	}
	if !s.toldRefused {
		s.toldRefused = true
		s.cfg.Log.Warn("another DNS server refuses what would be published at a name, and maybe at more; its log may say why",
			"name", owner, "server", s.cfg.Server, "error", err)
	}
	return nil
}

// maxTold is how many names of others are told of one by one.
const maxTold = 10

// tellLost tells of names that are others'.
func (s *session) tellLost() {
	for i, owner := range s.ledger.lost {
		if i == maxTold {
			s.cfg.Log.Warn("more names are not published, as others have records there", "names", len(s.ledger.lost)-i, "server", s.cfg.Server)
			break
		}
		s.cfg.Log.Warn("a name is not published, as others have records there", "name", owner, "server", s.cfg.Server)
	}
	s.ledger.lost = nil
}

func (s *session) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	c, err := dial(ctx, s.cfg.Server, s.key.Load())
	if err != nil {
		return err
	}
	s.conn = c
	// Whoever closes us does not wait for the primary.
	c.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	return nil
}

// hangUp closes the connection, if there is one; who needs it next makes a new one.
func (s *session) hangUp() {
	if s.conn == nil {
		return
	}
	s.conn.stop()
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.cfg.Log.Warn("connection to another DNS server", "server", s.cfg.Server, "error", err)
	}
	s.conn = nil
}

func (s *session) tellHeld(reason string) {
	if s.held == 0 {
		reason = ""
	}
	if reason != "" && s.doubts == "" {
		s.cfg.Log.Info("records at another DNS server are kept for now", "server", s.cfg.Server, "records", s.held, "reason", reason)
	}
	s.doubts = reason
}
