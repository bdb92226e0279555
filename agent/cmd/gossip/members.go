package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// memberJSON is a member as Serf's "members -format json" shows it.
type memberJSON struct {
	Name     string            `json:"name"`
	Addr     string            `json:"addr"`
	Port     uint16            `json:"port"`
	Tags     map[string]string `json:"tags"`
	Status   string            `json:"status"`
	Protocol struct {
		Max     uint8 `json:"max"`
		Min     uint8 `json:"min"`
		Version uint8 `json:"version"`
	} `json:"protocol"`
}

func membersCommand() *command {
	return &command{
		name:     "members",
		args:     "[options]",
		synopsis: "Lists the members of a cluster",
		help:     "Lists the members that a running agent knows, sorted by name. Regular expressions must match as a whole.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			var tags tagMap
			detailed := fs.Bool("detailed", false, "show protocol versions too (text only)")
			name := fs.String("name", "", "`REGEXP` of names to show")
			role := fs.String("role", "", "deprecated: use -tag role=`REGEXP`")
			status := fs.String("status", "", "`REGEXP` of statuses to show: alive, leaving, left, failed")
			fs.Var(&tags, "tag", "`KEY=REGEXP` of tags to show; may be repeated, and then all must match")
			return func(ctx context.Context, _ []string) error {
				if *role != "" {
					fmt.Fprintln(c.stderr, "Deprecation warning: 'Role' has been replaced with 'Tags'")
					if tags == nil {
						tags = tagMap{}
					}
					tags["role"] = *role
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					members, err := cl.MembersFiltered(ctx, api.MembersFilteredRequest{Tags: tags, Status: *status, Name: *name})
					if err != nil {
						return failed("Error retrieving members", err)
					}
					slices.SortFunc(members, func(a, b api.Member) int { return strings.Compare(a.Name, b.Name) })
					if *form == formatJSON {
						return c.printJSON(membersJSON(members))
					}
					return c.printf("%s\n", membersText(members, *detailed))
				})
			}
		},
	}
}

// addrOf writes a member's address with IPv4 in its short form.
func addrOf(m api.Member) string {
	return net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
}

func membersText(members []api.Member, detailed bool) string {
	rows := make([][]string, len(members))
	for i, m := range members {
		rows[i] = []string{clean(m.Name), addrOf(m), m.Status, clean(pairs(m.Tags))}
		if detailed {
			rows[i] = append(rows[i], fmt.Sprintf("Protocol Version: %d", m.DelegateCur),
				fmt.Sprintf("Available Protocol Range: [%d, %d]", m.DelegateMin, m.DelegateMax))
		}
	}
	return columns(rows)
}

// membersJSON keeps Serf's null for no members at all.
func membersJSON(members []api.Member) any {
	var list []memberJSON
	for _, m := range members {
		j := memberJSON{Name: m.Name, Addr: addrOf(m), Port: m.Port, Tags: m.Tags, Status: m.Status}
		if j.Tags == nil {
			j.Tags = map[string]string{}
		}
		j.Protocol.Max, j.Protocol.Min, j.Protocol.Version = m.DelegateMax, m.DelegateMin, m.DelegateCur
		list = append(list, j)
	}
	return map[string]any{"members": list}
}
