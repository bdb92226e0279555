package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// defaultReceiptWait is how long -wait waits if it is not told.
const defaultReceiptWait = 10 * time.Second

func eventCommand() *command {
	return &command{
		name:     "event",
		args:     "[options] name [payload]",
		synopsis: "Sends a user event through the cluster",
		help: `Sends a user event, with an optional payload, to all members.

With -wait it then asks the members what became of the event until that is known of all, and lists who got it and what
their handlers made of it. Exit code 0 only if every live member got it and no handler failed. Members that run Serf
cannot tell, and are listed as unknown.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			coalesce := fs.Bool("coalesce", true, "of several events of this name in a short time only the last one matters")
			wait := waitFlag(fs)
			return func(ctx context.Context, args []string) error {
				name, payload, err := nameAndPayload("an event", args)
				if err != nil {
					return err
				}
				if _, err := time.ParseDuration(name); err == nil && *wait > 0 {
					return usagef("%q would be the event's name; to wait so long write -wait=%s", name, name)
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					if *wait > 0 {
						return c.eventReceipts(ctx, cl, *form, api.EventReceiptsRequest{
							Name: name, Payload: payload, Coalesce: *coalesce, Wait: *wait,
						})
					}
					if err := cl.UserEvent(ctx, name, payload, *coalesce); err != nil {
						return failed("Error sending event", err)
					}
					if *form == formatJSON {
						return c.printJSON(map[string]any{"event": name, "coalesce": *coalesce})
					}
					return c.printf("Event '%s' dispatched! Coalescing enabled: %v\n", name, *coalesce)
				})
			}
		},
	}
}

// optionalDuration is a flag that may stand alone: -wait, -wait=30s.
type optionalDuration struct{ d, alone time.Duration }

func (o *optionalDuration) String() string { return "" }

// IsBoolFlag makes package flag accept the flag without a value, which is then "true".
func (o *optionalDuration) IsBoolFlag() bool { return true }

func (o *optionalDuration) Set(v string) error {
	switch v {
	case "true":
		o.d = o.alone
		return nil
	case "false":
		o.d = 0
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 || d > api.MaxReceiptWait {
		return fmt.Errorf("want a duration above 0 and up to %v, such as 30s", api.MaxReceiptWait)
	}
	o.d = d
	return nil
}

func waitFlag(fs *flag.FlagSet) *time.Duration {
	o := &optionalDuration{alone: defaultReceiptWait}
	fs.Var(o, "wait", "wait for receipts and tell what handlers made of the event; `[=DURATION]` is the longest to wait (default 10s)")
	return &o.d
}

// eventReceipts sends an event and shows what became of it.
func (c *cli) eventReceipts(ctx context.Context, cl *client.Client, form format, req api.EventReceiptsRequest) error {
	resp, err := cl.EventReceipts(ctx, req)
	switch {
	case errors.Is(err, client.ErrUnsupported):
		return failed("Error sending event", fmt.Errorf("%w: the agent gives no receipts; nothing was sent (it runs Serf, or an older gossip)", err))
	case err != nil:
		return failed("Error sending event", err)
	case form == formatJSON:
		err = c.printJSON(receiptsJSON(req, resp))
	default:
		err = c.printf("Event '%s' dispatched! Coalescing enabled: %v\n%s", req.Name, req.Coalesce, receiptsText(resp))
	}
	if err == nil && !resp.OK {
		err = errSilent
	}
	return err
}

// receiptWords say what a status means.
var receiptWords = map[string]string{
	api.ReceiptOK:         "handled",
	api.ReceiptNoHandler:  "received; it has no handler for it",
	api.ReceiptSuperseded: "received; a newer event of the name took its place before the handlers",
	api.ReceiptWaiting:    "received; not yet with the handlers",
	api.ReceiptRunning:    "received; handlers are not done yet",
	api.ReceiptFailed:     "received; not handled",
	api.ReceiptLost:       "received, but too slow to handle it",
	api.ReceiptMissing:    "not received",
	api.ReceiptSilent:     "gives no answer",
	api.ReceiptGone:       "left or failed meanwhile",
	api.ReceiptUnknown:    "runs Serf or another version, which gives no receipts",
}

func receiptsText(resp api.EventReceiptsResponse) string {
	var rows [][]string
	got, told, unknown := 0, 0, 0
	for _, r := range resp.Receipts {
		rows = append(rows, []string{clean(r.Node), r.Status, shortDuration(r.Took), receiptDetail(r)})
		switch r.Status {
		case api.ReceiptUnknown:
			unknown++
		case api.ReceiptGone:
		case api.ReceiptMissing, api.ReceiptSilent:
			told++
		default:
			told++
			got++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", columns(rows))
	fmt.Fprintf(&b, "%d of %d members got it", got, told)
	if unknown > 0 {
		fmt.Fprintf(&b, ", of %d it is unknown", unknown)
	}
	verdict := "all is well"
	if !resp.OK {
		verdict = "not all is well"
	}
	fmt.Fprintf(&b, "; %s after %s\n", verdict, shortDuration(resp.Took))
	return b.String()
}

// receiptDetail tells of one member in words: the handlers that matter, or how many went well.
func receiptDetail(r api.EventReceipt) string {
	var bad []string
	well := 0
	for _, h := range r.Handlers {
		switch h.State {
		case "ok":
			well++
		case "failed":
			bad = append(bad, fmt.Sprintf("%s: %s after %s", clean(h.Command), clean(cmp.Or(h.Error, "failed")), shortDuration(h.Took)))
		default:
			bad = append(bad, fmt.Sprintf("%s: %s", clean(h.Command), h.State))
		}
	}
	if r.More > 0 {
		bad = append(bad, fmt.Sprintf("and %d more", r.More))
	}
	text := cmp.Or(receiptWords[r.Status], r.Status)
	if well > 0 {
		text += fmt.Sprintf("; %d ran well", well)
	}
	if len(bad) > 0 {
		text += "; " + strings.Join(bad, "; ")
	}
	return text
}

// shortDuration rounds to what matters to people.
func shortDuration(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// receiptsJSON is the output of -wait -format json.
func receiptsJSON(req api.EventReceiptsRequest, resp api.EventReceiptsResponse) any {
	type handler struct {
		Command string  `json:"command"`
		State   string  `json:"state"`
		Exit    int     `json:"exit"`
		Error   string  `json:"error,omitempty"`
		Seconds float64 `json:"seconds"`
	}
	type member struct {
		Name     string    `json:"name"`
		Status   string    `json:"status"`
		Seconds  float64   `json:"seconds"`
		Handlers []handler `json:"handlers"`
		More     int       `json:"more_handlers,omitempty"`
	}
	members := []member{}
	for _, r := range resp.Receipts {
		m := member{Name: r.Node, Status: r.Status, Seconds: r.Took.Seconds(), Handlers: []handler{}, More: r.More}
		for _, h := range r.Handlers {
			m.Handlers = append(m.Handlers, handler{h.Command, h.State, h.Exit, h.Error, h.Took.Seconds()})
		}
		members = append(members, m)
	}
	return map[string]any{
		"event": req.Name, "coalesce": req.Coalesce, "ltime": resp.LTime, "ok": resp.OK,
		"seconds": resp.Took.Seconds(), "members": members,
	}
}

// nameAndPayload reads the arguments of event and query. Without a payload it is nil.
func nameAndPayload(what string, args []string) (name string, payload []byte, err error) {
	if len(args) == 0 || args[0] == "" {
		return "", nil, usagef("%s name must be specified", what)
	}
	switch len(args) {
	case 1:
		return args[0], nil, nil
	case 2:
		return args[0], []byte(args[1]), nil
	}
	return "", nil, usagef("too many command line arguments, only a name and payload must be specified")
}
