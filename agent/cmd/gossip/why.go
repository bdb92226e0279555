package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

func whyCommand() *command {
	return &command{
		name:     "why",
		args:     "[options] node",
		synopsis: "Tells what happened to a member, and who says so",
		help: `Tells what the agent remembers of a member: when it joined, left, failed and came back, which probes it did not
answer, who suspected it and who objected, and conflicts about its name. Agents remember the last 64 things of each
member since they started. Exit code 1 if nobody knows anything of the name.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			all := fs.Bool("all", false, "ask every member, and put together what they say")
			return func(ctx context.Context, args []string) error {
				if len(args) != 1 || args[0] == "" {
					return usagef("name one member")
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					return c.why(ctx, cl, *form, args[0], *all)
				})
			}
		},
	}
}

func (c *cli) why(ctx context.Context, cl *client.Client, form format, node string, all bool) error {
	resp, err := cl.Why(ctx, node, all)
	switch {
	case errors.Is(err, client.ErrUnsupported):
		return failed("Error asking agent", fmt.Errorf("%w: the agent keeps no record of members (it runs Serf, or an older gossip)", err))
	case err != nil:
		return failed("Error asking agent", err)
	case form == formatJSON:
		err = c.printJSON(whyJSON(node, resp))
	default:
		err = c.printf("%s", whyText(node, all, resp, time.Now()))
	}
	if err == nil && !resp.Known && len(resp.Entries) == 0 {
		err = errSilent
	}
	return err
}

// unix turns nanoseconds of RPC into a time.
func unix(nano int64) time.Time { return time.Unix(0, nano) }

const whyTime = "2006-01-02 15:04:05.000"

func whyText(node string, all bool, resp api.WhyResponse, now time.Time) string {
	var b strings.Builder
	node = clean(node)
	switch {
	case resp.Known:
		fmt.Fprintf(&b, "%s (%s) is %s", node, resp.Addr, resp.Status)
		if resp.Since > 0 && !resp.Damped {
			fmt.Fprintf(&b, " for %s", shortDuration(now.Sub(unix(resp.Since))))
		}
		if resp.Note != "" {
			fmt.Fprintf(&b, ": %s", clean(resp.Note))
		}
		if resp.Damped {
			fmt.Fprintf(&b, "; kept out of answers for another %s", shortDuration(max(0, unix(resp.Until).Sub(now))))
		}
		b.WriteString("\n")
		if resp.Serf {
			b.WriteString("It runs Serf.\n")
		}
	case len(resp.Entries) > 0:
		fmt.Fprintf(&b, "%s is no member any more.\n", node)
	default:
		fmt.Fprintf(&b, "No member %s is known, and nothing is remembered of one.\n", node)
	}
	for _, w := range resp.Witnesses {
		if w.Flaps > 0 {
			fmt.Fprintf(&b, "%s saw it come back from failed %s since %s.\n", clean(w.Node), times(w.Flaps), unix(w.Began).Format(whyTime))
		}
	}
	if rows := whyRows(all, resp.Entries); len(rows) > 0 {
		fmt.Fprintf(&b, "\n%s\n", columns(rows))
	}
	b.WriteString(witnessText(resp))
	return b.String()
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// witnessText tells who did not say anything, and from when on the others remember.
func witnessText(resp api.WhyResponse) string {
	var b strings.Builder
	asked := 0
	var began int64
	for _, w := range resp.Witnesses {
		if w.Error != "" {
			fmt.Fprintf(&b, "%s tells nothing: %s\n", clean(w.Node), clean(w.Error))
			continue
		}
		asked++
		began = max(began, w.Began)
	}
	if resp.Dropped > 0 {
		fmt.Fprintf(&b, "%d older entries are left out\n", resp.Dropped)
	}
	switch {
	case asked == 1:
		fmt.Fprintf(&b, "%s remembers since %s\n", clean(resp.Witnesses[0].Node), unix(began).Format(whyTime))
	case asked > 1:
		fmt.Fprintf(&b, "%d agents were asked; all of them remember since %s; times are by the clock of the first\n", asked, unix(began).Format(whyTime))
	}
	if b.Len() > 0 {
		return "\n" + b.String()
	}
	return ""
}

// sameMoment is within how long several agents see one and the same thing.
const sameMoment = 2 * time.Second

// sight is what one or more agents saw.
type sight struct {
	api.WhyEntry
	by []string
}

// whyRows makes a table, in which what several agents saw at about the same time is one row.
func whyRows(all bool, entries []api.WhyEntry) [][]string {
	var sights []*sight
	for _, e := range entries {
		i := slices.IndexFunc(sights, func(s *sight) bool {
			return s.Kind == e.Kind && s.LTime == e.LTime && s.Text == e.Text && s.Count == 1 && e.Count == 1 &&
				e.Time-s.Time <= int64(sameMoment) && !slices.Contains(s.by, e.By)
		})
		if i >= 0 {
			sights[i].by = append(sights[i].by, e.By)
			sights[i].Last = max(sights[i].Last, e.Last)
			continue
		}
		sights = append(sights, &sight{e, []string{e.By}})
	}
	var rows [][]string
	var before int64
	for _, s := range sights {
		gap := ""
		if before > 0 {
			gap = "+" + shortDuration(time.Duration(s.Time-before))
		}
		before = s.Time
		row := []string{unix(s.Time).Format(whyTime), gap, s.Kind}
		if all {
			row = append(row, witnessNames(s.by))
		}
		rows = append(rows, append(row, cmp.Or(whyDetail(s), "-")))
	}
	return rows
}

func witnessNames(by []string) string {
	const most = 3
	slices.Sort(by)
	var names []string
	for _, name := range by[:min(len(by), most)] {
		names = append(names, clean(name))
	}
	text := strings.Join(names, ",")
	if n := len(by) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

func whyDetail(s *sight) string {
	parts := []string{}
	if s.Text != "" {
		parts = append(parts, clean(s.Text))
	}
	if s.LTime > 0 {
		parts = append(parts, fmt.Sprintf("Lamport time %d", s.LTime))
	}
	if s.Count > 1 {
		parts = append(parts, fmt.Sprintf("%d times within %s", s.Count, shortDuration(time.Duration(s.Last-s.Time))))
	} else if len(s.by) > 1 {
		parts = append(parts, fmt.Sprintf("within %s of each other", shortDuration(time.Duration(s.Last-s.Time))))
	}
	return strings.Join(parts, ", ")
}

// whyJSON is the output of -format json.
func whyJSON(node string, resp api.WhyResponse) any {
	type witness struct {
		Name  string  `json:"name"`
		Error string  `json:"error,omitempty"`
		Since string  `json:"remembers_since,omitempty"`
		Flaps int     `json:"flaps"`
		Skew  float64 `json:"clock_ahead_seconds"`
	}
	type entry struct {
		Time  string `json:"time"`
		By    string `json:"by"`
		Kind  string `json:"kind"`
		Text  string `json:"text,omitempty"`
		LTime uint64 `json:"ltime,omitempty"`
		Count int    `json:"count"`
		Last  string `json:"last"`
	}
	stamp := func(nano int64) string {
		if nano == 0 {
			return ""
		}
		return unix(nano).UTC().Format(time.RFC3339Nano)
	}
	witnesses, entries := []witness{}, []entry{}
	for _, w := range resp.Witnesses {
		witnesses = append(witnesses, witness{w.Node, w.Error, stamp(w.Began), w.Flaps, w.Skew.Seconds()})
	}
	for _, e := range resp.Entries {
		entries = append(entries, entry{stamp(e.Time), e.By, e.Kind, e.Text, e.LTime, e.Count, stamp(e.Last)})
	}
	return map[string]any{
		"node": node, "known": resp.Known, "addr": resp.Addr, "status": resp.Status, "since": stamp(resp.Since), "note": resp.Note,
		"damped": resp.Damped, "until": stamp(resp.Until), "serf": resp.Serf, "witnesses": witnesses, "entries": entries, "dropped": resp.Dropped,
	}
}
