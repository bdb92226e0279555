package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

const (
	// A file is compacted when it is larger than both of these (Serf reference 2.14).
	minCompactSize  = 128 << 10 // bytes
	bytesPerNode    = 128       // what a node's lines take, estimated
	compactFactor   = 2         // how much larger than that a file may grow
	compactSuffix   = ".compact"
	recoverInterval = 30 * time.Second // between attempts to recover from a write error
)

// journal is the file and what it means. It has no goroutine, reads no clock and belongs to the Writer's.
type journal struct {
	path    string
	files   FS
	rejoin  bool
	log     hclog.Logger
	observe func(operation string, took time.Duration)

	state state
	left  bool // nothing is recorded any more

	file   File
	buf    *bufio.Writer
	size   int64     // of the file, with what is buffered
	broken bool      // a write failed: only a compaction brings the file back in step with state
	retry  time.Time // no attempt to compact before
}

// record takes in what an event means for the snapshot.
func (j *journal) record(now time.Time, e event.Event, clock lamport.Time) {
	if j.left {
		return
	}
	switch e := e.(type) {
	case *event.Member:
		j.recordMembers(now, e)
		j.recordClock(now, clock)
	case *event.User:
		if e.LTime > j.state.eventClock {
			j.state.eventClock = e.LTime
			j.append(now, clockLine("event-clock", e.LTime))
		}
	case *event.Query:
		if e.LTime > j.state.queryClock {
			j.state.queryClock = e.LTime
			j.append(now, clockLine("query-clock", e.LTime))
		}
	}
}

func (j *journal) recordMembers(now time.Time, e *event.Member) {
	for _, m := range e.Members {
		if m.Name == "" || strings.ContainsRune(m.Name, '\n') {
			continue // has no form in a file of lines; it is found again by gossip
		}
		switch e.Kind {
		case event.TypeMemberJoin:
			addr := m.AddrPort().String()
			j.state.cameBack(m.Name, addr)
			j.append(now, aliveLine(m.Name, addr))
		case event.TypeMemberLeave, event.TypeMemberFailed:
			g := Gone{
				Node: Node{Name: m.Name, Addr: m.AddrPort().String()},
				Time: now.Truncate(time.Second), Left: e.Kind == event.TypeMemberLeave,
			}
			j.state.went(g)
			j.append(now, notAliveLine(m.Name)+goneLine(g))
		case event.TypeMemberReap:
			// One that failed is still looked for; one that left is gone for good.
			if _, known := j.state.gone[m.Name]; known && m.Status != view.StatusFailed {
				delete(j.state.gone, m.Name)
				j.append(now, forgetLine(m.Name))
			}
		}
	}
}

// recordClock writes down the member clock, one less than its time, if it has moved.
func (j *journal) recordClock(now time.Time, clock lamport.Time) {
	if clock > 0 && clock-1 > j.state.clock && !j.left {
		j.state.clock = clock - 1
		j.append(now, clockLine("clock", j.state.clock))
	}
}

// leave writes down that the agent left, sees to it that this is on the disk, and ends all recording.
func (j *journal) leave(now time.Time) error {
	if j.left {
		return nil
	}
	var err error
	for range 2 { // the second time with a file written anew
		if j.broken {
			j.retry = time.Time{}
			j.recover(now)
		}
		if j.broken {
			err = fmt.Errorf("snapshot %s does not tell that the agent left, because it could not be written", j.path)
			break
		}
		if err = j.put(leaveLine); err == nil {
			err = j.sync()
		}
		if err == nil {
			break
		}
		j.fail(now, err)
	}
	j.left = true
	if !j.rejoin {
		j.state.forget()
	}
	return err
}

// append writes lines that the state already knows of, and compacts the file when it has become too large.
func (j *journal) append(now time.Time, lines string) {
	if j.broken {
		j.recover(now) // which writes the state
		return
	}
	start := time.Now()
	if err := j.put(lines); err != nil {
		j.fail(now, err)
		return
	}
	j.observe("appendLine", time.Since(start))
	limit := max(minCompactSize, int64(len(j.state.alive)+len(j.state.gone))*bytesPerNode*compactFactor)
	if j.size <= limit || now.Before(j.retry) {
		return
	}
	if err := j.compact(); err != nil {
		j.retry = now.Add(recoverInterval)
		j.log.Error(fmt.Sprintf("Failed to compact snapshot, will reattempt after %v: %v", recoverInterval, err))
	}
}

