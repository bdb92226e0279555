package adapters_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapters"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

// nowhere is a memory that remembers nothing.
type nowhere struct{}

func (nowhere) Load(any) (bool, error) { return false, nil }
func (nowhere) Save(any) error         { return nil }

// TestSameMembersSameBytes: in whatever order the members come, on whatever balancer, the files are the same.
func TestSameMembersSameBytes(t *testing.T) {
	t.Parallel()
	var members []api.Member
	for i := range 40 {
		members = append(members, api.Member{Name: fmt.Sprintf("web-%d", i), Addr: net.IPv4(10, 0, 0, byte(i)), Status: "alive",
			Tags: map[string]string{"svc:web": fmt.Sprintf("80,w=%d,p=%d", 1+i, i%2), "zone": fmt.Sprint(i % 3), "rack": "r"}})
	}
	services := []config.Service{{Name: "web", Spec: desired.Spec{Name: "web", Published: "web"}}}
	for _, cfg := range []config.Target{
		{Kind: config.KindHAProxy, Name: "edge", Files: []config.File{{}}, HAProxy: &config.HAProxy{
			Backends: []config.Backend{{Name: "web", Service: "web", Mode: "http", Balance: "roundrobin", Servers: config.ServersNamed}}}},
		{Kind: config.KindHAProxy, Name: "slots", Files: []config.File{{}}, HAProxy: &config.HAProxy{
			Backends: []config.Backend{{Name: "web", Service: "web", Mode: "http", Balance: "static-rr", Servers: config.ServersSlots, Slots: 100}}}},
		{Kind: config.KindTwemproxy, Name: "cache", Files: []config.File{{}}, Twemproxy: &config.Twemproxy{
			Pools: []config.Pool{{Name: "web", Service: "web", Listen: "127.0.0.1:1", Hash: "md5", Distribution: "ketama"}}}},
		{Kind: config.KindNginx, Name: "www", Files: []config.File{{}}, Nginx: &config.Nginx{Upstreams: []config.Upstream{{Name: "web", Service: "web"}}}},
	} {
		first := ""
		for range 1000 {
			rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			statuses, _ := decide.New(services, map[string]decide.Initial{"web": {}}).Step(time.Now(), decide.View{Members: members}, true)
			a, err := adapters.New(cfg, nowhere{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := a.Render(adapter.Pools{Services: adapter.Services{"web": statuses[0].Service}})
			if err != nil {
				t.Fatal(err)
			}
			if text := string(r.Files[0]); first == "" {
				first = text
			} else if text != first {
				t.Fatalf("%s: got\n%s\nand before\n%s", cfg.Kind, text, first)
			}
		}
	}
}
