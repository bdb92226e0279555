package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// pingQuery is answered by every agent with an ack alone (Serf reference 2.10).
const pingQuery = "_serf_ping"

const (
	noteMissing = "This could mean that the members have failed without anybody having noticed yet, or that packets from\n" +
		"or to them are lost."
	noteExtra     = "This could mean that this agent takes members for dead that are not."
	noteDuplicate = "Several members seem to have the same name, which must not be."
	noteTips      = "Troubleshooting tips:\n" +
		"* Make sure that each member has a name of its own\n" +
		"* Check that the gossip port is open between all hosts, for UDP and for TCP\n" +
		"* Run the test on other members too, to see whom they reach\n" +
		"* Look for 'failed' members: the whole cluster should agree on them"
)

func reachabilityCommand() *command {
	return &command{
		name:     "reachability",
		args:     "[options]",
		synopsis: "Tests whether all live members can be reached",
		help:     "Asks all members for a sign of life and compares who answers with who is known to be alive. It ends as soon\nas all of them have answered, or when the time is up. Exit code 1 if the two differ.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			verbose := fs.Bool("verbose", false, "show each answer and the time it took")
			return func(ctx context.Context, _ []string) error {
				return rpc.with(ctx, func(cl *client.Client) error {
					return c.reachability(ctx, cl, *form, *verbose)
				})
			}
		},
	}
}

// reach is what a reachability test found. It is the output of -format json.
type reach struct {
	Members    int      `json:"members"`
	Live       int      `json:"live"`
	Acks       []string `json:"acks"`       // who answered, in order
	Missing    []string `json:"missing"`    // alive, but silent
	Unexpected []string `json:"unexpected"` // not alive, but answered
	Duplicates []string `json:"duplicates"` // answered more than once
	Seconds    float64  `json:"seconds"`    // of the whole query
	Last       float64  `json:"last_ack_seconds"`
	OK         bool     `json:"ok"`
}

func (c *cli) reachability(ctx context.Context, cl *client.Client, form format, verbose bool) error {
	members, err := cl.Members(ctx)
	if err != nil {
		return failed("Error getting members", err)
	}
	req := api.QueryRequest{Name: pingQuery, RequestAck: true}
	live := map[string]bool{}
	for _, m := range members {
		if m.Status == "alive" {
			live[m.Name] = true
		}
	}
	// Empty lists, so that JSON shows [] and not null.
	r := reach{Members: len(members), Live: len(live), Acks: []string{}, Missing: []string{}, Unexpected: []string{}, Duplicates: []string{}}
	text := form == formatText
	if text {
		if err := c.printf("Total members: %d, live members: %d\nStarting reachability test...\n", r.Members, r.Live); err != nil {
			return err
		}
	}
	waiting := newWaiting(members, req, false)
	seen := map[string]bool{}
	start, began := time.Now(), false
	begin := func() error { began = true; return nil }
	err = ask(ctx, cl, req, begin, func(rec api.QueryRecord, took time.Duration) (bool, error) {
		if rec.Type != api.QueryRecordAck {
			return false, nil
		}
		r.Last = took.Seconds()
		if seen[rec.From] {
			r.Duplicates = append(r.Duplicates, rec.From)
		} else {
			r.Acks = append(r.Acks, rec.From)
		}
		seen[rec.From] = true
		waiting.ack(rec.From)
		if text && verbose {
			return waiting.over(), c.printf("\tAck from '%s'\n", clean(rec.From))
		}
		return waiting.over(), nil
	})
	switch {
	case errors.Is(err, errInterrupted):
		return errors.New("Test interrupted") //nolint:staticcheck // Serf's words
	case err != nil && !began:
		return failed("Error sending query", err)
	case err != nil:
		return err
	}
	r.Seconds = time.Since(start).Seconds()
	r.judge(live, seen)
	if !text {
		err = c.printJSON(r)
	} else {
		if verbose {
			if err := c.printf("Query time: %0.2f sec, time to last response: %0.2f sec\n", r.Seconds, r.Last); err != nil {
				return err
			}
		}
		err = c.printf("%s", r.verdict())
	}
	if err == nil && !r.OK {
		err = errSilent
	}
	return err
}

// judge compares who is alive with who answered.
func (r *reach) judge(live, seen map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(live)) {
		if !seen[name] {
			r.Missing = append(r.Missing, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if !live[name] {
			r.Unexpected = append(r.Unexpected, name)
		}
	}
	r.OK = len(r.Missing)+len(r.Unexpected)+len(r.Duplicates) == 0
}

// verdict says it in words.
func (r *reach) verdict() string {
	if r.OK {
		return "Successfully contacted all live nodes\n"
	}
	var b strings.Builder
	section := func(names []string, title, note string) {
		if len(names) == 0 {
			return
		}
		b.WriteString(title + "\n")
		for _, name := range names {
			b.WriteString("\t" + clean(name) + "\n")
		}
		b.WriteString(note + "\n")
	}
	for _, name := range r.Duplicates {
		fmt.Fprintf(&b, "Duplicate response from '%s'\n", clean(name))
	}
	if len(r.Duplicates) > 0 {
		b.WriteString(noteDuplicate + "\n")
	}
	section(r.Missing, "Received less acks than live nodes! Missing acks from:", noteMissing)
	section(r.Unexpected, "Received more acks than live nodes! Acks from non-live nodes:", noteExtra)
	b.WriteString("\n" + noteTips + "\n")
	return b.String()
}
