package trail_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/trail"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func member(name, addr string, tags map[string]string) *view.Member {
	return &view.Member{Name: name, Addr: netip.MustParseAddr(addr), Port: 7946, Tags: tags}
}

func change(kind event.Type, m *view.Member) *event.Member {
	return &event.Member{Kind: kind, Members: []*view.Member{m}}
}

// words puts a trail into lines.
func words(tr *trail.Trail, name string) string {
	entries, _ := tr.Of(name)
	var lines []string
	for _, e := range entries {
		line := fmt.Sprintf("%g %s %s", e.At.Sub(start).Seconds(), e.Kind, e.Text)
		if e.LTime > 0 {
			line += fmt.Sprintf(" @%d", e.LTime)
		}
		if e.Count > 1 {
			line += fmt.Sprintf(" x%d until %g", e.Count, e.Last.Sub(start).Seconds())
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

func TestStoryOfAMember(t *testing.T) {
	t.Parallel()
	tr := trail.New("me", start)
	web := member("web", "10.0.0.1", map[string]string{"role": "web", "v": "1"})
	tr.Intent(at(0), "web", trail.IntentIn, 4, "") // a stranger, as yet
	tr.Event(at(1), change(event.TypeMemberJoin, web))
	tr.Intent(at(1), "web", trail.IntentIn, 5, "")
	tr.Intent(at(2), "web", trail.IntentIn, 5, "")
	for i := range 3 {
		tr.Line(at(10+float64(i)), "[DEBUG] memberlist: Failed UDP ping: web (timeout reached)\n")
	}
	tr.Line(at(13), "[INFO] memberlist: Suspect web has failed, no acks received")
	tr.Line(at(17), "[INFO] memberlist: Marking web as failed, suspect timeout reached (2 peer confirmations)")
	tr.Event(at(17), change(event.TypeMemberFailed, web))
	web = member("web", "10.0.0.2", map[string]string{"v": "2", "new": ""})
	tr.Event(at(29.5), change(event.TypeMemberJoin, web))
	tr.Event(at(30), change(event.TypeMemberFailed, web))
	tr.Event(at(31), change(event.TypeMemberJoin, web))
	tr.Event(at(32), change(event.TypeMemberUpdate, member("web", "10.0.0.2", nil)))
	tr.Intent(at(33), "web", trail.IntentGo, 9, "")
	tr.Event(at(33), change(event.TypeMemberLeave, web))
	tr.Event(at(99), change(event.TypeMemberReap, web))
	want := `1 join 10.0.0.1:7946
1 join-intent  @5
10 probe-failed no answer to our UDP probe, asking others to probe it x3 until 12
13 suspect no answer to probes by us and by others for us; it has time to object
17 declared-failed nobody objected to the suspicion in time; others who confirmed it: 2
17 failed the suspicion ran out on this agent
29.5 join back after it was failed for 12.5s; address 10.0.0.2:7946, was 10.0.0.1:7946; tag new=""; tag role deleted, was "web"; tag v="2", was "1"
30 failed other members declared it failed
31 join back after it was failed for 1s; 10.0.0.2:7946
32 update tag new deleted, was ""; tag v deleted, was "2"
33 leave-intent  @9
33 leave
99 reap forgotten by this agent`
	if got := words(tr, "web"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, flaps := tr.Of("web"); flaps != 2 {
		t.Errorf("%d flaps", flaps)
	}
	if words(tr, "nobody") != "" || !tr.Began().Equal(start) {
		t.Error("a stranger has a story")
	}
}

// The lines are those of memberlist 0.7.
func TestLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"[DEBUG] memberlist: Failed UDP ping: a b (timeout reached) (timeout reached)":                             "a b (timeout reached): probe-failed",
		"[WARN] memberlist: Was able to connect to x over TCP but UDP probes failed, network may be misconfigured": "x: tcp-only",
		"[WARN] memberlist: Refuting a suspect message (from: y)":                                                  "me: refuted suspected by y",
		"[WARN] memberlist: Refuting a dead message (from: y)":                                                     "me: refuted declared failed by y",
		"[WARN] memberlist: Refuting an alive message for 'me' (1.2.3.4:5) meta:([] VS []), vsn:([] VS [])":        "me: refuted another agent",
		"[INFO] memberlist: Updating address for left or failed node x from 1.2.3.4:5 to 1.2.3.5:6":                "x: address from 1.2.3.4:5 to 1.2.3.5:6",
		"[ERR] memberlist: Conflicting address for x. Mine: 1.2.3.4:5 Theirs: 1.2.3.5:6 Old state: 0":              "x: conflict known at 1.2.3.4:5 Theirs: 1.2.3.5:6 Old state: 0",
		"[ERR] memberlist: Push/Pull with x failed: dial tcp 1.2.3.4:5: connect: connection refused":               "x: exchange-failed dial tcp",
		"[ERR] memberlist: Failed to send gossip to 1.2.3.4:5: no route":                                           "",
		"[INFO] memberlist: Suspect ":            "",
		"Suspect x has failed, no acks received": "",
		"":                                       "",
	} {
		tr := trail.New("me", start)
		tr.Line(at(1), line)
		name, rest, _ := strings.Cut(want, ": ")
		got := strings.TrimPrefix(words(tr, name), "1 ")
		if want == "" && words(tr, "me") != "" || !strings.HasPrefix(got, rest) || want != "" && got == "" {
			t.Errorf("%q\ngot  %q\nwant %q", line, got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	tr := trail.New("me", start)
	tr.Note(at(0), "me", trail.Refuted, "")
	for i := range 3 * trail.PerMember {
		tr.Note(at(float64(i)), "x", trail.Probe, fmt.Sprint(i))
	}
	entries, _ := tr.Of("x")
	if len(entries) != trail.PerMember || entries[0].Text != fmt.Sprint(2*trail.PerMember) {
		t.Errorf("%d entries: %+v", len(entries), entries[0])
	}
	tr.Note(at(1000), "y", trail.Probe, strings.Repeat("ä", 1000))
	if entries, _ := tr.Of("y"); len(entries[0].Text) > 200 {
		t.Errorf("a text of %d bytes", len(entries[0].Text))
	}
	for i := range trail.MaxMembers {
		tr.Note(at(2000+float64(i)), fmt.Sprint("n", i), trail.Join, "")
	}
	if words(tr, "x") != "" || words(tr, "n4000") == "" || words(tr, "me") == "" {
		t.Error("the wrong member was forgotten")
	}
}

// What is wrong for hours does not wash away how it came about.
func TestWhatRecursIsCounted(t *testing.T) {
	t.Parallel()
	tr := trail.New("me", start)
	tr.Note(at(0), "x", trail.Join, "")
	for i := range 1000 {
		tr.Note(at(float64(2*i)), "x", trail.Probe, "")
		tr.Note(at(float64(2*i+1)), "x", trail.TCPOnly, "")
	}
	tr.Note(at(3000), "x", trail.Failed, "")
	tr.Note(at(3001), "x", trail.Probe, "")
	want := "0 join\n0 probe-failed  x1000 until 1998\n1 tcp-only  x1000 until 1999\n3000 failed\n3001 probe-failed"
	if got := words(tr, "x"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for i := range 1000 {
		tr.Note(at(float64(4000+i)), "x", trail.Exchange, fmt.Sprint(i))
	}
	if got := words(tr, "x"); !strings.HasPrefix(got, "0 join\n3000 failed\n") || strings.Count(got, "\n") != trail.PerMember-1 {
		t.Errorf("got\n%s", got)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	tr := trail.New("me", start)
	for i := range 50 {
		tr.Note(at(float64(i)), "x/y", trail.Probe, strings.Repeat("\x01", i))
	}
	tr.Note(at(60), "x/y", trail.Probe, strings.Repeat("\x01", 49))
	tr.Intent(at(70), "x/y", trail.IntentGo, 1<<50, "")
	var got []trail.Entry
	pages := 0
	for from := uint64(1); from > 0; pages++ {
		q, err := trail.DecodeQuestion(trail.Question{From: from, Name: "x/y"}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		b, err := tr.Page(at(100), q, 1150)
		if err != nil || len(b) > 1150 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		p, err := trail.DecodePage(b)
		if err != nil || !p.Now.Equal(at(100)) || !p.Began.Equal(start) || len(p.Entries) == 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		got = append(got, p.Entries...)
		from = p.Next
	}
	want, _ := tr.Of("x/y")
	if len(got) != len(want) || pages < 3 {
		t.Fatalf("%d entries in %d pages, want %d", len(got), pages, len(want))
	}
	for i := range want {
		if got[i].Text != want[i].Text || !got[i].At.Equal(want[i].At) || got[i].Count != want[i].Count ||
			!got[i].Last.Equal(want[i].Last) || got[i].LTime != want[i].LTime || got[i].Kind != want[i].Kind {
			t.Errorf("entry %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
	if _, err := tr.Page(at(1), trail.Question{Name: "x/y"}, 20); err == nil {
		t.Error("a page without room for an entry")
	}
	if _, err := trail.DecodeQuestion(nil); err == nil {
		t.Error("an empty question was taken")
	}
}

func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(`{"t":1,"b":2,"e":[{"t":3,"k":"join","x":"y","l":4,"c":2,"u":5}],"n":7}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := trail.DecodePage(b)
		if err != nil && len(p.Entries) > 0 {
			t.Error("entries beside an error")
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add("[INFO] memberlist: Marking x as failed, suspect timeout reached (2 peer confirmations)")
	f.Add("[WARN] memberlist: Refuting a suspect message (from: )")
	f.Fuzz(func(_ *testing.T, line string) { trail.New("me", start).Line(start, line) })
}