func (j *journal) put(line string) error {
	n, err := j.buf.WriteString(line)
	j.size += int64(n)
	return err
}

// flush hands what is buffered to the system, or tries again to recover.
func (j *journal) flush(now time.Time) {
	if j.broken {
		j.recover(now)
		return
	}
	if j.buf.Buffered() == 0 {
		return
	}
	if err := j.buf.Flush(); err != nil {
		j.fail(now, err)
	}
}

func (j *journal) sync() error {
	if err := errors.Join(j.buf.Flush(), j.file.Sync()); err != nil {
		return fmt.Errorf("snapshot %s: %w", j.path, err)
	}
	return nil
}

// close flushes and closes the file.
func (j *journal) close(now time.Time) error {
	if j.broken {
		j.retry = time.Time{}
		j.recover(now)
	}
	if j.broken {
		return fmt.Errorf("snapshot %s is incomplete, because it could not be written", j.path)
	}
	return errors.Join(j.sync(), j.file.Close())
}

// fail notes that the file no longer tells the truth, and tries at once to write it anew.
func (j *journal) fail(now time.Time, err error) {
	j.log.Error("Failed to update snapshot: " + err.Error())
	if j.file != nil {
		_ = j.file.Close() // it is given up
		j.file, j.buf = nil, nil
	}
	j.broken = true
	j.recover(now)
}

// recover writes the file anew, at most every recoverInterval.
func (j *journal) recover(now time.Time) {
	if now.Before(j.retry) || j.left {
		return
	}
	j.retry = now.Add(recoverInterval)
	if err := j.compact(); err != nil {
		j.log.Error(fmt.Sprintf("Compaction failed, will reattempt after %v: %v", recoverInterval, err))
		return
	}
	j.log.Info("Finished compaction, successfully recovered from error state")
}

// compact replaces the file by the shortest one that means the same. The old one is intact until the new one
// is on the disk. If an error leaves no file open, the journal is broken.
func (j *journal) compact() error {
	start := time.Now()
	temp := j.path + compactSuffix
	size, err := j.writeNew(temp)
	if err != nil {
		return fmt.Errorf("write compacted snapshot: %w", err)
	}
	if j.file != nil { // Windows renames over no open file
		_ = j.file.Close() // all that it holds is in the new one
		j.file, j.buf, j.broken = nil, nil, true
	}
	if err := j.files.Rename(temp, j.path); err != nil {
		return fmt.Errorf("replace snapshot by its compacted form: %w", err)
	}
	if err := j.open(size); err != nil {
		return err
	}
	j.broken = false
	j.observe("compact", time.Since(start))
	return nil
}

// writeNew writes the state to path and onto the disk.
func (j *journal) writeNew(path string) (size int64, err error) {
	f, err := j.files.Create(path)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriter(f)
	for _, line := range j.state.previous().lines() {
		n, _ := w.WriteString(line) // Flush returns the error
		size += int64(n)
	}
	return size, errors.Join(w.Flush(), f.Sync(), f.Close())
}

// open opens the file to append to, cut to size bytes.
func (j *journal) open(size int64) error {
	f, err := j.files.Append(j.path, size)
	if err != nil {
		return fmt.Errorf("failed to open snapshot: %w", err)
	}
	j.file, j.buf, j.size = f, bufio.NewWriter(f), size
	return nil
}

// takeOver makes prev the state.
func (j *journal) takeOver(prev Previous) {
	j.state = *newState()
	for _, n := range prev.Alive {
		j.state.alive[n.Name] = n.Addr
	}
	for _, g := range prev.Gone {
		j.state.gone[g.Name] = g
	}
	j.state.clock, j.state.eventClock, j.state.queryClock = prev.Clock, prev.EventClock, prev.QueryClock
}
