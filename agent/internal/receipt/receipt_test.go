package receipt_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/handler"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/receipt"
)

var _ handler.Watch = (*receipt.Trail)(nil)

func user(ltime int, name, payload string, coalesce bool) *event.User {
	return &event.User{LTime: lamport.Time(ltime), Name: name, Payload: []byte(payload), Coalesce: coalesce}
}

// words puts a receipt on one line.
func words(r receipt.Receipt) string {
	out := string(r.Phase)
	for _, run := range r.Runs {
		out += fmt.Sprintf(" %s=%s", run.Command, run.State)
		if run.Exit != 0 {
			out += fmt.Sprintf("/%d", run.Exit)
		}
	}
	if r.More > 0 {
		out += fmt.Sprintf(" +%d", r.More)
	}
	return out
}

type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exitError) ExitCode() int { return int(e) }

func TestLifeOfAnEvent(t *testing.T) {
	t.Parallel()
	tr := receipt.NewTrail(0)
	e := user(1, "deploy", "v1", false)
	check := func(want string, final, failed bool) {
		t.Helper()
		r := tr.Find(receipt.IDOf(user(1, "deploy", "v1", true)))
		if words(r) != want || r.Final() != final || r.Failed() != failed {
			t.Errorf("got %q final %v failed %v, want %q", words(r), r.Final(), r.Failed(), want)
		}
	}
	check("", false, false)
	tr.Heard(e)
	tr.Heard(e) // again, as after a lost race: no news
	check("waiting", false, false)
	tr.Handed(e, []string{"a", "b", "a", "c"})
	check("handed a=queued b=queued a=queued c=queued", false, false)
	tr.Started(e, "a")
	tr.Ended(e, "a", time.Second, nil)
	tr.Started(e, "b")
	tr.Ended(e, "b", time.Second, fmt.Errorf("wrapped: %w", exitError(3)))
	tr.Started(e, "a")
	check("handed a=ok b=failed/3 a=running c=queued", false, true)
	tr.Ended(e, "a", time.Second, errors.New("no such shell"))
	tr.Dropped(e, "c")
	check("handed a=ok b=failed/3 a=failed c=dropped", true, true)
	tr.Handed(e, []string{"x"}) // an event is handed on once
	check("handed a=ok b=failed/3 a=failed c=dropped", true, true)

	// Other events with the same time, and other kinds of events, change nothing.
	tr.Handed(&event.Member{}, []string{"a"})
	tr.Started(&event.Query{}, "a")
	if r := tr.Find(receipt.IDOf(user(1, "deploy", "v2", false))); r.Phase != receipt.Unheard {
		t.Errorf("another payload: %q", words(r))
	}
	if receipt.IDOf(user(1, "ab", "c", false)) == receipt.IDOf(user(1, "a", "bc", false)) {
		t.Error("name and payload run into each other")
	}
}

func TestEventsThatNeverReachAHandler(t *testing.T) {
	t.Parallel()
	tr := receipt.NewTrail(0)
	events := []*event.User{
		user(1, "a", "", false), user(2, "c", "1", true), user(3, "a", "", false), user(4, "c", "2", true),
		user(4, "c", "3", true), user(5, "d", "", true), user(6, "a", "", false), user(7, "c", "4", true),
	}
	for _, e := range events {
		tr.Heard(e)
	}
	tr.Handed(events[2], nil) // the first was overwritten before
	tr.Handed(events[4], nil) // two of the same time are both the newest
	tr.Handed(events[3], nil)
	tr.Gone(events[6])
	want := []string{"lost", "superseded", "handed", "handed", "handed", "waiting", "lost", "waiting"}
	for i, e := range events {
		if got := words(tr.Find(receipt.IDOf(e))); got != want[i] {
			t.Errorf("event %d: got %s, want %s", i, got, want[i])
		}
	}
	if r := tr.Find(receipt.IDOf(events[2])); !r.Final() || r.Failed() {
		t.Error("an event without handlers is done, and well")
	}
	if r := tr.Find(receipt.IDOf(events[0])); !r.Final() || !r.Failed() {
		t.Error("a lost event is done, and not well")
	}
}

func TestTrailIsBounded(t *testing.T) {
	t.Parallel()
	tr := receipt.NewTrail(10)
	for i := range 1000 {
		e := user(i, "n", fmt.Sprint(i), i%3 == 0)
		tr.Heard(e)
		if i%7 == 0 {
			tr.Handed(e, nil)
		}
		if i%11 == 0 {
			tr.Gone(e)
		}
	}
	for i := range 1000 {
		found := tr.Find(receipt.IDOf(user(i, "n", fmt.Sprint(i), false))).Phase != receipt.Unheard
		if found != (i >= 990) {
			t.Errorf("event %d: found %v", i, found)
		}
	}
	if n := tr.Waiting(); n > 20 {
		t.Errorf("%d records wait", n)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	id := receipt.IDOf(user(1<<40, "x", "y", false))
	if got, err := receipt.DecodeID(id.Encode()); err != nil || got != id {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := receipt.DecodeID([]byte("short")); err == nil {
		t.Error("a short ID was taken")
	}
	r := receipt.Receipt{Phase: receipt.Handed}
	for i := range 30 {
		r.Runs = append(r.Runs, receipt.Run{Command: strings.Repeat("ä", 100), State: receipt.OK, Took: time.Duration(i)})
	}
	r.Runs = append(r.Runs, receipt.Run{Command: "bad", State: receipt.Failed, Exit: 7, Error: "exit status 7"})
	b, err := r.Encode(1000)
	if err != nil || len(b) > 1000 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	got, err := receipt.Decode(b)
	if err != nil || len(got.Runs)+got.More != 31 || got.Runs[0].Command != "bad" || got.Runs[0].Exit != 7 || !got.Failed() {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(r.Runs) != 31 || len(r.Runs[0].Command) != 200 {
		t.Error("encoding changed the receipt")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"p":"handed","r":[{"c":"x","s":"ok","x":1,"d":5}],"m":2}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := receipt.Decode(b)
		if err != nil {
			return
		}
		_, _ = r.Final(), r.Failed()
		if again, err := r.Encode(1 << 20); err != nil || len(again) == 0 {
			t.Errorf("%+v: %v", r, err)
		}
	})
}
