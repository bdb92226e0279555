package source_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
)

func TestTrust(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	members := func(statuses string) (out []api.Member) {
		for _, s := range strings.Fields(statuses) {
			out = append(out, api.Member{Status: s})
		}
		return out
	}
	for _, tt := range []struct {
		name  string
		view  client.View
		why   string
		until time.Duration
	}{
		{"never connected", client.View{}, "unreachable", 0},
		{"lost", client.View{Err: errors.New("refused")}, "unreachable: refused", 0},
		{"fresh", client.View{Connected: true, Since: now.Add(-4 * time.Second)}, "settling for 10s", 6 * time.Second},
		{"settled", client.View{Connected: true, Since: now.Add(-10 * time.Second)}, "", 0},
		{"the agent is sure", client.View{Connected: true, Confidence: &api.Confidence{Synced: true, VisibleShare: 0.3}}, "", 0},
		{"the agent looks cut off", client.View{Connected: true, Members: members("alive alive alive"),
			Confidence: &api.Confidence{Synced: true, Isolated: true, Evidence: "silence"}}, "the agent looks cut off: silence", 0},
		{"the agent has not joined", client.View{Connected: true, Confidence: &api.Confidence{}}, "not joined", 0},
		{"the agent was cut off when it was lost", client.View{Confidence: &api.Confidence{Isolated: true}}, "unreachable", 0},
		{"half failed", client.View{Connected: true, Members: members("alive alive failed failed left left left")}, "", 0},
		{"alone", client.View{Connected: true, Members: members("alive left")}, "", 0},
		{"alone by failures", client.View{Connected: true, Members: members("alive failed left left left")}, "no other member is alive", 0},
		{"most failed", client.View{Connected: true, Members: members("alive failed failed left")}, "2 of 3 members are failed", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			why, until := source.Trust(tt.view, 10*time.Second, now)
			if (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) {
				t.Errorf("got %q, want %q", why, tt.why)
			}
			if want := now.Add(tt.until); (tt.until == 0 && !until.IsZero()) || (tt.until != 0 && !until.Equal(want)) {
				t.Errorf("until %v", until)
			}
		})
	}
}
