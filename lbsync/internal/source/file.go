package source

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// Fixed is a view that never changes.
type Fixed struct{ view client.View }

// Watch returns the view and a channel that is never closed.
func (f *Fixed) Watch() (client.View, <-chan struct{}) { return f.view, nil }

// FromFile reads the members that "gossip members -format=json", or serf's, printed into a file, as a view that is trusted as
// far as they allow.
func FromFile(path string) (*Fixed, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	members, err := parseMembers(data)
	if err != nil {
		return nil, fmt.Errorf("members: %s: %w", path, err)
	}
	long := time.Now().Add(-24 * time.Hour)
	return &Fixed{client.View{Members: members, Connected: true, Since: long, Updated: time.Now(), Rev: 1}}, nil
}

func parseMembers(data []byte) ([]api.Member, error) {
	var list struct {
		Members []struct {
			Name, Addr, Status string
			Tags               map[string]string
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("want what gossip members -format=json prints: %w", err)
	}
	members := []api.Member{}
	for _, m := range list.Members {
		addr, err := netip.ParseAddrPort(m.Addr)
		if err != nil {
			return nil, fmt.Errorf("the address of %q is %q; want IP:PORT", m.Name, m.Addr)
		}
		members = append(members, api.Member{Name: m.Name, Addr: net.IP(addr.Addr().AsSlice()), Port: addr.Port(), Status: m.Status, Tags: m.Tags})
	}
	return members, nil
}
