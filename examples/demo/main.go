// Command demo shows the whole suite at work on one machine, with real programs on loopback addresses: three agents, the
// DNS that is built into them, an HAProxy that follows the members, an event, a Terraform plan, and the sudden death of
// a member. It cleans up all it started. Run it with `make demo`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// limit ends a demo that hangs.
const limit = 3 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "the folder with the programs that `make build` made")
	keep := flag.Bool("keep", false, "leave everything running at the end, and tell how to talk to it")
	serve := flag.String("serve", "", "be the tiny web backend at this `address` instead; the one argument is its name")
	flag.Parse()
	if *serve != "" {
		fmt.Fprintln(os.Stderr, backend(*serve, flag.Arg(0)))
		os.Exit(1)
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, limit)
	defer cancel()
	if err := run(ctx, os.Stdout, *bin, *keep); err != nil {
		if interrupted.Err() != nil {
			err = errors.New("interrupted; everything it started is stopped")
		}
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// backend serves one page until the process is ended.
func backend(addr, name string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: harness.Web(name), ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(l)
}

// demo is the state that its steps share.
type demo struct {
	*harness.Stage
	out   io.Writer
	began time.Time
	steps int

	pages    map[string]*harness.Process // the web servers, by member
	agents   map[string]*harness.Agent
	balancer *harness.Balancer // nil if there is no HAProxy
	skipped  []string
}

// run plays all steps. Unless all goes well and keep is set, nothing is left running.
func run(ctx context.Context, out io.Writer, bin string, keep bool) error {
	stage, err := harness.New(bin)
	if err != nil {
		return err
	}
	d := &demo{Stage: stage, out: out, began: time.Now(), pages: map[string]*harness.Process{}, agents: map[string]*harness.Agent{}}
	kept := false
	defer func() {
		if !kept {
			d.Close()
		}
	}()
	for _, step := range []func(context.Context) error{d.cluster, d.dns, d.balance, d.event, d.terraform, d.failure} {
		if err := step(ctx); err != nil {
			if ctx.Err() == nil {
				d.logs()
			}
			return err
		}
	}
	if keep {
		if err := d.explain(ctx); err != nil {
			return err
		}
		kept = true
		return nil
	}
	d.title("Clean up")
	n := len(d.Processes())
	d.Close()
	d.say("%d programs stopped, %s removed.", n, d.Dir)
	for _, what := range d.skipped {
		d.say("Left out: %s.", what)
	}
	d.say("That took %.0f seconds.", time.Since(d.began).Seconds())
	return nil
}

// logs shows the end of what each program that still runs has printed.
func (d *demo) logs() {
	for _, p := range d.Processes() {
		d.say("\n-- %s\n%s", p.Name, harness.LastLines(p.Log(), 8))
	}
}

// title begins a step.
func (d *demo) title(format string, args ...any) {
	d.steps++
	fmt.Fprintf(d.out, "\n== %d. %s\n", d.steps, fmt.Sprintf(format, args...))
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// skip tells at once and again at the end what could not be shown.
func (d *demo) skip(what string) {
	d.skipped = append(d.skipped, what)
	d.say("(skipped: %s)", what)
}

// background prints a command line that goes on running.
func (d *demo) background(p *harness.Process) { d.say("$ %s &", d.line(p.Args[0], p.Args[1:]...)) }

// command prints a command line as one would type it here.
func (d *demo) command(program string, args ...string) { d.say("$ %s", d.line(program, args...)) }

// width is where long command lines are continued on the next line.
const width = 110

func (d *demo) line(program string, args ...string) string {
	line := d.shown(program)
	column := len(line)
	for _, arg := range args {
		if strings.ContainsAny(arg, " $|&;<>()'\"*") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		if column+len(arg) > width {
			line, column = line+" \\\n   ", 0
		}
		line += " " + arg
		column += 1 + len(arg)
	}
	return line
}

// shown is how to call a program from here: ours by their path, others by their name.
func (d *demo) shown(program string) string {
	if name := filepath.Base(program); !strings.HasPrefix(name, "gossip") {
		return name
	}
	path := d.Program(program)
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// show prints a command line and what it answers; an exit code other than zero is an error.
func (d *demo) show(ctx context.Context, program string, args ...string) (string, error) {
	d.command(program, args...)
	r, err := d.Run(ctx, nil, program, args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s ended with exit code %d: %s", filepath.Base(program), r.Code, strings.TrimSpace(r.Stderr))
	}
	if text := strings.TrimSpace(r.Stdout); text != "" {
		d.say("%s", text)
	}
	return r.Stdout, err
}
