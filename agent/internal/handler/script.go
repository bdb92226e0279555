package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

const (
	// maxOutput is how much of what a script prints is kept: the end of it.
	maxOutput = 8192
	// outputGrace is how long after a script has ended a child it left behind may keep its standard output
	// open before we stop listening. Serf waits for ever.
	outputGrace = 2 * time.Second
)

// Self is the agent as scripts see it.
type Self struct {
	Name string
	Tags map[string]string
}

// environ returns the variables a script gets on top of the agent's own: Serf's, and each of them again with
// the prefix GOSSIP_. NUL bytes, which no environment can hold, are left out of values.
func environ(self Self, e event.Event) []string {
	var env []string
	set := func(name, value string) {
		value = strings.ReplaceAll(value, "\x00", "")
		env = append(env, "SERF_"+name+"="+value, "GOSSIP_"+name+"="+value)
	}
	set("EVENT", string(e.Type()))
	set("SELF_NAME", self.Name)
	set("SELF_ROLE", self.Tags["role"])
	for _, tag := range slices.Sorted(maps.Keys(self.Tags)) {
		set("TAG_"+variableName(tag), self.Tags[tag])
	}
	switch e := e.(type) {
	case *event.User:
		set("USER_EVENT", e.Name)
		set("USER_LTIME", strconv.FormatUint(uint64(e.LTime), 10))
	case *event.Query:
		set("QUERY_NAME", e.Name)
		set("QUERY_LTIME", strconv.FormatUint(uint64(e.LTime), 10))
	}
	return env
}

// variableName upper-cases a tag's name and replaces what no variable name may hold by underscores.
func variableName(tag string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToUpper(tag))
}

// stdin returns what a script reads: a line for each member, or the payload ending in a line feed.
func stdin(e event.Event) []byte {
	switch e := e.(type) {
	case *event.Member:
		var b bytes.Buffer
		for _, m := range e.Members {
			writeMember(&b, m)
		}
		return b.Bytes()
	case *event.User:
		return endLine(e.Payload)
	case *event.Query:
		return endLine(e.Payload)
	default:
		return nil
	}
}

// cell keeps a tab-separated line in one piece.
var cell = strings.NewReplacer("\t", `\t`, "\n", `\n`)

func writeMember(b *bytes.Buffer, m *view.Member) {
	tags := make([]string, 0, len(m.Tags))
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		tags = append(tags, k+"="+m.Tags[k])
	}
	fmt.Fprintf(b, "%s\t%s\t%s\t%s\n",
		cell.Replace(m.Name), m.Addr.Unmap(), cell.Replace(m.Tags["role"]), cell.Replace(strings.Join(tags, ",")))
}

func endLine(payload []byte) []byte {
	if len(payload) == 0 || payload[len(payload)-1] == '\n' {
		return payload
	}
	return append(slices.Clone(payload), '\n')
}

// run runs command through the shell and returns the end of what it printed on standard output and standard
// error. When ctx ends the script is killed with everything it started.
func run(ctx context.Context, command string, env []string, input []byte) (*tail, error) {
	out := &tail{limit: maxOutput}
	cmd := shell(ctx, command)
	cmd.Env = env
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = outputGrace
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the script itself succeeded; only a child it left behind still held the output
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return out, err
}

// tail is a writer that keeps the last limit bytes. It belongs to one script.
type tail struct {
	limit int
	buf   []byte // up to 2*limit bytes, of which the last limit count
	total int64
}

func (t *tail) Write(p []byte) (int, error) {
	t.total += int64(len(p))
	n := len(p)
	if len(p) > t.limit {
		p = p[len(p)-t.limit:]
	}
	if len(t.buf)+len(p) > 2*t.limit {
		t.buf = append(t.buf[:0], t.bytes()...)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// bytes returns the end of what was written.
func (t *tail) bytes() []byte {
	if len(t.buf) > t.limit {
		return t.buf[len(t.buf)-t.limit:]
	}
	return t.buf
}
