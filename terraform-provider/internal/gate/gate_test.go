package gate_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/gate"
)

func TestNeed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rule           gate.Rule
		eligible, want int
	}{
		"all":              {gate.Rule{}, 5, 5},
		"all of nobody":    {gate.Rule{}, 0, 1},
		"count":            {gate.Rule{MinCount: 2}, 5, 2},
		"count above all":  {gate.Rule{MinCount: 9}, 5, 9},
		"half of five":     {gate.Rule{MinPercent: 50}, 5, 3},
		"all of three":     {gate.Rule{MinPercent: 100}, 3, 3},
		"a third of three": {gate.Rule{MinPercent: 100.0 / 3}, 3, 1},
		"percent of none":  {gate.Rule{MinPercent: 50}, 0, 1},
		"the larger":       {gate.Rule{MinCount: 2, MinPercent: 80}, 10, 8},
	}
	for name, tt := range tests {
		if got := tt.rule.Need(tt.eligible); got != tt.want {
			t.Errorf("%s: Need(%d) = %d, want %d", name, tt.eligible, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	rule := gate.Rule{Expect: regexp.MustCompile("^(?:ok)$"), MinPercent: 50}
	answers := map[string][]byte{"a": []byte("ok\n"), "b": []byte("disk full"), "stranger": []byte("ok")}
	v := rule.Judge([]string{"d", "c", "b", "a"}, answers)
	if v.Passed() {
		t.Error("one of four is no half")
	}
	const want = `1 of 4 members answered as expected, and 2 must
  - b: answered "disk full"
  - c: no answer
  - d: no answer`
	if got := v.String(); got != want {
		t.Errorf("it says:\n%s\nwant:\n%s", got, want)
	}
	if v := rule.Judge([]string{"a", "b"}, answers); !v.Passed() {
		t.Errorf("half of two is enough: %s", v)
	}
	if v := rule.Judge(nil, answers); v.Passed() || !strings.Contains(v.String(), "no member that is alive matches") {
		t.Errorf("nobody to ask passed: %s", v)
	}
}
