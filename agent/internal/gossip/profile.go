package gossip

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// ErrProfile tells that Config.Profile is unknown.
var ErrProfile = errors.New("unknown profile")

// timing is what a profile sets.
type timing struct {
	ml *memberlist.Config
	// fanout is how many members fresh messages are pushed to; 0 pushes nothing.
	fanout int
	// retransmit times the number of digits of the cluster's size is how often an event or a query is gossiped. Intents,
	// of which joins are not pushed, keep memberlist's number.
	retransmit int
	// query times 16 times the number of digits of the cluster's size is the default time-out of queries: Serf's
	// interval of gossip, whatever ours is, since stock agents still gossip at that pace.
	query time.Duration
	// payload is the least time between two answers to probes that carry a coordinate.
	payload time.Duration
}

// Profiles are the names that Config.Profile can have.
func Profiles() []string {
	return []string{"lan", "wan", "local", "serf-lan", "serf-wan", "serf-local"}
}

func profile(name string) (timing, error) {
	var ml *memberlist.Config
	base, stock := strings.CutPrefix(name, "serf-")
	switch base {
	case "lan":
		ml = memberlist.DefaultLANConfig()
	case "wan":
		ml = memberlist.DefaultWANConfig()
	case "local":
		ml = memberlist.DefaultLocalConfig()
	default:
		return timing{}, fmt.Errorf("%w %q: choose one of %s", ErrProfile, name, strings.Join(Profiles(), ", "))
	}
	t := timing{ml: ml, retransmit: ml.RetransmitMult, query: ml.GossipInterval}
	if stock {
		return t, nil
	}
	t.fanout, t.retransmit = 3, 2
	t.payload = ml.ProbeInterval
	ml.HandoffQueueDepth = 8192
	// See docs/timing.md for the arithmetic. ProbeTimeout is below half of ProbeInterval, so that those asked to probe in
	// our place can say in time that they got no answer either, from which memberlist tells its own failures from others'.
	switch base {
	case "lan":
		ml.ProbeInterval, ml.ProbeTimeout, ml.SuspicionMult = 630*time.Millisecond, 250*time.Millisecond, 3
	case "wan":
		ml.ProbeInterval, ml.ProbeTimeout, ml.SuspicionMult = 3*time.Second, 1200*time.Millisecond, 4
	case "local":
		ml.ProbeInterval, ml.ProbeTimeout = 500*time.Millisecond, 200*time.Millisecond
	}
	// How often news of members is sent: one more than in Serf's lan, since a refutation that one member misses has less
	// time to reach it by other ways. Serf's local has 2, with which clusters of thirty lose news.
	ml.RetransmitMult = 5
	return t, nil
}

// QueryInterval returns what the default time-out of queries is a multiple of.
func QueryInterval(profileName string) (time.Duration, error) {
	t, err := profile(profileName)
	return t.query, err
}
