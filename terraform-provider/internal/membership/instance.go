package membership

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/service"
)

// ServiceFilter selects members that publish a service.
type ServiceFilter struct {
	Name     string
	Draining bool // also those that are draining
}

func (f *ServiceFilter) passes(m Member) bool {
	if m.Damped {
		return false
	}
	s, ok := published(m, f.Name)
	return ok && (f.Draining || !s.Drain)
}

// published returns the service of that name which the member's tags publish. Tags that cannot be read publish
// nothing, as in the agent's DNS.
func published(m Member, name string) (service.Service, bool) {
	services, _ := service.FromTags(m.Tags)
	for _, s := range services {
		if s.Name == name {
			return s, true
		}
	}
	return service.Service{}, false
}

// Instance is one instance of a service.
type Instance struct {
	Node     string
	Endpoint netip.AddrPort // of the service; port 0 if the tags name none
	Weight   uint16
	Priority uint16
	Draining bool
	Tags     map[string]string
}

// Instances returns the instances of a service among members, in their order. The result is never nil.
func Instances(members []Member, name string) []Instance {
	instances := make([]Instance, 0, len(members))
	for _, m := range members {
		if s, ok := published(m, name); ok {
			instances = append(instances, Instance{
				Node: m.Name, Endpoint: netip.AddrPortFrom(m.Endpoint.Addr(), s.Port),
				Weight: s.Weight, Priority: s.Priority, Draining: s.Drain, Tags: m.Tags,
			})
		}
	}
	return instances
}

// DigestInstances returns a fingerprint of instances, as [Digest] does of members. Its form must never change.
func DigestInstances(instances []Instance) string {
	type meaning struct {
		Node     string            `json:"node"`
		Endpoint string            `json:"endpoint"`
		Weight   uint16            `json:"weight"`
		Priority uint16            `json:"priority"`
		Draining bool              `json:"draining"`
		Tags     map[string]string `json:"tags"` // encoding/json sorts the keys
	}
	list := make([]meaning, 0, len(instances))
	for _, i := range instances {
		list = append(list, meaning{i.Node, i.Endpoint.String(), i.Weight, i.Priority, i.Draining, i.Tags})
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings, numbers and maps of strings always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// RTT estimates the round-trip time between two network coordinates (Serf reference 2.12).
func RTT(a, b api.Coordinate) time.Duration {
	var squares float64
	for i := range min(len(a.Vec), len(b.Vec)) {
		squares += (a.Vec[i] - b.Vec[i]) * (a.Vec[i] - b.Vec[i])
	}
	seconds := math.Sqrt(squares) + a.Height + b.Height
	if adjusted := seconds + a.Adjustment + b.Adjustment; adjusted > 0 {
		seconds = adjusted
	}
	return time.Duration(seconds * float64(time.Second))
}
