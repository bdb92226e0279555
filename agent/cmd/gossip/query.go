package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// errInterrupted ends a command that was waiting when it was interrupted.
var errInterrupted = errors.New("interrupted")

func queryCommand() *command {
	return &command{
		name:     "query",
		args:     "[options] name [payload]",
		synopsis: "Asks the cluster and shows the answers",
		help:     "Asks all members, or those that the filters select, and shows who acknowledged and what they answered. It ends\nas soon as all of them have answered, or when the time is up.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			var nodes stringList
			var tags tagMap
			var relay uint8
			fs.Var(&nodes, "node", "`NAME` of a member to ask; may be repeated")
			fs.Var(&tags, "tag", "`KEY=REGEXP` of members to ask; may be repeated, and then all must match")
			timeout := fs.Duration("timeout", 0, "`TIME` to wait for answers (default: by the size of the cluster)")
			noAck := fs.Bool("no-ack", false, "do not ask for acknowledgements")
			fs.Func("relay-factor", "`N` other members that bring each answer a second way, 0 to 255 (default 0)", func(v string) error {
				n, err := strconv.ParseUint(v, 10, 8)
				if err != nil {
					return errors.New("Relay factor must be between 0 and 255") //nolint:staticcheck // Serf's words
				}
				relay = uint8(n)
				return nil
			})
			return func(ctx context.Context, args []string) error {
				name, payload, err := nameAndPayload("a query", args)
				if err != nil {
					return err
				}
				if *timeout < 0 {
					return usagef("-timeout must not be negative")
				}
				for _, tag := range slices.Sorted(maps.Keys(tags)) { // members that cannot read it would just be silent
					if _, err := regexp.Compile(tags[tag]); err != nil {
						return usagef("-tag %s: %v", tag, err)
					}
				}
				req := api.QueryRequest{
					FilterNodes: nodes, FilterTags: tags, RequestAck: !*noAck, RelayFactor: relay,
					Timeout: *timeout, Name: name, Payload: payload,
				}
				return rpc.with(ctx, func(cl *client.Client) error { return c.query(ctx, cl, req, *form) })
			}
		},
	}
}

// queryResult is the output of "query -format json"; Serf's names are capitalised.
type queryResult struct {
	Acks      []string
	Responses map[string]string
}

func (c *cli) query(ctx context.Context, cl *client.Client, req api.QueryRequest, form format) error {
	members, err := cl.Members(ctx)
	if err != nil {
		return failed("Error sending query", err)
	}
	waiting := newWaiting(members, req, true)
	result := queryResult{Responses: map[string]string{}}
	responses := 0
	text := form == formatText
	began := false
	begin := func() error {
		began = true
		if text {
			return c.printf("Query '%s' dispatched\n", req.Name)
		}
		return nil
	}
	err = ask(ctx, cl, req, begin, func(r api.QueryRecord, _ time.Duration) (bool, error) {
		switch r.Type {
		case api.QueryRecordAck:
			result.Acks = append(result.Acks, r.From)
			waiting.ack(r.From)
			if text {
				return waiting.over(), c.printf("Ack from '%s'\n", clean(r.From))
			}
		case api.QueryRecordResponse:
			result.Responses[r.From] = string(r.Payload)
			responses++
			waiting.response(r.From)
			if text {
				return waiting.over(), c.printf("Response from '%s': %s\n", clean(r.From), strings.TrimSuffix(string(r.Payload), "\n"))
			}
		}
		return waiting.over(), nil
	})
	switch {
	case err != nil && !began:
		return failed("Error sending query", err)
	case err != nil:
		return err
	case !text:
		slices.Sort(result.Acks)
		return c.printJSON(result)
	}
	if req.RequestAck {
		if err := c.printf("Total Acks: %d\n", len(result.Acks)); err != nil {
			return err
		}
	}
	return c.printf("Total Responses: %d\n", responses)
}

// ask runs a query: begin once it is out, each for every ack and response with the time since then, until each says
// that it is over or the agent says so.
func ask(ctx context.Context, cl *client.Client, req api.QueryRequest, begin func() error, each func(api.QueryRecord, time.Duration) (over bool, err error)) error {
	start := time.Now()
	stream, err := cl.Query(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // never fails
	if err := begin(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return errInterrupted
		case r, ok := <-stream.C():
			if !ok {
				if err := stream.Err(); err != nil {
					return fmt.Errorf("the query was cut off: %w", err)
				}
				return nil
			}
			if r.Type == api.QueryRecordDone {
				return nil
			}
			if over, err := each(r, time.Since(start)); over || err != nil {
				return err
			}
		}
	}
}

// waiting knows which members may still answer a query.
type waiting struct {
	acks, responses map[string]bool // by name; nil if none is waited for
	unknown         bool            // the members cannot be told: wait until the agent says that it is over
}

// newWaiting expects an ack, if the request asks for them, and a response, if responses is set, of every live member
// that passes the request's filters (Serf reference 1.6).
func newWaiting(members []api.Member, req api.QueryRequest, responses bool) *waiting {
	w := &waiting{}
	exprs := map[string]*regexp.Regexp{}
	for tag, expr := range req.FilterTags {
		re, err := regexp.Compile(expr)
		if err != nil {
			w.unknown = true // nobody will answer, and the members say why
			return w
		}
		exprs[tag] = re
	}
	for _, m := range members {
		if m.Status != "alive" || len(req.FilterNodes) > 0 && !slices.Contains(req.FilterNodes, m.Name) {
			continue
		}
		matches := true
		for tag, re := range exprs {
			matches = matches && re.MatchString(m.Tags[tag])
		}
		if !matches {
			continue
		}
		if req.RequestAck {
			if w.acks == nil {
				w.acks = map[string]bool{}
			}
			w.acks[m.Name] = true
		}
		if responses {
			if w.responses == nil {
				w.responses = map[string]bool{}
			}
			w.responses[m.Name] = true
		}
	}
	// With nobody to wait for, what we know of the members may just be old.
	w.unknown = len(w.acks) == 0 && len(w.responses) == 0
	return w
}

func (w *waiting) ack(name string)      { delete(w.acks, name) }
func (w *waiting) response(name string) { delete(w.responses, name) }
func (w *waiting) over() bool           { return !w.unknown && len(w.acks) == 0 && len(w.responses) == 0 }
