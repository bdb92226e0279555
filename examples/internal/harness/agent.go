package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

// Agent is a running agent: gossip's, or Serf's, which takes the same flags.
type Agent struct {
	*Process
	Name   string
	Gossip string // host:port
	RPC    string // host:port
	DNS    string // host:port; "" for Serf's agent, which has none

	stage   *Stage
	program string
	auth    string
}

// AgentConfig says how to start an agent.
type AgentConfig struct {
	Name string
	// Host is the address to bind everything to; "" means the first loopback address.
	Host string
	// Program is "gossip" if empty, or the path of a serf.
	Program string
	// Gossip and RPC are the addresses (host:port) of an agent that ran before, to start it again where it was; free
	// ones of Host if empty.
	Gossip, RPC string
	// Args are further flags, such as -tag and -join.
	Args []string
	// Auth is the RPC key that the agent was configured with, if any.
	Auth string
}

// StartAgent starts an agent on free ports and waits until it answers, or until ctx ends.
func (s *Stage) StartAgent(ctx context.Context, c AgentConfig) (*Agent, error) {
	if c.Host == "" {
		c.Host = Loopback(1)
	}
	if c.Program == "" {
		c.Program = "gossip"
	}
	a := &Agent{Name: c.Name, Gossip: c.Gossip, RPC: c.RPC, stage: s, program: c.Program, auth: c.Auth}
	addrs := []*string{&a.Gossip, &a.RPC}
	if c.Program == "gossip" {
		addrs = append(addrs, &a.DNS)
	}
	for _, addr := range addrs {
		if *addr != "" {
			continue
		}
		var err error
		if *addr, err = loopback.FreeAddr(c.Host); err != nil {
			return nil, err
		}
	}
	args := []string{"agent", "-node=" + a.Name, "-bind=" + a.Gossip, "-rpc-addr=" + a.RPC}
	if a.DNS != "" {
		args = append(args, "-dns-addr="+a.DNS)
	}
	p, err := s.Start(c.Name, c.Program, append(args, c.Args...)...)
	if err != nil {
		return nil, err
	}
	a.Process = p
	ended := false
	err = Eventually(ctx, func() error {
		if ended = !p.Running(); ended {
			return nil // there is nothing to wait for
		}
		_, err := a.Members(ctx)
		return err
	})
	if ended {
		err = fmt.Errorf("agent %s ended: %s", a.Name, LastLines(p.Log(), 3))
	}
	return a, err
}

// Command runs one of the agent's own subcommands against it, such as `members` or `event deploy v2`.
func (a *Agent) Command(ctx context.Context, command string, args ...string) (Result, error) {
	flags := []string{command, "-rpc-addr=" + a.RPC}
	if a.auth != "" {
		flags = append(flags, "-rpc-auth="+a.auth)
	}
	return a.stage.Run(ctx, nil, a.program, append(flags, args...)...)
}

// Must is Command for where an exit code other than zero is an error.
func (a *Agent) Must(ctx context.Context, command string, args ...string) (string, error) {
	r, err := a.Command(ctx, command, args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s %s on %s: exit code %d: %s", command, strings.Join(args, " "), a.Name, r.Code, strings.TrimSpace(r.Stdout+r.Stderr))
	}
	return r.Stdout, err
}

// Member is one entry of `members -format=json`.
type Member struct {
	Name   string            `json:"name"`
	Addr   string            `json:"addr"`
	Status string            `json:"status"`
	Tags   map[string]string `json:"tags"`
}

// Members lists the members that the agent knows, by name.
func (a *Agent) Members(ctx context.Context) (map[string]Member, error) {
	out, err := a.Must(ctx, "members", "-format=json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Members []Member `json:"members"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("members of %s as JSON: %w", a.Name, err)
	}
	members := make(map[string]Member, len(list.Members))
	for _, m := range list.Members {
		members[m.Name] = m
	}
	return members, nil
}

// Sees waits until the agent knows the member in that status, or until ctx ends.
func (a *Agent) Sees(ctx context.Context, member, status string) error {
	return Eventually(ctx, func() error {
		members, err := a.Members(ctx)
		if err != nil {
			return err
		}
		if m := members[member]; m.Status != status {
			return fmt.Errorf("%s sees %s as %q, not yet as %q", a.Name, member, m.Status, status)
		}
		return nil
	})
}
