// Package harness runs real programs on this machine's loopback addresses for the demo and for the end-to-end
// tests: each in a process group of its own, with its output in a file, and stopped by process id in
// the reverse order of starting. It knows how the product's programs are called and nothing of how they
// are made; it imports none of their packages.
package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// StopGrace is how long a program may take to end after it was asked to, before it is killed.
const StopGrace = 10 * time.Second

// Stage is a temporary directory and the programs that run in it. Its methods may be called concurrently.
type Stage struct {
	// Dir holds logs, configuration and sockets. Its path is short, because a Unix socket's path is limited
	// to about a hundred bytes.
	Dir string
	// Bin is the absolute path of the folder with the product's programs.
	Bin string

	mu        sync.Mutex
	processes []*Process
}

// New makes a stage with a fresh temporary directory and the product's programs in bin.
func New(bin string) (*Stage, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, fmt.Errorf("folder of programs: %w", err)
	}
	dir, err := os.MkdirTemp("", "gossip-")
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	return &Stage{Dir: dir, Bin: bin}, nil
}

// Path returns the path of a file in the stage's directory.
func (s *Stage) Path(name string) string { return filepath.Join(s.Dir, name) }

// Write puts a file into the stage's directory and returns its path.
func (s *Stage) Write(name, content string) (string, error) {
	path := s.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(content), 0o644)
}

// Close stops what still runs, the last started first, and removes the directory. It may be called more than once.
func (s *Stage) Close() {
	for _, p := range s.Processes() {
		p.Stop()
	}
	// What cannot be removed is a temporary file: nothing depends on it.
	_ = os.RemoveAll(s.Dir)
}

// Processes returns what was started and still runs, the last started first.
func (s *Stage) Processes() []*Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	var running []*Process
	for i := len(s.processes) - 1; i >= 0; i-- {
		if p := s.processes[i]; p.Running() {
			running = append(running, p)
		}
	}
	return running
}

// Process is a program that was started. Its methods may be called concurrently.
type Process struct {
	// Name is what the stage calls it; its output is in NAME.log of the stage's directory.
	Name string
	// Args are its command line, the program's path first.
	Args []string

	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // of Wait; read after done is closed
}

// Start runs a program in the background, in the stage's directory. A program without a slash is one of the product's.
func (s *Stage) Start(name, program string, args ...string) (*Process, error) {
	log, err := os.Create(s.Path(name + ".log"))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close() // the child has its own descriptor
	cmd := exec.Command(s.Program(program), args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.Dir, environ(), log, log
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, Args: cmd.Args, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes = append(s.processes, p)
	return p, nil
}

// environ is our environment for a child, whose PATH also has the place where Debian keeps daemons, which a plain
// user's PATH leaves out.
func environ() []string {
	return append(os.Environ(), "PATH="+os.Getenv("PATH")+string(os.PathListSeparator)+daemons)
}

// daemons is where Debian keeps them.
const daemons = "/usr/sbin"

// LookPath finds a program on the PATH that children get.
func LookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		if daemon, failed := exec.LookPath(filepath.Join(daemons, name)); failed == nil {
			return daemon, nil
		}
	}
	return path, err
}

// Program returns the path of one of the product's programs; a name with a slash is returned as it is.
func (s *Stage) Program(name string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	return filepath.Join(s.Bin, name)
}

// Pid returns the process id, which is also the id of its group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Running says whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends the program, but not its children, a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Code waits for the program's end and returns its exit code, -1 if a signal ended it.
func (p *Process) Code() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Kill ends the program and its children at once, as a power failure would, and waits for it.
func (p *Process) Kill() {
	killGroup(p.Pid())
	<-p.done
}

// Stop asks the program to end, and kills it and its children if it has not after StopGrace. It returns when the
// program is gone.
func (p *Process) Stop() {
	if p.Running() {
		terminate(p.cmd.Process)
		select {
		case <-p.done:
		case <-time.After(StopGrace):
		}
	}
	killGroup(p.Pid()) // children that outlived it, such as the workers of a proxy
	<-p.done
}

// Log returns what the program has printed so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(b)
}

// Result is what a program that has ended left behind.
type Result struct {
	Stdout, Stderr string
	Code           int // exit code; -1 if it was ended by a signal
}

// Run runs a program to its end, in the stage's directory, and returns what it printed. The error tells that the program
// could not be run or did not end in time; an exit code other than zero is a Result, not an error.
func (s *Stage) Run(ctx context.Context, env []string, program string, args ...string) (Result, error) {
	cmd := exec.CommandContext(ctx, s.Program(program), args...)
	var stdout, stderr strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, &stdout, &stderr
	cmd.Env = append(environ(), env...)
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { killGroup(cmd.Process.Pid); return nil }
	cmd.WaitDelay = 10 * time.Second // a grandchild that holds the pipes must not hold us for good
	err := cmd.Run()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		return result, fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(args, " "), ctx.Err())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return result, fmt.Errorf("run %s: %w", program, err)
	}
	return result, nil
}

// Eventually calls condition until it returns nil: soon at first, then less often, so that waiting does not take the time
// that it waits for. If ctx ends first, it returns the last error that came before that.
func Eventually(ctx context.Context, condition func() error) error {
	const shortest, longest = 20 * time.Millisecond, 500 * time.Millisecond
	pause := shortest
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var last error
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		timer.Reset(pause)
		pause = min(pause*5/4, longest)
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w", last)
		case <-timer.C:
		}
	}
}

// LastLines returns the last n lines of a text.
func LastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
