package examples_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestMixedCluster puts an agent of ours and one of Serf's into one cluster: each sees the other's tags, events and leave.
func TestMixedCluster(t *testing.T) {
	t.Parallel()
	serf := need(t, "serf")
	for _, test := range []struct {
		name      string
		encrypted bool
		leaver    string
	}{
		{"plain, ours leaves", false, "ours"},
		{"plain, theirs leaves", false, "theirs"},
		{"encrypted, ours leaves", true, "ours"},
		{"encrypted, theirs leaves", true, "theirs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, s := within(t, 2*time.Minute), stage(t)
			start := func(name, program, host string, args ...string) *harness.Agent {
				args = append(args, "-tag=kind="+name, fmt.Sprintf(`-event-handler=user=echo "$SERF_USER_EVENT $(cat)" >>%s`, s.Path(name+".events")))
				if test.encrypted {
					args = append(args, "-encrypt=cj8v5cqOXyBMtFKgTQWRTw==")
				}
				return startAgent(ctx, t, s, harness.AgentConfig{Name: name, Program: program, Host: host, Args: args})
			}
			ours := start("ours", "gossip", harness.Loopback(1))
			theirs := start("theirs", serf, harness.Loopback(2), "-join="+ours.Gossip)
			for _, a := range []*harness.Agent{ours, theirs} {
				for _, name := range []string{"ours", "theirs"} {
					sees(ctx, t, a, name, "alive")
					if got := must(a.Members(ctx))(t)[name].Tags["kind"]; got != name {
						t.Errorf("%s sees the tag kind of %s as %q", a.Name, name, got)
					}
				}
			}

			// Tags change at run time, both ways.
			must(ours.Must(ctx, "tags", "-set", "colour=green"))(t)
			must(theirs.Must(ctx, "tags", "-set", "colour=blue"))(t)
			hasTag := func(a *harness.Agent, member, want string) {
				t.Helper()
				eventually(ctx, t, func() error {
					members, err := a.Members(ctx)
					if got := members[member].Tags["colour"]; err == nil && got != want {
						err = fmt.Errorf("%s sees the colour of %s as %q, want %q", a.Name, member, got, want)
					}
					return err
				})
			}
			hasTag(theirs, "ours", "green")
			hasTag(ours, "theirs", "blue")

			// Events reach both, whoever fires them.
			must(ours.Must(ctx, "event", "from-ours", "one"))(t)
			must(theirs.Must(ctx, "event", "from-theirs", "two"))(t)
			for _, name := range []string{"ours", "theirs"} {
				hasLines(ctx, t, s.Path(name+".events"), "from-ours one", "from-theirs two")
			}

			leaver, stays := ours, theirs
			if test.leaver == "theirs" {
				leaver, stays = theirs, ours
			}
			must(leaver.Must(ctx, "leave"))(t)
			<-leaver.Done()
			sees(ctx, t, stays, leaver.Name, "left")
		})
	}
}

// hasLines waits until the file has exactly these lines, in any order.
func hasLines(ctx context.Context, t *testing.T, path string, want ...string) {
	t.Helper()
	eventually(ctx, t, func() error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got := strings.Split(strings.TrimSpace(string(b)), "\n")
		if len(got) != len(want) {
			return fmt.Errorf("%s has %q, want %q", path, got, want)
		}
		for _, line := range want {
			if !strings.Contains(string(b), line+"\n") {
				return fmt.Errorf("%s has %q, want %q", path, got, want)
			}
		}
		return nil
	})
}
