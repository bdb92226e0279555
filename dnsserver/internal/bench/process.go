//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// placement says which processors servers and clients run on.
type placement struct {
	server, client unix.CPUSet
	workers        int // threads of each
	text           string
}

func (p placement) String() string { return p.text }

// place gives servers and clients one processor each, or all to both.
func place(free bool) (placement, error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return placement{}, fmt.Errorf("processors: %w", err)
	}
	if free {
		return placement{all, all, 2, fmt.Sprintf("free: two workers and two clients on %d processors", all.Count())}, nil
	}
	if all.Count() < 2 {
		return placement{}, errors.New("servers and clients need a processor each; -free does without")
	}
	var cpus []int
	for i := 0; len(cpus) < 2; i++ {
		if all.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	p := placement{workers: 1, text: fmt.Sprintf("pinned: servers on processor %d, clients on processor %d", cpus[0], cpus[1])}
	p.server.Set(cpus[0])
	p.client.Set(cpus[1])
	return p, nil
}

// on runs f on a thread that is bound to the processors.
func on(cpus unix.CPUSet, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		if err := unix.SchedSetaffinity(0, &cpus); err != nil {
			result <- fmt.Errorf("bind a thread to its processor: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

// process is a server that runs.
type process struct {
	name string
	addr string
	pid  int
	cmd  *exec.Cmd // nil if somebody else started it
	out  *bytes.Buffer
}

const startTimeout = 20 * time.Second

// start runs the server, and returns when it answers.
func (s server) start(ctx context.Context, p placement, zone string, m *mix) (*process, error) {
	dir, err := os.MkdirTemp(zone, s.name+"-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args, err := s.command(dir, zone, port, p.workers, m)
	if err != nil {
		return nil, err
	}
	r := &process{name: s.name, addr: fmt.Sprintf("127.0.0.1:%d", port), out: new(bytes.Buffer)}
	r.cmd = exec.CommandContext(ctx, s.path, args...)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	r.cmd.Env = os.Environ()
	if s.env != nil {
		r.cmd.Env = append(r.cmd.Env, s.env(p.workers)...)
	}
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(syscall.SIGTERM) }
	r.cmd.WaitDelay = 5 * time.Second
	if err := on(p.server, r.cmd.Start); err != nil {
		return nil, err
	}
	r.pid = r.cmd.Process.Pid
	if err := r.await(m); err != nil {
		r.stop()
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(r.out.Bytes()))
	}
	return r, nil
}

// freePort returns a port that was free on both protocols a moment ago.
func freePort() (int, error) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		addr := l.Addr().String()
		udp, err := net.ListenPacket("udp", addr)
		_ = l.Close()
		if err == nil {
			_ = udp.Close()
			return l.Addr().(*net.TCPAddr).Port, nil
		}
	}
	return 0, errors.New("no port is free on both protocols")
}

// attach takes a server that runs already.
func attach(text string) (*process, error) {
	parts := strings.Split(text, "@")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is not NAME@ADDR:PORT@PID", text)
	}
	pid, err := strconv.Atoi(parts[2])
	if err != nil {
		return nil, fmt.Errorf("%q is not NAME@ADDR:PORT@PID: %w", text, err)
	}
	return &process{name: parts[0], addr: parts[1], pid: pid}, nil
}

// await returns when the server answers.
func (r *process) await(m *mix) error {
	conn, err := net.Dial("udp", r.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		if err := conn.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := conn.Write(m.question(0)); err == nil {
			if n, err := conn.Read(buf); err == nil && n >= 12 && buf[3]&15 == m.rcode {
				return nil
			}
		}
		if unix.Kill(r.pid, 0) != nil {
			return errors.New("it ended")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("it did not answer within %v", startTimeout)
}

// stop ends the server and waits for it.
func (r *process) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	_ = r.cmd.Wait() // how it ends is no matter
}

// cpu returns the processor time of the server and its children so far.
func (r *process) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range family(r.pid) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue // a thread that ended
			}
			if err != nil {
				return 0, err
			}
			first, _, _ := strings.Cut(string(text), " ")
			ns, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", f, err)
			}
			sum += time.Duration(ns)
		}
	}
	if sum == 0 {
		return 0, errors.New("no account of its processor time; it may have ended")
	}
	return sum, nil
}

// family returns a process and all below it.
func family(pid int) []int {
	all := []int{pid}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, child := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(child); err == nil {
				all = append(all, family(n)...)
			}
		}
	}
	return all
}

func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return fmt.Sprintf("%d × %s", runtime.NumCPU(), strings.TrimSpace(value))
		}
	}
	return fmt.Sprintf("%d × %s", runtime.NumCPU(), runtime.GOARCH)
}

func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}
