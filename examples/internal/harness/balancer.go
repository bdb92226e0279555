package harness

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

//go:embed haproxy.cfg
var haproxyConfig string

//go:embed lbsync.hcl
var lbsyncConfig string

// Balancer is an HAProxy on a free port of the first loopback address, kept by gossip-lbsync in step with the members that
// have the tag role=web.
type Balancer struct {
	Addr    string // host:port of the web page
	HAProxy *Process
	Sync    *Process
	Backend string // path of the file that gossip-lbsync writes
	stage   *Stage
}

// ErrNoHAProxy says that there is no haproxy on the PATH.
var ErrNoHAProxy = errors.New("haproxy is not on the PATH")

// StartBalancer starts HAProxy and a gossip-lbsync that follows the given agent, and waits until a page can be had through
// them, or until ctx ends.
func (s *Stage) StartBalancer(ctx context.Context, agent *Agent) (*Balancer, error) {
	haproxy, err := LookPath("haproxy")
	if err != nil {
		return nil, ErrNoHAProxy
	}
	addr, err := loopback.FreeAddr(Loopback(1))
	if err != nil {
		return nil, err
	}
	b := &Balancer{Addr: addr, Backend: s.Path("backend.cfg"), stage: s}
	values := map[string]string{"Dir": s.Dir, "Addr": addr, "RPC": agent.RPC}
	for name, text := range map[string]string{"haproxy.cfg": haproxyConfig, "lbsync.hcl": lbsyncConfig} {
		var out strings.Builder
		if err := template.Must(template.New(name).Parse(text)).Execute(&out, values); err != nil {
			return nil, err
		}
		if _, err := s.Write(name, out.String()); err != nil {
			return nil, err
		}
	}
	// HAProxy wants the backend's section to exist when it starts; it may be empty.
	if _, err := s.Write("backend.cfg", "backend web\n"); err != nil {
		return nil, err
	}
	b.HAProxy, err = s.Start("haproxy", haproxy, "-W", "-S", s.Path("haproxy-master.sock"), "-f", s.Path("haproxy.cfg"), "-f", b.Backend)
	if err != nil {
		return nil, err
	}
	b.Sync, err = s.Start("gossip-lbsync", "gossip-lbsync", "run", "-config", s.Path("lbsync.hcl"))
	if err != nil {
		return nil, err
	}
	return b, Eventually(ctx, func() error {
		for _, p := range []*Process{b.HAProxy, b.Sync} {
			if !p.Running() {
				return fmt.Errorf("%s ended: %s", p.Name, LastLines(p.Log(), 3))
			}
		}
		_, err := Get(ctx, b.Addr)
		return err
	})
}
