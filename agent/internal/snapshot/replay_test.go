package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine+5)
	for name, tt := range map[string]struct {
		text   string
		rejoin bool
		want   Previous
		odd    []string // lines reported as unrecognized
	}{
		"empty": {},
		"all kinds of lines": {
			text: "alive: a 127.0.0.1:7946\nalive: b [::1]:7947\nclock: 5\nevent-clock: 7\nquery-clock: 9\nnot-alive: a\n",
			want: Previous{Alive: []Node{{"b", "[::1]:7947"}}, Clock: 5, EventClock: 7, QueryClock: 9},
		},
		"newest address, sorted by name": {
			text: "alive: b 1.1.1.1:1\nalive: a 2.2.2.2:2\nalive: b 3.3.3.3:3\n",
			want: Previous{Alive: []Node{{"a", "2.2.2.2:2"}, {"b", "3.3.3.3:3"}}},
		},
		"names with spaces and colons": {
			text: "alive: web 1: x 127.0.0.1:1\nalive: y z 127.0.0.1:2\nnot-alive: y z\n",
			want: Previous{Alive: []Node{{"web 1: x", "127.0.0.1:1"}}},
		},
		"unfinished last line": {
			text: "alive: a 127.0.0.1:1\nclock: 12",
			want: Previous{Alive: []Node{{"a", "127.0.0.1:1"}}},
		},
		"nothing but an unfinished line": {text: "leave"},
		"comments, old coordinates, empty lines": {
			text: "# alive: x 1.1.1.1:1\n\ncoordinate: {\"Vec\":[]}\nclock: 1\n",
			want: Previous{Clock: 1},
		},
		"failed and left members": {
			text: "alive: a 127.0.0.1:1\nalive: c d 127.0.0.1:2\nnot-alive: a\n# gossip:seen failed 5 127.0.0.1:1 a\n" +
				"not-alive: c d\n# gossip:seen left 6 127.0.0.1:2 c d\n# gossip:seen failed 5 127.0.0.1:3 back\nalive: back 127.0.0.1:3\n" +
				"# gossip:seen failed 5 127.0.0.1:4 gone\n# gossip:forget gone\n",
			want: Previous{
				Alive: []Node{{"back", "127.0.0.1:3"}},
				Gone: []Gone{
					{Node: Node{"a", "127.0.0.1:1"}, Time: time.Unix(5, 0)},
					{Node: Node{"c d", "127.0.0.1:2"}, Time: time.Unix(6, 0), Left: true},
				},
			},
		},
		"nearly our comments": {
			text: "# gossip:seen\n# gossip:seen failed x 127.0.0.1:1 a\n# gossip:seen alive 5 127.0.0.1:1 a\n# gossip:seen left 5 127.0.0.1:1\n# gossip:seen left 5  a\n",
		},
		"unrecognized lines": {
			text: "bogus\nalive: a\nalive: \nalive:  1.1.1.1:1\nclock: x\nclock: -1\nfoo: bar\nLeave\nclock:3\nclock: 2\n",
			want: Previous{Clock: 2, Unrecognized: 9},
			odd:  []string{"bogus", "alive: a", "alive: ", "alive:  1.1.1.1:1", "clock: x", "clock: -1", "foo: bar", "Leave", "clock:3"},
		},
		"a leave forgets": {
			text: "alive: a 127.0.0.1:1\nclock: 5\nevent-clock: 6\nquery-clock: 7\nleave\n",
			want: Previous{Left: true},
		},
		"a clock after a leave": {
			text: "alive: a 127.0.0.1:1\nclock: 5\nleave\nclock: 6\n",
			want: Previous{Left: true, Clock: 6},
		},
		"joined again after a leave": {
			text: "alive: a 127.0.0.1:1\nleave\nalive: b 127.0.0.1:2\n",
			want: Previous{Alive: []Node{{"b", "127.0.0.1:2"}}},
		},
		"a leave is ignored": {
			text: "alive: a 127.0.0.1:1\nclock: 5\nleave\n", rejoin: true,
			want: Previous{Alive: []Node{{"a", "127.0.0.1:1"}}, Clock: 5, IgnoredLeave: true},
		},
		"the largest clock": {
			text: "clock: 18446744073709551615\nevent-clock: 18446744073709551616\n",
			want: Previous{Clock: ^Previous{}.Clock, Unrecognized: 1},
			odd:  []string{"event-clock: 18446744073709551616"},
		},
		"a line that is too long": {
			text: "clock: 1\nalive: " + long + long + "\nclock: 2\n",
			want: Previous{Clock: 2, Unrecognized: 1},
			odd:  []string{"line of more than 64 KiB"},
		},
		"a long unfinished line": {
			text: "clock: 1\n" + long,
			want: Previous{Clock: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var odd []string
			got, complete, err := Read(strings.NewReader(tt.text), tt.rejoin, func(l string) { odd = append(odd, l) })
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
			if !slices.Equal(odd, tt.odd) {
				t.Errorf("unrecognized: %q, want %q", odd, tt.odd)
			}
			if want := strings.LastIndexByte(tt.text, '\n') + 1; complete != int64(want) {
				t.Errorf("%d bytes are complete, want %d", complete, want)
			}
		})
	}
}

type faulty struct{}

func (faulty) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestReadReportsFaults(t *testing.T) {
	t.Parallel()
	if _, _, err := Read(faulty{}, false, nil); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("Read = %v", err)
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if prev, err := Replay(filepath.Join(dir, "none"), false, nil); err != nil || !reflect.DeepEqual(prev, Previous{}) {
		t.Errorf("a file that does not exist: %+v, %v", prev, err)
	}
	path := filepath.Join(dir, "snap")
	if err := os.WriteFile(path, []byte("clock: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if prev, err := Replay(path, false, nil); err != nil || prev.Clock != 3 {
		t.Errorf("Replay = %+v, %v", prev, err)
	}
	if _, err := Replay(dir, false, nil); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v, want an error that names it", err)
	}
	if _, err := Replay(filepath.Join(path, "x"), false, nil); err == nil || !strings.HasPrefix(err.Error(), "failed to open snapshot: ") {
		t.Errorf("no way there: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"alive: a 127.0.0.1:7946\nclock: 5\nevent-clock: 7\nquery-clock: 9\nnot-alive: a\nleave\n",
		"alive: a b [::1]:1\n#\ncoordinate: x\n\nclock: 99999999999999999999\n",
		"# gossip:seen failed 5 127.0.0.1:1 a\n# gossip:seen left -9 x b c\n# gossip:forget a\n",
		"alive:  \nalive: \xff \xff\n", "leave",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, rejoin bool) {
		prev, complete, err := Read(strings.NewReader(text), rejoin, nil)
		if err != nil {
			t.Fatal(err)
		}
		if complete > int64(len(text)) || complete > 0 && text[complete-1] != '\n' {
			t.Fatalf("%d of %d bytes are complete", complete, len(text))
		}
		again, _, err := Read(strings.NewReader(strings.Join(prev.lines(), "")), rejoin, nil)
		prev.Left, prev.IgnoredLeave, prev.Unrecognized = false, false, 0
		if err != nil || !reflect.DeepEqual(again, prev) {
			t.Fatalf("compacted it reads %+v, %v\nwant %+v", again, err, prev)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&text, "alive: node-%d 10.0.%d.%d:7946\n", i, i/250, i%250)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(strings.NewReader(text.String()), false, nil); err != nil {
			b.Fatal(err)
		}
	}
}
