package snapshot

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

var update = flag.Bool("update", false, "write the golden files anew")

const path = "/var/lib/serf/snap"

// bench is a writer on a disk in memory. It is for use in a synctest bubble.
type bench struct {
	*Writer
	t     *testing.T
	disk  *disk
	clock atomic.Uint64
	log   bytes.Buffer
	prev  Previous
}

func open(t *testing.T, d *disk, rejoin bool) *bench {
	t.Helper()
	b := &bench{t: t, disk: d}
	b.clock.Store(1)
	w, prev, err := Open(Config{
		Path: path, Rejoin: rejoin, Files: d,
		Clock:  func() lamport.Time { return lamport.Time(b.clock.Load()) },
		Logger: logs.New(logs.Options{Level: hclog.Trace, Output: &b.log}).Logger("serf"),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Writer, b.prev = w, prev
	return b
}

// step records events and lets the writer take them in.
func (b *bench) step(clock uint64, events ...event.Event) {
	b.clock.Store(clock)
	for _, e := range events {
		b.Record(e)
	}
	synctest.Wait()
}

func (b *bench) closes() {
	b.t.Helper()
	if err := b.Close(); err != nil {
		b.t.Errorf("Close: %v", err)
	}
}

func (b *bench) wantFile(want string) {
	b.t.Helper()
	if got := b.disk.text(path); got != want {
		b.t.Errorf("the file reads\n%s\nwant\n%s", got, want)
	}
}

func members(kind event.Type, members ...string) *event.Member {
	e := &event.Member{Kind: kind}
	for _, m := range members {
		name, addr, _ := strings.Cut(m, "@")
		if addr == "" {
			addr = "127.0.0.1:7946"
		}
		ap := netip.MustParseAddrPort(addr)
		e.Members = append(e.Members, &view.Member{Name: name, Addr: ap.Addr(), Port: ap.Port()})
	}
	return e
}

const (
	join, leave, failed = event.TypeMemberJoin, event.TypeMemberLeave, event.TypeMemberFailed
)

// TestGolden writes one of everything and compares with a file that was looked over by hand.
func TestGolden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newDisk(), false)
		b.step(1, members(join, "alpha@127.0.0.1:7946"))
		b.step(3, members(join, "web 1@[::ffff:10.0.0.1]:7946", "six@[fe80::1]:7947"))
		b.step(4, members(failed, "web 1"), members(event.TypeMemberUpdate, "six"), members(event.TypeMemberReap, "web 1"))
		b.step(4, &event.User{LTime: 7, Name: "deploy"}, &event.User{LTime: 6, Name: "late"}, &event.User{LTime: 7, Name: "twin"})
		b.step(9, &event.Query{LTime: 3, Name: "load"}, &event.Query{LTime: 2})
		b.step(9, members(join, "for\ngery"), members(leave, "for\ngery", ""))
		time.Sleep(tickInterval + 1)
		b.step(10, members(join, "web 1@10.0.0.1:7946"), members(leave, "alpha"))
		if err := b.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		b.step(99, members(join, "late"), &event.User{LTime: 50})
		time.Sleep(time.Minute)
		b.closes()

		golden := filepath.Join("testdata", "all.golden")
		if *update {
			if err := os.WriteFile(golden, []byte(b.disk.text(path)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		b.wantFile(string(want))
		if got := b.disk.durable(path); got != string(want) {
			t.Errorf("not all of it was synced: %q", got)
		}
	})
}

func TestTickFlushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newDisk(), false)
		b.step(1, members(join, "a"))
		b.wantFile("") // still in memory
		time.Sleep(tickInterval + 1)
		b.wantFile("alive: a 127.0.0.1:7946\n")
		b.clock.Store(5) // moved by an intent, which is no event
		time.Sleep(2 * tickInterval)
		b.wantFile("alive: a 127.0.0.1:7946\nclock: 4\n")
		b.clock.Store(8)
		b.closes()
		b.wantFile("alive: a 127.0.0.1:7946\nclock: 4\nclock: 7\n")
		b.closes()
		b.Record(members(join, "b"))
		if err := b.Leave(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Leave after Close = %v", err)
		}
	})
}

func TestContinuesWhatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		d.put(path, "alive: a 127.0.0.1:1\nclock: 5\nevent-clock: 6\nquery-clock: 7\nbogus\nalive: b 127.0")
		b := open(t, d, false)
		want := Previous{Alive: []Node{{"a", "127.0.0.1:1"}}, Clock: 5, EventClock: 6, QueryClock: 7, Unrecognized: 1}
		if !reflect.DeepEqual(b.prev, want) {
			t.Errorf("replayed %+v, want %+v", b.prev, want)
		}
		b.step(6, &event.User{LTime: 6}, &event.User{LTime: 8}, &event.Query{LTime: 7})
		b.closes()
		b.wantFile("alive: a 127.0.0.1:1\nclock: 5\nevent-clock: 6\nquery-clock: 7\nbogus\nevent-clock: 8\n")
		if !strings.Contains(b.log.String(), "[WARN] serf: Unrecognized snapshot line: bogus\n") {
			t.Errorf("log: %s", &b.log)
		}
	})
}

func TestLeaveAndRejoin(t *testing.T) {
	t.Parallel()
	for _, rejoin := range []bool{false, true} {
		t.Run(fmt.Sprint("rejoin ", rejoin), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				b := open(t, d, rejoin)
				b.step(4, members(join, "a"))
				for range 2 {
					if err := b.Leave(t.Context()); err != nil {
						t.Error(err)
					}
				}
				b.closes()
				b = open(t, d, rejoin)
				b.closes()
				want := Previous{Left: true}
				if rejoin {
					want = Previous{Alive: []Node{{"a", "127.0.0.1:7946"}}, Clock: 3, IgnoredLeave: true}
				}
				if !reflect.DeepEqual(b.prev, want) {
					t.Errorf("replayed %+v, want %+v", b.prev, want)
				}
				if got := strings.Contains(b.log.String(), "[INFO] serf: Ignoring previous leave in snapshot\n"); got != rejoin {
					t.Errorf("log: %s", &b.log)
				}
			})
		})
	}
}

func TestLeaveGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		d.stall = make(chan struct{})
		b := open(t, d, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Leave = %v", err)
		}
		close(d.stall)
		b.closes()
		b.wantFile("leave\n")
	})
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newDisk(), false)
		for i := range 10000 {
			b.step(2, members(join, fmt.Sprint("node-", i%10)))
		}
		b.step(2, &event.User{LTime: 3}, &event.Query{LTime: 4})
		b.closes()
		got := b.disk.text(path)
		if len(got) > minCompactSize+100 || !strings.HasPrefix(got, "alive: node-0 127.0.0.1:7946\nalive: node-1 ") {
			t.Errorf("the file has %d bytes and begins %.60q", len(got), got)
		}
		if !strings.Contains(got, "clock: 1\nevent-clock: 0\nquery-clock: 0\nalive: ") {
			t.Error("the file lacks the clocks of a compaction")
		}
		if b.disk.text(path+compactSuffix) != "no file" {
			t.Error("the compacted file was left lying about")
		}
		prev, err := replayDisk(b.disk)
		if err != nil || len(prev.Alive) != 10 || prev.EventClock != 3 || prev.QueryClock != 4 || prev.Clock != 1 {
			t.Errorf("it replays as %+v, %v", prev, err)
		}
	})
}

var seenLines = regexp.MustCompile("(?m)^# gossip:seen .*\n")

func replayDisk(d *disk) (Previous, error) {
	prev, _, err := replayFile(d, path, false, nil)
	return prev, err
}

