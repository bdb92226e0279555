package transfer

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

const largeZone = 10_000 // members, with some 180,000 records

// TestLargeZone: in a large zone a small change is a small increment, and one so large that the journal does not hold it
// costs the zone once; then increments are small again.
func TestLargeZone(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, largeZone, "192.0.2.1")
	tcp := Request{TCP: true, From: netip.MustParseAddr("192.0.2.1")}
	var s secondary
	s.refresh(t, p, "gossip.", tcp)
	change := func(version int, which ...int) {
		t.Helper()
		var changes []zone.Change
		for _, i := range which {
			changes = append(changes, member(i, version))
		}
		p.zone.Store(p.zone.Load().Update(changes))
	}
	small := func() {
		t.Helper()
		full := s.full
		before := s.serial
		s.refresh(t, p, "gossip.", tcp)
		if s.full != full {
			t.Error("a small change cost all of the zone")
		}
		// The same over the wire: one message, which holds what changed of the member and no more.
		messages, err := p.ask(t, ixfr("gossip.", before), tcp)
		if err != nil || len(messages) != 1 {
			t.Fatalf("%d messages, %v", len(messages), err)
		}
		if n, size := len(messages[0].Answer), messages[0].Len(); n < 8 || n > 100 || size > 8<<10 {
			t.Errorf("%d records of %d octets for a change of one member", n, size)
		} else {
			t.Logf("%d records of %d octets", n, size)
		}
	}
	change(1, 4242)
	small()
	if changes, bytes := p.server.Stats().Changes, p.server.Stats().Bytes; changes != 1 || bytes > 16<<10 {
		t.Errorf("the journal has %d changes of %d octets", changes, bytes)
	}

	all := make([]int, largeZone)
	for i := range all {
		all[i] = i
	}
	change(2, all...)
	s.refresh(t, p, "gossip.", tcp)
	if s.full != 2 {
		t.Errorf("%d transfers of all, want 2", s.full)
	}
	if stats := p.server.Stats(); stats.Bytes > maxBytes || stats.Fallback != 1 {
		t.Errorf("%+v", stats)
	}
	change(3, 17)
	small()
	s.is(t, p.zone.Load())
	t.Logf("%d records in the zone", len(s.records))
}

// BenchmarkIncrement10000 is what the increment of one member's change costs, from the zone to the packet.
func BenchmarkIncrement10000(b *testing.B) {
	p := newPrimary(b, largeZone, "192.0.2.1")
	tcp := Request{TCP: true, From: netip.MustParseAddr("192.0.2.1")}
	if _, err := p.ask(b, axfr("gossip."), tcp); err != nil {
		b.Fatal(err)
	}
	packet, err := ixfr("gossip.", p.zone.Load().Serial()).Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		serial := p.zone.Load().Serial()
		p.zone.Store(p.zone.Load().Update([]zone.Change{member(4242, (i+1)%9)}))
		query := new(dns.Msg)
		if err := query.Unpack(packet); err != nil {
			b.Fatal(err)
		}
		query.Ns[0].(*dns.SOA).Serial = serial
		req := tcp
		if req.Packet, err = query.Pack(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := p.server.Serve(req, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	if s := p.server.Stats(); s.Incremental < uint64(b.N) {
		b.Errorf("%+v", s)
	}
}
