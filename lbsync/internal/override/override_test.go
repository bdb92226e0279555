package override_test

import (
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/override"
)

func TestList(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var l override.List
	for i, o := range []override.Override{
		{Kind: override.Hold, Service: "web", Until: at.Add(time.Minute)},
		{Kind: override.Hold, Service: "web", Until: at.Add(time.Hour)}, // in place of the one before
		{Kind: override.Drain, Service: "web", Member: "a", Until: at.Add(2 * time.Hour)},
		{Kind: override.Drain, Service: "web", Member: "b", Until: at.Add(2 * time.Hour)},
		{Kind: override.Ack, Service: "db", Set: "abc", Until: at.Add(time.Minute)},
		{Kind: override.Hold, Target: "nginx/www", Until: at.Add(time.Minute)},
	} {
		var err error
		if l, err = l.Add(o); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	all, next := l.Services(at)
	web, db := all["web"], all["db"]
	if len(l) != 5 || !next.Equal(at.Add(time.Minute)) || web.Hold != "an operator holds it until 2026-01-01T01:00:00Z" || !web.Drain["a"] || !web.Drain["b"] || web.Ack != "" || db.Ack != "abc" {
		t.Errorf("got %v: %+v, next %v", l, all, next)
	}
	if l.Held("nginx/www", at).IsZero() || !l.Held("nginx/www", at.Add(time.Minute)).IsZero() || !l.Held("nginx/other", at).IsZero() {
		t.Error("the hold of the target is wrong")
	}
	if later := l.Live(at.Add(time.Minute)); len(later) != 3 {
		t.Errorf("a minute later: %v", later)
	}
	if got := l.Spent("db"); len(got) != 4 {
		t.Errorf("spent: %v", got)
	}
	for _, tt := range []struct {
		service, member, target string
		n                       int
	}{{"web", "a", "", 1}, {"web", "", "", 3}, {"", "", "nginx/www", 1}, {"other", "", "", 0}, {"", "", "", 0}} {
		if _, n := l.Resume(tt.service, tt.member, tt.target); n != tt.n {
			t.Errorf("resume %+v: %d", tt, n)
		}
	}
	for i := range override.MaxCount {
		l, _ = l.Add(override.Override{Kind: override.Drain, Service: "x", Member: string(rune('0' + i)), Until: at.Add(time.Hour)})
	}
	if _, err := l.Add(override.Override{Kind: override.Hold, Service: "y"}); err == nil || len(l) != override.MaxCount {
		t.Errorf("%d overrides, %v", len(l), err)
	}
}
