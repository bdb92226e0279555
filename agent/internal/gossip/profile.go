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
	// retransmit times the number of digits of the cluster's size is how often a message of ours is gossiped.
	retransmit int
	// query times 16 times the number of digits of the cluster's size is the default time-out of queries: Serf's
	// interval of gossip, whatever ours is, since stock agents still gossip at that pace.
	query time.Duration
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
	ml.HandoffQueueDepth = 8192
	return t, nil
}

// QueryInterval returns what the default time-out of queries is a multiple of.
func QueryInterval(profileName string) (time.Duration, error) {
	t, err := profile(profileName)
	return t.query, err
}
