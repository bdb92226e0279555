package journal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/record"
)

func TestNewer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b uint32
		want bool
	}{
		{1, 0, true},
		{0, 1, false},
		{7, 7, false},
		{0, 0xffffffff, true},
		{0xffffffff, 0, false},
		{1<<31 - 1, 0, true},
		{1 << 31, 0, false}, // undefined by RFC 1982, and so neither
		{0, 1 << 31, false},
		{5, 0x80000006, true},
	} {
		if got := Newer(tt.a, tt.b); got != tt.want {
			t.Errorf("Newer(%d, %d) = %v", tt.a, tt.b, got)
		}
	}
}

func rec(t *testing.T, format string, args ...any) record.Record {
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

func soa(t *testing.T, serial uint32) record.Record {
	return rec(t, "gossip. 2 IN SOA ns.gossip. hostmaster.gossip. %d 60 10 86400 2", serial)
}

// From whatever version the journal knows, what it hands out makes the last one, and says nothing twice.
func TestSince(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var pool []record.Record
		for i := range 12 {
			pool = append(pool, rec(t, "n%d.node.gossip. 5 IN A 10.0.0.%d", i, i))
		}
		const changes, kept = 60, 25
		j := New(kept, 1<<20)
		serial := uint32(0xfffffff0) // to wrap around
		current := map[record.Record]bool{}
		versions := map[uint32]map[record.Record]bool{serial: {}}
		for range changes {
			d := Delta{From: soa(t, serial), FromSerial: serial, To: soa(t, serial+1), ToSerial: serial + 1}
			next := map[record.Record]bool{}
			for _, r := range pool {
				switch now := rng.IntN(2) == 0; {
				case now && !current[r]:
					d.Added = append(d.Added, r)
				case !now && current[r]:
					d.Removed = append(d.Removed, r)
				}
			}
			for r := range current {
				next[r] = !slices.Contains(d.Removed, r)
			}
			for _, r := range d.Added {
				next[r] = true
			}
			for r, in := range next {
				if !in {
					delete(next, r)
				}
			}
			j.Add(d)
			serial++
			current = next
			versions[serial] = next
		}
		oldest, ok := j.Oldest()
		if n, _ := j.Len(); !ok || n != kept || oldest != serial-kept {
			t.Fatalf("seed %d: %d changes from %d", seed, n, oldest)
		}
		for from, had := range versions {
			d, ok := j.Since(from)
			if want := Newer(serial, from) && !Newer(oldest, from); ok != want {
				t.Fatalf("seed %d: since %d: %v, want %v", seed, from, ok, want)
			}
			if !ok {
				continue
			}
			if d.From != soa(t, from) || d.To != soa(t, serial) || d.FromSerial != from || d.ToSerial != serial {
				t.Fatalf("seed %d: since %d: %v to %v", seed, from, d.From, d.To)
			}
			got := map[record.Record]bool{}
			for r := range had {
				got[r] = true
			}
			for _, r := range d.Removed {
				if !got[r] {
					t.Fatalf("seed %d: since %d: removes %v, which was not there", seed, from, r)
				}
				delete(got, r)
			}
			for _, r := range d.Added {
				if got[r] || slices.Contains(d.Removed, r) {
					t.Fatalf("seed %d: since %d: adds %v, which was there", seed, from, r)
				}
				got[r] = true
			}
			if len(got) != len(current) {
				t.Fatalf("seed %d: since %d: %d records, want %d", seed, from, len(got), len(current))
			}
			for r := range current {
				if !got[r] {
					t.Fatalf("seed %d: since %d: %v is missing", seed, from, r)
				}
			}
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	one := rec(t, "a.node.gossip. 5 IN A 10.0.0.1")
	delta := func(from, to uint32, n int) Delta {
		d := Delta{From: soa(t, from), FromSerial: from, To: soa(t, to), ToSerial: to}
		for range n {
			d.Added = append(d.Added, one)
		}
		return d
	}
	limit := 2000
	j := New(100, limit)
	for i := range uint32(50) {
		j.Add(delta(i, i+1, 10))
		if _, bytes := j.Len(); bytes > limit {
			t.Fatalf("%d bytes after %d changes", bytes, i)
		}
	}
	if n, bytes := j.Len(); n < 2 || bytes < limit/2 {
		t.Errorf("%d changes, %d bytes", n, bytes)
	}
	j.Add(delta(50, 51, 1000)) // alone too large
	if n, bytes := j.Len(); n != 0 || bytes != 0 {
		t.Errorf("%d changes, %d bytes", n, bytes)
	}
	if _, ok := j.Since(51); ok {
		t.Error("a way from a version without a change after it")
	}
	j.Add(delta(51, 52, 1))
	j.Add(delta(60, 61, 1)) // a gap
	if _, ok := j.Since(51); ok {
		t.Error("a way across a gap")
	}
	if _, ok := j.Since(60); !ok {
		t.Error("no way after the gap")
	}
	j.Add(delta(61, 40, 1)) // backwards
	if n, _ := j.Len(); n != 0 {
		t.Errorf("%d changes after a step back", n)
	}
}
