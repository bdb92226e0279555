package haproxy

import (
	"context"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// FuzzMembers holds that whatever members are called and whatever their tags say, HAProxy reads the file that comes of it.
func FuzzMembers(f *testing.F) {
	program := lbtest.Program(f, "haproxy")
	f.Add("web-1", []byte{10, 0, 0, 1}, "svc:web", "8080,w=5")
	f.Add("a:b.c_d-", []byte{0xfd, 14: 0, 15: 1}, "role", "web")
	f.Add("evil\n    server x 127.0.0.1:1", []byte{10, 0, 0, 2}, "svc:web", "8080")
	f.Add("web-2", []byte{10, 0, 0, 3}, "svc:web", "8080\n    nonsense")
	f.Add("web 3 #", []byte{10, 0, 0, 4}, "svc:web", "80")
	f.Add("web-\"5\\", []byte{127, 0, 0, 1}, "svc:web", "80,w=99999")
	f.Add("${HOME}", []byte{1}, "svc:web", "0")
	backends := []config.Backend{
		{Name: "be_web", Service: "web", Mode: "http", Balance: "roundrobin", Options: "check"},
		{Name: "be_slots", Service: "web", Mode: "http", Balance: "static-rr", Servers: config.ServersSlots, Slots: 4},
	}
	f.Fuzz(func(t *testing.T, name string, addr []byte, key, value string) {
		members := []api.Member{
			{Name: name, Addr: addr, Status: "alive", Tags: map[string]string{key: value, "port": "80"}},
			{Name: "good", Addr: []byte{10, 0, 0, 9}, Status: "alive", Tags: map[string]string{"svc:web": "80"}},
		}
		service := pool.Service{Name: "web"}
		for _, s := range desired.Evaluate(desired.Spec{Name: "web", Published: "web"}, members).Service.Servers {
			service.Servers = append(service.Servers, pool.Server{Name: s.Name, Addr: s.Addr, Port: s.Port, Weight: s.Weight, Tags: s.Tags})
		}
		pool.AssignIDs(service.Servers)
		dir := t.TempDir()
		main := lbtest.Write(t, dir, "main.cfg", "defaults\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nfrontend f\n bind 127.0.0.1:1\n")
		candidate := lbtest.Write(t, dir, "candidate.cfg", string(text(t, backends, adapter.Pools{Services: adapter.Services{"web": service}})))
		argv := DefaultCheck(main)
		argv[0], argv[len(argv)-1] = program, candidate
		if _, err := command.Run(context.Background(), time.Minute, argv); err != nil {
			t.Errorf("%v:\n%s", err, text(t, backends, adapter.Pools{Services: adapter.Services{"web": service}}))
		}
	})
}