// TestGone: members that failed or left are remembered until they are back or removed for good.
func TestGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		b := open(t, newDisk(), false)
		everyone := []string{"failed@10.0.0.1:1", "left@10.0.0.2:2", "back@10.0.0.3:3", "lost@10.0.0.4:4", "removed@10.0.0.5:5"}
		b.step(1, members(join, everyone...))
		b.step(1, members(failed, everyone[0], everyone[2], everyone[3]), members(leave, everyone[1], everyone[4]))
		time.Sleep(time.Minute)
		b.step(1, members(join, everyone[2]))
		reaped := members(event.TypeMemberReap, everyone[3], everyone[4])
		reaped.Members[0].Status, reaped.Members[1].Status = view.StatusFailed, view.StatusLeft
		b.step(1, reaped)
		b.closes()
		want := Previous{
			Alive: []Node{{"back", "10.0.0.3:3"}},
			Gone: []Gone{
				{Node: Node{"failed", "10.0.0.1:1"}, Time: now.Local()},
				{Node: Node{"left", "10.0.0.2:2"}, Time: now.Local(), Left: true},
				{Node: Node{"lost", "10.0.0.4:4"}, Time: now.Local()},
			},
		}
		for range 2 { // as written, and after a compaction
			b = open(t, b.disk, false)
			for i := range want.Gone {
				if !b.prev.Gone[i].Time.Equal(now) {
					t.Errorf("%s went at %v, want %v", b.prev.Gone[i].Name, b.prev.Gone[i].Time, now)
				}
				want.Gone[i].Time = b.prev.Gone[i].Time
			}
			if !reflect.DeepEqual(b.prev, want) {
				t.Errorf("replayed %+v\nwant     %+v", b.prev, want)
			}
			b.closes()
			b.disk.put(path, strings.Join(b.prev.lines(), ""))
		}
	})
}

func TestGoneIsBounded(t *testing.T) {
	t.Parallel()
	st := newState()
	for i := range maxGone + 3 {
		st.went(Gone{Node: Node{Name: fmt.Sprint(i)}, Time: time.Unix(int64(i), 0)})
	}
	if _, kept := st.gone["2"]; kept || len(st.gone) != maxGone {
		t.Errorf("%d are remembered; want the %d newest", len(st.gone), maxGone)
	}
}

// TestFaults makes each operation fail for a while. The file must tell the truth 30 s after that at the latest,
// and what was once on the disk must never be lost.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, ops := range [][]string{
		{"write"}, {"write", "create"}, {"write", "rename"}, {"write", "append"}, {"write", "sync"},
		{"write", "create", "rename", "append", "sync"},
	} {
		t.Run(strings.Join(ops, " "), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := open(t, newDisk(), false)
				b.step(2, members(join, "a"))
				time.Sleep(tickInterval)
				synctest.Wait()
				b.wantFile("alive: a 127.0.0.1:7946\nclock: 1\n")

				b.disk.set(true, ops...)
				for i := range 20 {
					b.step(uint64(i+3), members(join, fmt.Sprint("b", i)), members(leave, fmt.Sprint("b", i-1)))
					time.Sleep(tickInterval)
				}
				if n := b.disk.failures(); n == 0 || n > 8 {
					t.Errorf("%d operations failed; want some, but no storm", n)
				}
				if prev, err := replayDisk(b.disk); err != nil || len(prev.Alive) == 0 || prev.Alive[0].Name != "a" {
					t.Errorf("meanwhile it replays as %+v, %v", prev, err)
				}
				b.disk.set(false, ops...)
				time.Sleep(recoverInterval + tickInterval)
				synctest.Wait()
				got := seenLines.ReplaceAllString(b.disk.text(path), "")
				if want := "alive: a 127.0.0.1:7946\nalive: b19 127.0.0.1:7946\nclock: 21\nevent-clock: 0\nquery-clock: 0\n"; got != want {
					t.Errorf("afterwards the file reads\n%s\nwant\n%s", got, want)
				}
				if prev, err := replayDisk(b.disk); err != nil || len(prev.Gone) != 20 {
					t.Errorf("afterwards it replays as %+v, %v; want the 20 who left", prev, err)
				}
				for _, want := range []string{
					"[ERR] serf: Failed to update snapshot: no space left on device\n",
					"[ERR] serf: Compaction failed, will reattempt after 30s: ",
					"[INFO] serf: Finished compaction, successfully recovered from error state\n",
				} {
					if !strings.Contains(b.log.String(), want) {
						t.Errorf("the log lacks %q:\n%s", want, &b.log)
					}
				}
				b.closes()
			})
		})
	}
}

func TestCompactionThatFailsKeepsTheFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newDisk(), false)
		b.disk.set(true, "create")
		for i := range 5000 {
			b.step(1, members(join, fmt.Sprint("node-", i%10)))
		}
		if n := b.disk.failures(); n != 1 {
			t.Errorf("compaction was tried %d times within an instant", n)
		}
		b.step(1, members(join, "last"))
		time.Sleep(tickInterval)
		synctest.Wait()
		if got := b.disk.text(path); !strings.HasSuffix(got, "alive: last 127.0.0.1:7946\n") {
			t.Error("the file did not go on")
		}
		b.disk.set(false, "create")
		time.Sleep(recoverInterval)
		b.step(1, members(join, "later"))
		b.closes()
		if got := b.disk.text(path); len(got) > 1000 || !strings.Contains(got, "alive: later ") {
			t.Errorf("the file was not compacted: it has %d bytes", len(got))
		}
	})
}

func TestFaultsAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newDisk(), false)
		b.step(2, members(join, "a"))
		b.disk.set(true, "write")
		if err := b.Leave(t.Context()); err == nil || !strings.Contains(err.Error(), "does not tell that the agent left") {
			t.Errorf("Leave on a full disk = %v", err)
		}
		if err := b.Close(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Close on a full disk = %v", err)
		}

		b = open(t, newDisk(), false)
		b.step(2, members(join, "a"))
		b.disk.set(true, "write", "create")
		time.Sleep(tickInterval) // the writer notices
		synctest.Wait()
		b.disk.set(false, "write", "create")
		if err := b.Leave(t.Context()); err != nil { // writes the file anew first
			t.Errorf("Leave once there is room again = %v", err)
		}
		b.closes()
		b.wantFile("alive: a 127.0.0.1:7946\nclock: 1\nevent-clock: 0\nquery-clock: 0\nleave\n")

		b = open(t, newDisk(), false)
		b.step(2, members(join, "a"))
		b.disk.set(true, "sync")
		if err := b.Close(); !errors.Is(err, errDiskFull) {
			t.Errorf("Close = %v", err)
		}
	})
}

func TestOpenFailure(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"open", "append"} {
		d := newDisk()
		d.set(true, op)
		_, _, err := Open(Config{Path: path, Files: d, Clock: func() lamport.Time { return 1 }})
		if !errors.Is(err, errDiskFull) || !strings.HasPrefix(err.Error(), "failed to open snapshot: ") {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestRecordNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		d.stall = make(chan struct{})
		b := open(t, d, false)
		b.step(1, members(join, "a"))
		time.Sleep(tickInterval) // the flush hangs
		for range queueSize + 10 {
			b.Record(members(join, "b"))
		}
		if n := b.Dropped(); n != 10 {
			t.Errorf("%d events were dropped, want 10", n)
		}
		close(d.stall)
		b.closes()
		if n := strings.Count(b.disk.text(path), "\n"); n != queueSize+1 {
			t.Errorf("%d lines were written, want %d", n, queueSize+1)
		}
	})
}

// TestRealFiles runs a Writer on the real file system.
func TestRealFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "snap")
	if err := os.WriteFile(file, []byte("alive: z 127.0.0.9:1\nclo"), 0o600); err != nil {
		t.Fatal(err)
	}
	appended, compacted := 0, 0
	w, prev, err := Open(Config{Path: file, Clock: func() lamport.Time { return 9 },
		Observe: func(op string, _ time.Duration) {
			switch op {
			case "appendLine":
				appended++
			case "compact":
				compacted++
			}
		}})
	if err != nil || len(prev.Alive) != 1 {
		t.Fatalf("Open = %+v, %v", prev, err)
	}
	const rounds = 4
	for i := range rounds * 1000 {
		w.Record(members(join, fmt.Sprint("node-", i%3, strings.Repeat("x", 60))))
		for len(w.events) > queueSize/2 {
			time.Sleep(time.Millisecond)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Replay(file, false, func(line string) { t.Errorf("unrecognized: %q", line) })
	if err != nil || len(got.Alive) != 4 || got.Clock != 8 {
		t.Errorf("Replay = %+v, %v", got, err)
	}
	if w.Dropped() != 0 || appended < rounds*1000 || compacted == 0 {
		t.Errorf("dropped %d, appended %d, compacted %d times", w.Dropped(), appended, compacted)
	}
}
