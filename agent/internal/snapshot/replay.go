// Package snapshot is Serf's snapshot file (Serf reference 2.14): what an agent writes down while it runs, so
// that after a restart it finds its cluster again and does not take old events for new ones. Files are taken
// over from Serf and by Serf as they are.
//
// Reading is a pure function. A Writer owns the file and one goroutine; the agent hands it events (package
// event) as they happen, before they are coalesced.
package snapshot

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

// Node is a member that was alive when the agent last wrote.
type Node struct {
	Name string
	Addr string // "ip:port"; an IPv6 address is in brackets
}

// Gone is a member that had failed or left when the agent last wrote.
type Gone struct {
	Node
	Time time.Time // when it went; whole seconds
	Left bool      // it left, or was declared to have left
}

// Previous is what an agent knew when it last wrote.
type Previous struct {
	Alive []Node // sorted by name; may name the agent itself
	Gone  []Gone // sorted by name
	// The largest times seen; 0 if none. A new clock witnesses Clock; events and queries up to EventClock
	// and QueryClock are old.
	Clock, EventClock, QueryClock lamport.Time
	Left                          bool // the agent left the cluster and has not joined again
	Unrecognized                  int  // lines that nobody understands
	IgnoredLeave                  bool // there was a leave, but rejoining after it was asked for
}

// maxLine bounds a line: a name fills 128 bytes at most as a rule, and a packet always.
const maxLine = 64 << 10

// Read replays a snapshot. A leave forgets all that comes before it, unless rejoin is set. Each line that is
// not understood, or longer than 64 KiB, is counted and handed to unrecognized, if that is not nil; an
// unfinished last line is ignored. complete is how many bytes the finished lines take.
func Read(r io.Reader, rejoin bool, unrecognized func(line string)) (prev Previous, complete int64, err error) {
	st := newState()
	lines := bufio.NewReaderSize(r, maxLine)
	for long := int64(0); ; { // bytes of a line that is too long
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return st.previous(), complete, nil
		case errors.Is(err, bufio.ErrBufferFull):
			long += int64(len(line))
			continue
		case err != nil:
			return Previous{}, 0, fmt.Errorf("read snapshot: %w", err)
		}
		complete += long + int64(len(line))
		text := string(line[:len(line)-1])
		if long > 0 {
			long, text = 0, "line of more than 64 KiB"
		} else if st.replay(text, rejoin) {
			continue
		}
		st.unrecognized++
		if unrecognized != nil {
			unrecognized(text)
		}
	}
}

// Replay reads the snapshot at path. A file that does not exist is an empty snapshot.
func Replay(path string, rejoin bool, unrecognized func(line string)) (Previous, error) {
	prev, _, err := replayFile(osFS{}, path, rejoin, unrecognized)
	return prev, err
}

func replayFile(files FS, path string, rejoin bool, unrecognized func(line string)) (Previous, int64, error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Previous{}, 0, nil
	}
	if err != nil {
		return Previous{}, 0, fmt.Errorf("failed to open snapshot: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	prev, complete, err := Read(f, rejoin, unrecognized)
	if err != nil {
		return Previous{}, 0, fmt.Errorf("%s: %w", path, err)
	}
	return prev, complete, nil
}

// state is the meaning of a snapshot.
type state struct {
	alive                         map[string]string // name to address
	gone                          map[string]Gone
	clock, eventClock, queryClock lamport.Time
	left, ignoredLeave            bool
	unrecognized                  int
}

func newState() *state { return &state{alive: make(map[string]string), gone: make(map[string]Gone)} }

// maxGone bounds how many failed and left members are remembered.
const maxGone = 1024

// went notes that a member failed or left. If there are too many of those, the one that went first is dropped.
func (s *state) went(g Gone) {
	delete(s.alive, g.Name)
	s.gone[g.Name] = g
	if len(s.gone) <= maxGone {
		return
	}
	first := g
	for _, other := range s.gone {
		if cmp.Or(other.Time.Compare(first.Time), cmp.Compare(other.Name, first.Name)) < 0 {
			first = other
		}
	}
	delete(s.gone, first.Name)
}

func (s *state) cameBack(name, addr string) {
	s.alive[name] = addr
	delete(s.gone, name)
}

// replay applies one line and reports whether it was understood.
func (s *state) replay(line string, rejoin bool) bool {
	key, value, found := strings.Cut(line, ": ")
	switch {
	case s.replayGone(line):
		return true
	case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "coordinate:"):
		return true
	case line == "leave":
		if rejoin {
			s.ignoredLeave = true
			return true
		}
		s.forget()
		s.left = true
		return true
	case !found:
		return false
	}
	switch key {
	case "alive":
		i := strings.LastIndexByte(value, ' ')
		if i < 1 || i == len(value)-1 {
			return false
		}
		s.cameBack(value[:i], value[i+1:])
		s.left = false
		return true
	case "not-alive":
		delete(s.alive, value)
		return true
	case "clock":
		return replayClock(&s.clock, value)
	case "event-clock":
		return replayClock(&s.eventClock, value)
	case "query-clock":
		return replayClock(&s.queryClock, value)
	default:
		return false
	}
}

