package simnet

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-645ce708/gossip/agent/internal/sim/scenario"
)

// seed reruns one random story: go test ./agent/internal/simnet -run RandomStories -seed 17. The faults are the same
// then, the order in which goroutines run is not.
var (
	seed  = flag.Uint64("seed", 0, "tell only the random story of this seed")
	seeds = flag.Uint64("seeds", 2, "how many random stories to tell")
)

func tell(t *testing.T, text string, seed uint64, profile string) {
	t.Helper()
	story, err := scenario.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, seed, story.Agents, profile)
		defer s.stopAll()
		if err := story.Run(s); err != nil {
			t.Errorf("seed %d, profile %s: %v\n\n%s\n%+v", seed, profile, err, text, s.net.Counters())
		}
	})
}

// TestStories tells the stories that package sim is told with the real memberlist.
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../sim/scenario/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "ours-") {
			continue // for whole agents: they need what package agent does beyond the engine
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		profiles := []string{"lan", "serf-lan"}
		if strings.HasPrefix(filepath.Base(file), "partition") {
			profiles = profiles[:1] // it is long
		}
		for _, profile := range profiles {
			t.Run(filepath.Base(file)+"/"+profile, func(t *testing.T) {
				t.Parallel()
				tell(t, string(text), 1, profile)
			})
		}
	}
}

// TestRandomStories: whatever happens, once it is over all agents agree within a while.
func TestRandomStories(t *testing.T) {
	t.Parallel()
	one := func(seed uint64) {
		profile := "serf-lan"
		if seed%2 == 0 {
			profile = "lan"
		}
		tell(t, scenario.Random(seed, 20, 15), seed, profile)
	}
	if *seed != 0 {
		one(*seed)
		return
	}
	for s := range *seeds {
		if one(s + 1); t.Failed() {
			t.Fatalf("tell it again: go test ./agent/internal/simnet -run RandomStories -seed %d", s+1)
		}
	}
}
