package update

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/record"
)

const marker = "owner=x"

func rec(t testing.TB, format string, args ...any) record.Record {
	t.Helper()
	rr, err := dns.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Pack(rr)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// server is a primary by the letter of RFC 2136 section 3, as far as our updates go: records in the form of zone files, without
// their TTL.
type server map[string]bool

func line(rr dns.RR) string {
	rr = dns.Copy(rr)
	rr.Header().Class, rr.Header().Ttl = dns.ClassINET, 0
	return rr.String()
}

func (s server) has(name string, t uint16) bool {
	for text := range s {
		if !strings.HasPrefix(text, name+"\t") {
			continue
		}
		f := strings.Fields(text)
		if t == dns.TypeANY || f[3] == dns.TypeToString[t] {
			return true
		}
	}
	return false
}

// update makes an update and returns the code.
func (s server) update(t testing.TB, m *dns.Msg) int {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	m = new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	for _, rr := range m.Answer {
		switch h := rr.Header(); {
		case h.Class == dns.ClassNONE && h.Rrtype == dns.TypeANY:
			if s.has(h.Name, dns.TypeANY) {
				return dns.RcodeYXDomain
			}
		case h.Class == dns.ClassNONE:
			if s.has(h.Name, h.Rrtype) {
				return dns.RcodeYXRrset
			}
		case h.Class == dns.ClassINET:
			if !s[line(rr)] {
				return dns.RcodeNXRrset
			}
		default:
			t.Fatalf("condition %v", rr)
		}
	}
	for _, rr := range m.Ns {
		switch rr.Header().Class {
		case dns.ClassNONE:
			delete(s, line(rr))
		case dns.ClassINET:
			s[line(rr)] = true
		default:
			t.Fatalf("update %v", rr)
		}
	}
	return dns.RcodeSuccess
}

// read is what a transfer finds.
func (s server) read(t testing.TB) (ours map[string][]record.Record, foreign map[string]struct{}) {
	ours, foreign = map[string][]record.Record{}, map[string]struct{}{}
	for text := range s {
		name := strings.Fields(text)[0]
		if s[markerLabel+name+"\t0\tIN\tTXT\t\""+marker+"\""] {
			ours[name] = append(ours[name], rec(t, "%s", text))
		} else if !strings.HasPrefix(name, markerLabel) {
			foreign[name] = struct{}{}
		}
	}
	return ours, foreign
}

// Whatever is wanted, whatever others do and whenever we start anew, the server ends up with what is wanted, no update touches
// what others made, and nothing is removed in doubt.
func TestLedger(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := server{}
		theirs := map[string]bool{}
		for _, i := range []int{1, 4} {
			text := line(rec(t, "n%d.example. 0 A 192.0.2.%d", i, i).RR())
			s[text], theirs[text] = true, true
		}
		l := newLedger(marker)
		want := map[string][]record.Record{}
		for range 60 {
			name := fmt.Sprintf("n%d.example.", rng.IntN(8))
			var records []record.Record
			for i := range rng.IntN(4) {
				records = append(records, rec(t, "%s 0 A 10.0.%d.%d", name, rng.IntN(3), i))
			}
			l.want(name, want[name], records)
			if want[name] = records; records == nil {
				delete(want, name)
			}
			switch rng.IntN(8) {
			case 0: // a new run, which knows nothing but what it reads
				l = newLedger(marker)
				for n, r := range want {
					l.want(n, nil, r)
				}
				l.found(s.read(t))
			case 1: // the same without transfers
				l = newLedger(marker)
				for n, r := range want {
					l.want(n, nil, r)
				}
			}
			doubt := rng.IntN(3) == 0
			before := len(s)
			for range 3 { // until nothing more comes to light
				changes, held := l.plan(doubt)
				if !doubt && held > 0 {
					t.Fatalf("seed %d: %d held without doubt", seed, held)
				}
				for _, batch := range batches(changes) {
					apply(t, s, l, batch)
				}
			}
			if doubt && len(s) < before {
				t.Fatalf("seed %d: something was removed in doubt", seed)
			}
		}
		l.found(s.read(t))
		changes, _ := l.plan(false)
		apply(t, s, l, changes)
		for text := range theirs {
			if !s[text] {
				t.Errorf("seed %d: %s is gone", seed, text)
			}
		}
		for name, records := range want {
			if _, foreign := map[string]bool{"n1.example.": true, "n4.example.": true}[name]; foreign {
				continue
			}
			for _, r := range records {
				if !s[line(r.RR())] {
					t.Errorf("seed %d: missing: %v", seed, r)
				}
			}
		}
		wanted := 0
		for name, records := range want {
			if name != "n1.example." && name != "n4.example." {
				wanted += len(slices.Compact(slices.Clone(records))) + 1 // and the marker
			}
		}
		if len(s) != wanted+len(theirs) {
			t.Errorf("seed %d: %d records, want %d", seed, len(s), wanted+len(theirs))
		}
		if len(l.dirty) > 0 {
			t.Errorf("seed %d: %d names are not done", seed, len(l.dirty))
		}
	}
}

