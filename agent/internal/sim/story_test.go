package sim

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/sim/scenario"
)

// seed reruns one random story: go test ./agent/internal/sim -run RandomStories -seed 17
var (
	seed  = flag.Uint64("seed", 0, "tell only the random story of this seed")
	seeds = flag.Uint64("seeds", 30, "how many random stories to tell")
)

// settings are those of all stories, with a day's worth of waiting made short.
func settings(seed uint64, ours bool) Config {
	cfg := Config{Seed: seed, Timing: SerfLAN(), Network: LAN(), Reconnect: 5 * time.Second}
	if ours {
		cfg.Timing, cfg.Heal, cfg.ReconnectTimeout = Ours(), true, 15*time.Minute
	}
	return cfg
}

// tell lets a stage play a story, and shows all that is needed to find out why it failed.
func tell(t *testing.T, text string, cfg Config) {
	t.Helper()
	story, err := scenario.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	stage := NewStage(cfg, story.Agents)
	err = story.Run(stage)
	var f *scenario.FailureError
	if errors.As(err, &f) {
		t.Errorf("seed %d: %v\n\n%s\nthe last packets:\n%s", cfg.Seed, f, text, stage.Recent())
	}
}

func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("scenario/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"serf", "ours"} {
			if strings.HasPrefix(filepath.Base(file), "ours-") && name != "ours" {
				continue // Serf does not do that
			}
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(2) {
					tell(t, string(text), settings(seed, name == "ours"))
				}
			})
		}
	}
}

// TestRandomStories: whatever happens, once it is over all agents agree within a while.
func TestRandomStories(t *testing.T) {
	t.Parallel()
	one := func(seed uint64) {
		tell(t, scenario.Random(seed, 20, 30), settings(seed, seed%2 == 0))
	}
	if *seed != 0 {
		one(*seed)
		return
	}
	for s := range *seeds {
		if one(s + 1); t.Failed() {
			t.Fatalf("tell it again: go test ./agent/internal/sim -run RandomStories -seed %d", s+1)
		}
	}
}
