package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

func monitorCommand() *command {
	return &command{
		name:     "monitor",
		args:     "[options]",
		synopsis: "Shows the agent's log and events as they come",
		help:     "Shows recent log lines of a running agent, and then its log and all events as they come, until it is\ninterrupted. The level is independent of the agent's own. With -format json, one object a line.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			level := fs.String("log-level", "info", "`LEVEL` from which log lines are shown: trace, debug, info, warn, err (default info)")
			return func(ctx context.Context, _ []string) error {
				return rpc.with(ctx, func(cl *client.Client) error {
					return c.monitor(ctx, cl, *level, *form)
				})
			}
		},
	}
}

func (c *cli) monitor(ctx context.Context, cl *client.Client, level string, form format) error {
	events, err := cl.Stream(ctx, "*")
	if err != nil {
		return failed("Error starting stream", err)
	}
	lines, err := cl.Monitor(ctx, level)
	if err != nil {
		return failed("Error starting monitor", err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil // interrupted, which is how it is meant to end
		case line, ok := <-lines.C():
			if !ok {
				return c.monitorEnded(ctx.Err() != nil)
			}
			if form == formatJSON {
				err = c.printLine(map[string]string{"log": line})
			} else {
				err = c.printf("%s\n", line)
			}
		case e, ok := <-events.C():
			if !ok {
				return c.monitorEnded(ctx.Err() != nil)
			}
			if form == formatJSON {
				err = c.printLine(map[string]any{"event": eventValues(e)})
			} else {
				err = c.printf("%s", eventText(e))
			}
		}
		if err != nil {
			return err
		}
	}
}

// monitorEnded says that the agent hung up, unless that is because we were interrupted.
func (c *cli) monitorEnded(interrupted bool) error {
	if interrupted {
		return nil
	}
	fmt.Fprintln(c.stderr, "\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed.")
	return errSilent
}

// printLine writes v as JSON on one line.
func (c *cli) printLine(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return failed("Encoding error", err)
	}
	return c.printf("%s\n", text)
}

// eventText writes an event as Serf's monitor does, as Go values, but with its keys sorted.
func eventText(e api.Event) string {
	values := eventValues(e)
	var b strings.Builder
	b.WriteString("Event Info:\n")
	for _, key := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "\t%s: %#v\n", key, goValue(values[key]))
	}
	return b.String()
}

// eventValues returns the fields of an event under their names in the protocol.
func eventValues(e api.Event) map[string]any {
	switch e := e.(type) {
	case *api.MemberEventRecord:
		members := make([]any, len(e.Members))
		for i, m := range e.Members {
			members[i] = memberValues(m)
		}
		return map[string]any{"Event": e.Event, "Members": members}
	case *api.UserEventRecord:
		return map[string]any{"Event": e.Event, "LTime": e.LTime, "Name": e.Name, "Payload": e.Payload, "Coalesce": e.Coalesce}
	case *api.QueryEventRecord:
		return map[string]any{"Event": e.Event, "ID": e.ID, "LTime": e.LTime, "Name": e.Name, "Payload": e.Payload}
	}
	return map[string]any{"Event": fmt.Sprintf("%T", e)}
}

func memberValues(m api.Member) map[string]any {
	tags := make(map[string]any, len(m.Tags))
	for key, value := range m.Tags {
		tags[key] = value
	}
	return map[string]any{
		"Name": m.Name, "Addr": []byte(m.Addr), "Port": uint64(m.Port), "Tags": tags, "Status": m.Status,
		"ProtocolMin": uint64(m.ProtocolMin), "ProtocolMax": uint64(m.ProtocolMax), "ProtocolCur": uint64(m.ProtocolCur),
		"DelegateMin": uint64(m.DelegateMin), "DelegateMax": uint64(m.DelegateMax), "DelegateCur": uint64(m.DelegateCur),
	}
}

// goValue gives a value the Go type that Serf's client decodes it to, which shows in the output.
func goValue(v any) any {
	switch v := v.(type) {
	case uint64:
		if v < 128 {
			return int64(v)
		}
	case []byte:
		if v == nil {
			return nil
		}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = goValue(v[i])
		}
		return list
	case map[string]any:
		object := make(map[any]any, len(v))
		for key := range v {
			object[key] = goValue(v[key])
		}
		return object
	}
	return v
}
