package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

func doctorCommand() *command {
	return &command{
		name:     "doctor",
		args:     "[options] [node]",
		synopsis: "Tests the network between the agent and other members",
		help: `Makes the agent test what lies between itself and a member, or every live one: UDP and TCP in each direction, how long
packets may be, clocks, the addresses as which each sees the other, and queues; and its own RPC and DNS. It says what is
wrong and what to do about it. Members that run Serf are tested from outside. Exit code 1 if a fault was found.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			return func(ctx context.Context, args []string) error {
				if len(args) > 1 {
					return usagef("name one member, or none to test all")
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					return c.doctor(ctx, cl, *form, strings.Join(args, ""))
				})
			}
		},
	}
}

func (c *cli) doctor(ctx context.Context, cl *client.Client, form format, node string) error {
	resp, err := cl.Doctor(ctx, node)
	switch {
	case errors.Is(err, client.ErrUnsupported):
		return failed("Error asking agent", fmt.Errorf("%w: the agent makes no tests (it runs Serf, or an older gossip); try 'gossip reachability'", err))
	case err != nil:
		return failed("Error asking agent", err)
	case form == formatJSON:
		err = c.printJSON(doctorJSON(resp))
	default:
		err = c.printf("%s", doctorText(resp))
	}
	if err == nil && !resp.Healthy {
		err = errSilent
	}
	return err
}

func doctorText(resp api.DoctorResponse) string {
	var b strings.Builder
	section := func(title string, list []api.Finding) {
		fmt.Fprintf(&b, "%s\n", title)
		for _, f := range list {
			fmt.Fprintf(&b, "  %-8s %-8s %s\n", f.Level, clean(f.Check), clean(f.Text))
			if f.Remedy != "" {
				fmt.Fprintf(&b, "  %-8s %-8s -> %s\n", "", "", clean(f.Remedy))
			}
		}
	}
	section("This agent", resp.Local)
	for _, m := range resp.Members {
		title := fmt.Sprintf("%s (%s, %s)", clean(m.Node), clean(m.Addr), clean(m.Status))
		if m.Serf {
			title += ", which runs Serf and is tested from outside"
		}
		section(title, m.Findings)
	}
	b.WriteString("\n")
	for _, line := range resp.Verdict {
		b.WriteString(clean(line) + "\n")
	}
	return b.String()
}

// doctorJSON is the output of -format json.
func doctorJSON(resp api.DoctorResponse) any {
	type finding struct {
		Check  string `json:"check"`
		Level  string `json:"level"`
		Text   string `json:"text"`
		Remedy string `json:"remedy,omitempty"`
	}
	type member struct {
		Name     string    `json:"name"`
		Addr     string    `json:"addr"`
		Status   string    `json:"status"`
		Serf     bool      `json:"serf"`
		Findings []finding `json:"findings"`
	}
	list := func(in []api.Finding) []finding {
		out := []finding{}
		for _, f := range in {
			out = append(out, finding(f))
		}
		return out
	}
	members := []member{}
	for _, m := range resp.Members {
		members = append(members, member{m.Node, m.Addr, m.Status, m.Serf, list(m.Findings)})
	}
	return map[string]any{
		"healthy": resp.Healthy, "verdict": resp.Verdict, "agent": list(resp.Local), "members": members, "seconds": resp.Took.Seconds(),
	}
}