// apply does what a session does with the codes.
func apply(t testing.TB, s server, l *ledger, changes []change) {
	t.Helper()
	if len(changes) == 0 {
		return
	}
	switch rcode := s.update(t, l.message("example.", changes)); {
	case rcode == dns.RcodeSuccess:
		l.done(changes)
	case len(changes) > 1:
		apply(t, s, l, changes[:len(changes)/2])
		apply(t, s, l, changes[len(changes)/2:])
	default:
		ours, _ := s.read(t)
		have, owned := ours[changes[0].name]
		l.reread(changes[0].name, owned, have)
	}
}

func TestRenamer(t *testing.T) {
	t.Parallel()
	r := renamer{"gossip.", "svc.example.com."}
	rrs := []dns.RR{
		rec(t, "web.service.gossip. 0 SRV 0 1 80 a.node.gossip.").RR(),
		rec(t, "b._dns-sd._udp.gossip. 0 PTR gossip.").RR(),
		rec(t, "x.gossip. 0 PTR elsewhere.notgossip.").RR(),
	}
	want := []record.Record{
		rec(t, "web.service.svc.example.com. 0 SRV 0 1 80 a.node.svc.example.com."),
		rec(t, "b._dns-sd._udp.svc.example.com. 0 PTR svc.example.com."),
		rec(t, "x.svc.example.com. 0 PTR elsewhere.notgossip."),
	}
	if got := r.records(rrs); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	var changes []change
	for i := range 1000 {
		c := change{name: fmt.Sprintf("n%d.example.", i), create: true}
		for j := range i % 40 {
			c.added = append(c.added, rec(t, "n%d.example. 0 TXT %q", i, strings.Repeat("x", j*5)))
		}
		changes = append(changes, c)
	}
	big := change{name: "big.example.", create: true, remove: true}
	for i := range 3000 {
		big.gone = append(big.gone, rec(t, "big.example. 0 SRV 0 1 1 old-%d.somewhere.example.", i))
		big.added = append(big.added, rec(t, "big.example. 0 SRV 0 1 1 new-%d.elsewhere.example.", i))
	}
	changes = append(changes, big)
	l, names := newLedger(marker), map[string]bool{}
	var parts []change
	for _, batch := range batches(changes) {
		packet, err := l.message("example.", batch).Pack()
		if err != nil || len(packet) > 65535 || len(batch) > maxBatchNames {
			t.Errorf("%d names: %d octets, %v", len(batch), len(packet), err)
		}
		for _, c := range batch {
			if names[c.name] = true; c.name == big.name {
				parts = append(parts, c)
			}
		}
	}
	var gone, added []record.Record
	for i, part := range parts {
		gone, added = append(gone, part.gone...), append(added, part.added...)
		if part.create != (i == 0) || part.remove != (i == len(parts)-1) || len(part.gone) > 0 && len(added) > len(part.added) {
			t.Errorf("part %d of %d: create %t, remove %t, %d gone after %d were added", i, len(parts), part.create, part.remove, len(part.gone), len(added))
		}
	}
	if len(parts) < 2 || !slices.Equal(gone, big.gone) || !slices.Equal(added, big.added) {
		t.Errorf("a large change became %d parts with %d and %d records", len(parts), len(gone), len(added))
	}
	if len(names) != len(changes) {
		t.Errorf("%d names of %d", len(names), len(changes))
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := Config{Zone: "Example.com", Name: "svc.example.com", Owner: "x"}
	u, err := New(good)
	if err != nil || u.cfg.Zone != "example.com." || u.cfg.Name != "svc.example.com." {
		t.Fatalf("%v", err)
	}
	u.Close() // without Start
	for name, spoil := range map[string]func(*Config){
		"is missing":        func(c *Config) { c.Zone = "" },
		"not in the zone":   func(c *Config) { c.Name = "svc.example.org" },
		"not a domain name": func(c *Config) { c.Name = "a..b" },
		"1 to 200":          func(c *Config) { c.Owner = "" },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
