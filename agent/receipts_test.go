package agent_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/api"
)

// receipts puts receipts on one line each, by member.
func receipts(resp api.EventReceiptsResponse) map[string]string {
	out := map[string]string{}
	for _, r := range resp.Receipts {
		text := r.Status
		for _, h := range r.Handlers {
			text += " " + h.State
			if h.Error != "" {
				text += "(" + h.Error + ")"
			}
		}
		out[r.Node] = text
	}
	return out
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the handlers are shell commands")
	}
	key := "MDEyMzQ1Njc4OWFiY2RlZg=="
	for name, key := range map[string]agent.Secret{"in the clear": "", "encrypted": agent.Secret(key)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agents := agenttest.Cluster(t, "r", 4, func(i int, cfg *agent.Config) {
				cfg.EncryptKey = key
				cfg.EventHandlers = [][]string{
					{"user:deploy=true", "user:deploy=echo done", "member-join=true"},
					{"user:deploy=exit 3", "user:deploy=true", "user:slow=sleep 60"},
					{"user:other=true"},
					{"user:deploy=true"},
				}[i]
			})
			c := agenttest.Dial(t, agents[0])
			resp, err := c.EventReceipts(t.Context(), api.EventReceiptsRequest{Name: "deploy", Payload: []byte("v1"), Wait: 5 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"r-1": "ok ok ok", "r-2": "failed failed(exit status 3) ok", "r-3": "no-handler", "r-4": "ok ok",
			}
			for node, text := range receipts(resp) {
				if text != want[node] {
					t.Errorf("%s: got %q, want %q", node, text, want[node])
				}
			}
			if resp.OK || resp.LTime == 0 || len(resp.Receipts) != 4 || resp.Took > 4*time.Minute {
				t.Errorf("got %+v", resp)
			}
			// Coalesced, and without a handler that fails.
			resp, err = c.EventReceipts(t.Context(), api.EventReceiptsRequest{Name: "other", Coalesce: true, Wait: 5 * time.Minute})
			if got := receipts(resp); err != nil || !resp.OK || got["r-3"] != "ok ok" || got["r-1"] != "no-handler" {
				t.Errorf("got %+v, %v", resp, err)
			}
			// A handler that takes its time; the event may do so, too.
			for limit := time.Now().Add(time.Minute); ; {
				resp, err = c.EventReceipts(t.Context(), api.EventReceiptsRequest{Name: "slow", Wait: 500 * time.Millisecond})
				if got := receipts(resp); err != nil || resp.OK || time.Now().After(limit) {
					t.Fatalf("got %+v, %v", resp, err)
				} else if strings.HasPrefix(got["r-2"], "running ") {
					break
				}
			}
			if _, err := c.EventReceipts(t.Context(), api.EventReceiptsRequest{Name: strings.Repeat("x", 1000)}); err == nil {
				t.Error("an event above the limit was sent")
			}
		})
	}
}

// A member that dies on the way is not waited for.
func TestReceiptsOfTheDead(t *testing.T) {
	t.Parallel()
	agents := agenttest.Cluster(t, "d", 3, nil)
	agenttest.Stop(t, agents[2])
	resp, err := agents[0].EventReceipts(t.Context(), api.EventReceiptsRequest{Name: "x", Wait: 5 * time.Minute})
	if got := receipts(resp); err != nil || !resp.OK || got["d-3"] != "gone" || got["d-2"] != "no-handler" {
		t.Errorf("got %+v, %v", resp, err)
	}
}

// A stock Serf agent is never sent what it does not understand, and of what became of the event there nothing is known.
func TestReceiptsWithSerf(t *testing.T) {
	t.Parallel()
	a := withSerf(t, nil)
	resp, err := agenttest.Dial(t, a).EventReceipts(t.Context(), api.EventReceiptsRequest{Name: "x"})
	if got := receipts(resp); err != nil || !resp.OK || got["stock"] != "unknown" || got["ours"] != "no-handler" {
		t.Errorf("got %+v, %v", resp, err)
	}
}
