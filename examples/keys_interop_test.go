package examples_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMixedKeys changes keys from agents of both kinds; each time all agents obey, and their keyring files are the same
// byte for byte.
func TestMixedKeys(t *testing.T) {
	t.Parallel()
	m := newMix(t)
	keyring := func(name string) string { return m.stage.Path(name + ".keyring") }
	agents := m.four(func(name string) []string {
		if err := os.WriteFile(keyring(name), []byte(`["`+firstKey+`"]`), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-keyring-file=" + keyring(name), m.writes(name, "user")}
	})
	files := func(keys ...string) {
		t.Helper()
		want := must(json.MarshalIndent(keys, "", "  "))(t)
		for _, a := range agents {
			if got := must(os.ReadFile(keyring(a.Name)))(t); string(got) != string(want) {
				t.Errorf("keyring file of %s: %s, want %s", a.Name, got, want)
			}
		}
	}
	// keys runs a step that must succeed on all agents; answers may be lost on a busy machine, and no step does harm twice.
	keys := func(program string, at int, want string, flags ...string) {
		t.Helper()
		eventually(m.ctx, t, func() error {
			r := m.cli(program, agents[at], "keys", flags...)
			if r.Code != 0 || !strings.Contains(r.Stdout, want) {
				return fmt.Errorf("%s keys %v at %s: %+v", program, flags, agents[at].Name, r)
			}
			return nil
		})
	}
	var told []string
	for at, a := range agents[:2] {
		program, other := []string{"gossip", "serf"}[at], []string{"serf", "gossip"}[at]
		keys(program, at, "Successfully installed key!", "-install="+secondKey)
		files(firstKey, secondKey)
		keys(other, at, secondKey+"  [4/4]", "-list")
		keys(other, at, "Successfully changed primary key!", "-use="+secondKey)
		files(secondKey, firstKey)
		keys(program, 1-at, "Successfully removed key!", "-remove="+firstKey)
		files(secondKey)
		keys(other, 1-at, secondKey+"  [4/4]", "-list")

		// The cluster still talks, and an agent that joins with the new key alone does so too.
		late := m.start([]string{"serf", "gossip"}[at]+"-late", "-encrypt="+secondKey, "-join="+a.Gossip)
		m.agree(agents, "alive", late.Name) // who has never seen it alive does not hear of its leave either
		m.must(late, "event", "-coalesce=false", "by", late.Name)
		told = append(told, "by "+late.Name)
		for _, a := range agents {
			m.written(a, "user", slices.Clone(told)...)
		}
		m.must(late, "leave")
		late.Code()
		m.agree(agents, "left", late.Name)

		// Back to the first key for the next round.
		keys(program, at, "Successfully installed key!", "-install="+firstKey)
		keys(program, at, "Successfully changed primary key!", "-use="+firstKey)
		keys(program, at, "Successfully removed key!", "-remove="+secondKey)
		files(firstKey)
	}

	// What is refused is refused in the same words, whoever asks whom.
	for _, flags := range [][]string{{"-remove=" + firstKey}, {"-use=" + secondKey}, {"-install=AAAA"}, {"-install=!"}} {
		var texts []string
		for _, a := range agents[:2] {
			for _, program := range []string{"serf", "gossip"} {
				r := m.cli(program, a, "keys", flags...)
				if r.Code != 1 {
					t.Errorf("%s keys %v at %s: %+v, want exit code 1", program, flags, a.Name, r)
				}
				texts = append(texts, squeeze(r.Stdout+r.Stderr))
			}
		}
		if len(slices.Compact(slices.Clone(texts))) != 1 {
			t.Errorf("keys %v: %q", flags, texts)
		}
	}
	files(firstKey)
}

// squeeze makes texts comparable whose lines may come in any order and with any padding.
func squeeze(text string) string {
	var list []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			list = append(list, strings.Join(fields, " "))
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}
