package mdns

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/mdns"
)

func entry(ip string, port int) *mdns.ServiceEntry {
	return &mdns.ServiceEntry{AddrV4: net.ParseIP(ip), Port: port}
}

// TestRun: a question at once and every minute, and each address is joined once.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rounds := [][]*mdns.ServiceEntry{
			{entry("10.0.0.2", 7946), entry("10.0.0.1", 7946), entry("10.0.0.2", 7946)},
			{entry("10.0.0.1", 7946)},
			nil,
			{entry("10.0.0.1", 7947), entry("", 7946), entry("10.0.0.9", 0)},
		}
		var joins [][]string
		var failures []error
		asked := 0
		d := &Discovery{
			cfg: Config{
				Join:   func(_ context.Context, addrs []string) { joins = append(joins, addrs) },
				Failed: func(err error) { failures = append(failures, err) },
			},
			tried: map[string]bool{},
			query: func(_ context.Context, answers chan<- *mdns.ServiceEntry) error {
				asked++
				if asked == 3 {
					return errors.New("no network")
				}
				for _, e := range rounds[min(asked, len(rounds))-1] {
					answers <- e
				}
				return nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Run(ctx); close(done) }()
		time.Sleep(4*pollInterval + time.Second)
		cancel()
		<-done
		if asked != 5 {
			t.Errorf("asked %d times in four minutes, want 5", asked)
		}
		want := [][]string{{"10.0.0.1:7946", "10.0.0.2:7946"}, {"10.0.0.1:7947"}}
		if !slices.EqualFunc(joins, want, slices.Equal) {
			t.Errorf("joined %v, want %v", joins, want)
		}
		if len(failures) != 1 {
			t.Errorf("failures: %v", failures)
		}
	})
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*mdns.ServiceEntry{
		"10.0.0.1:1":           {AddrV4: net.ParseIP("10.0.0.1"), AddrV6IPAddr: &net.IPAddr{IP: net.ParseIP("2001:db8::1")}, Port: 1},
		"[2001:db8::1]:2":      {AddrV6IPAddr: &net.IPAddr{IP: net.ParseIP("2001:db8::1"), Zone: "eth0"}, Port: 2},
		"[fe80::1%eth0]:65535": {AddrV6IPAddr: &net.IPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, Port: 65535},
		"":                     {AddrV4: net.ParseIP("10.0.0.1"), Port: 65536},
	} {
		if got, _ := address(e); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	if _, err := Start(Config{Cluster: "c", Node: "n", DisableIPv4: true, DisableIPv6: true}); err == nil {
		t.Error("started with neither IPv4 nor IPv6")
	}
}
