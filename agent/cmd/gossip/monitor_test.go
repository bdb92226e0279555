package main

import (
	"os"
	"strings"
	"testing"
)

// TestMonitor: it shows log and events as they come, ends well when it is interrupted, and says so when the agent goes.
func TestMonitor(t *testing.T) {
	t.Parallel()
	rpc, _ := startAgent(t, "gossip", "alpha")
	monitor := func(args ...string) *running {
		r, err := startProcess(t.TempDir(), os.Environ(), "gossip", append([]string{"monitor", "-rpc-addr", rpc}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.kill)
		return r
	}
	text, lines, left := monitor("-log-level", "debug"), monitor("-format", "json"), monitor()
	all := []*running{text, lines, left}
	for _, m := range all { // recent log lines come once it listens
		if err := within("a log line", func() bool { return strings.Contains(m.out.String(), "EventMemberJoin: alpha") }); err != nil {
			t.Fatal(err)
		}
	}
	if r := runProgram(t, "gossip", "event", "-rpc-addr", rpc, "-coalesce=false", "deploy", "bar"); r.code != 0 {
		t.Fatal(r)
	}
	for m, want := range map[*running]string{
		text:  "Event Info:\n\tCoalesce: false\n\tEvent: \"user\"\n\tLTime: 1\n\tName: \"deploy\"\n\tPayload: []byte{0x62, 0x61, 0x72}\n",
		lines: `{"event":{"Coalesce":false,"Event":"user","LTime":1,"Name":"deploy","Payload":"YmFy"}}` + "\n",
		left:  "Event Info:",
	} {
		if err := within("the event as "+want, func() bool { return strings.Contains(m.out.String(), want) }); err != nil {
			t.Fatalf("%v in\n%s", err, m.out.String())
		}
	}
	for _, m := range []*running{text, lines} {
		if err := m.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	if r := runProgram(t, "gossip", "leave", "-rpc-addr", rpc); r.code != 0 {
		t.Fatal(r)
	}
	for i, want := range []int{0, 0, 1} {
		code := -1
		if err := within("the end of the monitor", func() (ended bool) { code, ended = all[i].ended(); return ended }); err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Errorf("monitor %d ended with code %d, want %d:\n%s", i, code, want, all[i].out.String())
		}
	}
	if !strings.Contains(left.out.String(), "\nRemote side ended the monitor!") {
		t.Errorf("no word about the end in\n%s", left.out.String())
	}
}
