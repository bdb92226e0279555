package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait: far more than anything takes, so that only a fault runs into it.
const patience = 90 * time.Second

func TestMain(m *testing.M) {
	// A program with the race detector sleeps for a second before it ends, and this suite runs hundreds.
	if err := os.Setenv("GORACE", strings.TrimSpace("atexit_sleep_ms=0 "+os.Getenv("GORACE"))); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"gossip": main})
}

// TestScripts runs the program as its users do. Besides the usual commands of testscript there are
//
//	start NAME [ARGS]     runs "gossip agent" on loopback ports of the kernel's choice and waits until it runs;
//	                      then $NAME_rpc, $NAME_bind and $NAME_dns tell where
//	serve NAME [ARGS]     runs "gossip dns" likewise; then $NAME_dns tells where
//	end NAME SIGNAL CODE  sends INT, TERM, HUP or KILL ("-" for none) and waits for the exit code
//	log NAME REGEXP       waits until the agent has printed a line that matches
//	poll REGEXP CMD ...   runs a command until its standard output matches
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values["agents"] = map[string]*running{}
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": scriptStart,
			"serve": scriptServe,
			"end":   scriptEnd,
			"log":   scriptLog,
			"poll":  scriptPoll,
		},
	})
}

// running is an agent process.
type running struct {
	cmd  *exec.Cmd
	out  syncBuffer
	done chan struct{} // closed when it has ended
	code int           // its exit code, then; -1 if it was killed
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// within polls a condition.
func within(what string, cond func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(limit) {
			return fmt.Errorf("never came: %s", what)
		}
	}
	return nil
}

// startProcess runs a program in a directory and collects all that it prints.
func startProcess(dir string, env []string, name string, args ...string) (*running, error) {
	r := &running{cmd: exec.Command(name, args...), done: make(chan struct{})}
	r.cmd.Dir, r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = dir, env, &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait() // the code tells the same
		r.code = r.cmd.ProcessState.ExitCode()
	}()
	return r, nil
}

func (r *running) kill() {
	_ = r.cmd.Process.Kill() // it may have ended already
	<-r.done
}

// ended reports the exit code without waiting.
func (r *running) ended() (int, bool) {
	select {
	case <-r.done:
		return r.code, true
	default:
		return 0, false
	}
}

var bannerAddr = regexp.MustCompile(`(Bind|RPC|DNS) addr: '([^']+)'`)

var servingAddr = regexp.MustCompile(`Serving DNS at (\S+) for`)

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve NAME [ARGS]")
	}
	name := args[0]
	line := append([]string{"dns", "-dns-addr", "127.0.0.1:0"}, args[1:]...)
	r, err := startProcess(ts.Getenv("WORK"), append(os.Environ(), "HOME="+ts.Getenv("WORK")), "gossip", line...)
	ts.Check(err)
	agents, _ := ts.Value("agents").(map[string]*running)
	agents[name] = r
	ts.Defer(func() {
		ts.Logf("output of DNS server %s:\n%s", name, r.out.String())
		r.kill()
	})
	var m []string
	ts.Check(within("DNS server "+name+" runs", func() bool {
		m = servingAddr.FindStringSubmatch(r.out.String())
		_, ended := r.ended()
		return ended || m != nil
	}))
	if m == nil {
		ts.Fatalf("DNS server %s ended", name)
	}
	ts.Setenv(name+"_dns", m[1])
}

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: start NAME [ARGS]")
	}
	name := args[0]
	line := append([]string{"agent", "-node", name, "-bind", "127.0.0.1:0", "-rpc-addr", "127.0.0.1:0",
		"-dns-addr", "127.0.0.1:0", "-profile", "local"}, args[1:]...)
	r, err := startProcess(ts.Getenv("WORK"), append(os.Environ(), "HOME="+ts.Getenv("WORK")), "gossip", line...)
	ts.Check(err)
	agents, _ := ts.Value("agents").(map[string]*running)
	agents[name] = r
	ts.Defer(func() {
		ts.Logf("output of agent %s:\n%s", name, r.out.String())
		r.kill()
	})
	ts.Check(within("agent "+name+" runs", func() bool {
		_, ended := r.ended()
		return ended || strings.Contains(r.out.String(), "Log data will now stream in")
	}))
	if code, ended := r.ended(); ended {
		ts.Fatalf("agent %s ended with code %d", name, code)
	}
	for _, m := range bannerAddr.FindAllStringSubmatch(r.out.String(), -1) {
		ts.Setenv(name+"_"+strings.ToLower(m[1]), m[2])
	}
}

func agentOf(ts *testscript.TestScript, name string) *running {
	agents, _ := ts.Value("agents").(map[string]*running)
	r, ok := agents[name]
	if !ok {
		ts.Fatalf("no agent %s was started", name)
	}
	return r
}

func scriptEnd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: end NAME SIGNAL CODE")
	}
	r := agentOf(ts, args[0])
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": os.Kill}
	if sig, ok := signals[args[1]]; ok {
		ts.Check(r.cmd.Process.Signal(sig))
	}
	if args[2] == "-" {
		return
	}
	want, err := strconv.Atoi(args[2])
	ts.Check(err)
	code := 0
	ts.Check(within("end of agent "+args[0], func() (ended bool) { code, ended = r.ended(); return ended }))
	if code != want {
		ts.Fatalf("agent %s ended with code %d, not %d", args[0], code, want)
	}
}

func scriptLog(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] log NAME REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	r := agentOf(ts, args[0])
	if neg {
		if re.MatchString(r.out.String()) {
			ts.Fatalf("agent %s has printed %s", args[0], args[1])
		}
		return
	}
	ended := false
	ts.Check(within(fmt.Sprintf("%q from agent %s", args[1], args[0]), func() bool {
		_, ended = r.ended() // before the look at what it printed
		return ended || re.MatchString(r.out.String())
	}))
	if ended && !re.MatchString(r.out.String()) {
		ts.Fatalf("agent %s has ended and never printed %q", args[0], args[1])
	}
}

func scriptPoll(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: poll REGEXP CMD ...")
	}
	re, err := regexp.Compile("(?ms)" + args[0])
	ts.Check(err)
	out := ""
	err = within("output that matches "+args[0], func() bool {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir = ts.Getenv("WORK")
		text, err := cmd.Output()
		out = string(text)
		return err == nil && re.MatchString(out)
	})
	if err != nil {
		ts.Fatalf("%v; the last was:\n%s", err, out)
	}
}
