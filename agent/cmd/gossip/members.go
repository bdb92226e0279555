package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
	"time"

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

	// With -detailed alone, and from agents that say it.
	Damped bool   `json:"damped,omitempty"`
	Note   string `json:"note,omitempty"`
	Since  string `json:"since,omitempty"` // RFC 3339, in UTC
	Until  string `json:"until,omitempty"`
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
			detailed := fs.Bool("detailed", false, "show protocol versions too (text only), and why a member is not alive or kept out of answers")
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
					sort.Slice(members, func(i, j int) bool { return members[i].Name < members[j].Name })
					if *form == formatJSON {
						return c.printJSON(membersJSON(members, *detailed))
					}
					return c.printf("%s\n", membersText(members, *detailed, time.Now()))
				})
			}
		},
	}
}

// addrOf writes a member's address with IPv4 in its short form.
func addrOf(m api.Member) string {
	return net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
}

func membersText(members []api.Member, detailed bool, now time.Time) string {
	rows := make([][]string, len(members))
	for i, m := range members {
		rows[i] = []string{clean(m.Name), addrOf(m), m.Status, clean(pairs(m.Tags))}
		if detailed {
			rows[i] = append(rows[i], fmt.Sprintf("Protocol Version: %d", m.DelegateCur),
				fmt.Sprintf("Available Protocol Range: [%d, %d]", m.DelegateMin, m.DelegateMax))
			if why := reason(m, now); why != "" {
				rows[i] = append(rows[i], clean(why))
			}
		}
	}
	return columns(rows)
}

// reason says in one line why a member is not alive, or kept out of answers; "" if there is nothing to say, as there
// never is with a stock Serf agent.
func reason(m api.Member, now time.Time) string {
	if m.Damped {
		back := time.Unix(int64(m.Until), 0).Sub(now)
		return "suppressed: " + m.Note + ", back in " + roughly(back)
	}
	var b strings.Builder
	if m.Since != 0 {
		b.WriteString(m.Status + " " + roughly(now.Sub(time.Unix(int64(m.Since), 0))) + " ago")
	}
	if m.Note != "" {
		b.WriteString(": " + m.Note)
	}
	return strings.TrimPrefix(b.String(), ": ")
}

// roughly writes a duration in the two largest of its units that matter. Clocks may differ, so it may come out negative;
// then it is none.
func roughly(d time.Duration) string {
	switch d = max(d, 0).Round(time.Second); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	default:
		return d.String()
	}
}

// utc writes Unix seconds, "" for none.
func utc(seconds uint64) string {
	if seconds == 0 {
		return ""
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}

// membersJSON keeps Serf's null for no members at all.
func membersJSON(members []api.Member, detailed bool) any {
	var list []memberJSON
	for _, m := range members {
		j := memberJSON{Name: m.Name, Addr: addrOf(m), Port: m.Port, Tags: m.Tags, Status: m.Status}
		if j.Tags == nil {
			j.Tags = map[string]string{}
		}
		j.Protocol.Max, j.Protocol.Min, j.Protocol.Version = m.DelegateMax, m.DelegateMin, m.DelegateCur
		if detailed {
			j.Damped, j.Note, j.Since, j.Until = m.Damped, m.Note, utc(m.Since), utc(m.Until)
		}
		list = append(list, j)
	}
	return map[string]any{"members": list}
}
