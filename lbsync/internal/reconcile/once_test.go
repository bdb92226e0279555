package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

// TestWaiting: what a pass says while there is no agent to ask, and why it gives up in the end.
func TestWaiting(t *testing.T) {
	t.Parallel()
	refused := errors.New("dial tcp 192.0.2.1:7373: connect: connection refused")
	wrongKey := &client.RemoteError{Command: api.CommandAuth, Message: string(api.ErrInvalidToken)}
	const unreachable = "the agent cannot be reached at 192.0.2.1:7373"
	const remedy = "; is it running, and is source.address right?"
	type news struct {
		after time.Duration
		err   error // nil: connected
	}
	for _, tt := range []struct {
		name     string
		news     []news
		err      string
		progress string
		took     time.Duration
	}{
		{"nobody listens", []news{{0, refused}}, unreachable + ": " + refused.Error() + remedy,
			"waiting up to 10s for the agent at 192.0.2.1:7373: " + refused.Error(), 10 * time.Second},
		{"silence", nil, unreachable + remedy, "waiting up to 9s for the agent at 192.0.2.1:7373", 10 * time.Second},
		{"the last attempt is cut off", []news{{0, refused}, {10 * time.Second, context.DeadlineExceeded}},
			unreachable + ": " + refused.Error() + remedy, "waiting up to 10s for the agent at 192.0.2.1:7373: " + refused.Error(), 10 * time.Second},
		{"wrong key", []news{{0, wrongKey}}, "the agent refuses the RPC key at 192.0.2.1:7373: Invalid authentication token; " +
			"give the agent's rpc_auth with source.key_file", "", 0},
		{"starts late", []news{{0, refused}, {3 * time.Second, nil}}, "",
			"waiting up to 10s for the agent at 192.0.2.1:7373: " + refused.Error(), 3 * time.Second},
		{"answers at once", []news{{0, nil}}, "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				cfg := &config.Config{StateDir: dir, Source: config.Source{Address: "192.0.2.1:7373"}}
				src := newSource()
				loop, err := reconcile.New(reconcile.Options{Config: cfg, Source: src, Store: record.Peek(dir)})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				go func() {
					for _, n := range tt.news {
						time.Sleep(time.Until(start.Add(n.after)))
						src.set(func(v *client.View) { v.Connected, v.Err = n.err == nil, n.err })
					}
				}()
				if len(tt.news) > 0 && tt.news[0].after == 0 {
					synctest.Wait() // the first attempt is over
				}
				var said []string
				_, err = loop.Preview(ctx, func(text string) { said = append(said, text) })
				if got := fmt.Sprint(err); tt.err == "" && err != nil || tt.err != "" && got != tt.err {
					t.Errorf("got\n%s\nwant\n%s", got, tt.err)
				}
				if got := strings.Join(said, "\n"); got != tt.progress {
					t.Errorf("said %q, want %q", got, tt.progress)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}