const (
	seenPrefix   = "# gossip:seen "
	forgetPrefix = "# gossip:forget "
)

// replayGone applies one of our own comments and reports whether it was one. What is no sense is a comment.
func (s *state) replayGone(line string) bool {
	if name, ok := strings.CutPrefix(line, forgetPrefix); ok {
		delete(s.gone, name)
		return true
	}
	rest, ok := strings.CutPrefix(line, seenPrefix)
	if !ok {
		return false
	}
	status, rest, _ := strings.Cut(rest, " ")
	when, rest, _ := strings.Cut(rest, " ")
	addr, name, _ := strings.Cut(rest, " ")
	seconds, err := strconv.ParseInt(when, 10, 64)
	if err != nil || addr == "" || name == "" || (status != "failed" && status != "left") {
		return false
	}
	s.went(Gone{Node: Node{Name: name, Addr: addr}, Time: time.Unix(seconds, 0), Left: status == "left"})
	return true
}

func replayClock(clock *lamport.Time, value string) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return false
	}
	*clock = lamport.Time(n)
	return true
}

// forget drops everything, as a leave does.
func (s *state) forget() {
	clear(s.alive)
	clear(s.gone)
	s.clock, s.eventClock, s.queryClock = 0, 0, 0
}

func (s *state) previous() Previous {
	p := Previous{Clock: s.clock, EventClock: s.eventClock, QueryClock: s.queryClock,
		Left: s.left, Unrecognized: s.unrecognized, IgnoredLeave: s.ignoredLeave}
	for _, name := range slices.Sorted(maps.Keys(s.alive)) {
		p.Alive = append(p.Alive, Node{Name: name, Addr: s.alive[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(s.gone)) {
		p.Gone = append(p.Gone, s.gone[name])
	}
	return p
}

// lines returns the shortest snapshot that means the same.
func (p Previous) lines() []string {
	lines := make([]string, 0, len(p.Alive)+len(p.Gone)+3)
	for _, n := range p.Alive {
		lines = append(lines, aliveLine(n.Name, n.Addr))
	}
	for _, g := range p.Gone {
		lines = append(lines, goneLine(g))
	}
	return append(lines, clockLine("clock", p.Clock), clockLine("event-clock", p.EventClock), clockLine("query-clock", p.QueryClock))
}

func aliveLine(name, addr string) string { return "alive: " + name + " " + addr + "\n" }

func notAliveLine(name string) string { return "not-alive: " + name + "\n" }

func goneLine(g Gone) string {
	status := "failed"
	if g.Left {
		status = "left"
	}
	return fmt.Sprintf("%s%s %d %s %s\n", seenPrefix, status, g.Time.Unix(), g.Addr, g.Name)
}

func forgetLine(name string) string { return forgetPrefix + name + "\n" }

func clockLine(which string, t lamport.Time) string {
	return which + ": " + strconv.FormatUint(uint64(t), 10) + "\n"
}

const leaveLine = "leave\n"
