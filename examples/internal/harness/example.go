package harness

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// exampleLimit ends an example that hangs.
const exampleLimit = 4 * time.Minute

// Example is a cluster on a stage that shows something step by step: an agent beside a load balancer, and members.
type Example struct {
	*Stage
	LB     *Agent            // beside the balancer
	Agents map[string]*Agent // of the members, by name

	out io.Writer
}

// Main is the main function of an example of that name, which needs these programs. It gives run a cluster that has the agent LB
// and nobody else, and stops in the end whatever was started. If run fails the program says why and exits with 1.
func Main(name string, programs []string, run func(context.Context, *Example) error) {
	bin := flag.String("bin", "bin", "the folder with the programs that `make build` made")
	flag.Parse()
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(interrupted, exampleLimit)
	err := show(ctx, *bin, programs, run)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func show(ctx context.Context, bin string, programs []string, run func(context.Context, *Example) error) error {
	for _, program := range programs {
		if _, err := LookPath(program); err != nil {
			return fmt.Errorf("%s is not on the PATH", program)
		}
	}
	stage, err := New(bin)
	if err != nil {
		return err
	}
	defer stage.Close()
	e := &Example{Stage: stage, Agents: map[string]*Agent{}, out: os.Stdout}
	if e.LB, err = e.StartAgent(ctx, AgentConfig{Name: "lb"}); err != nil {
		return err
	}
	return run(ctx, e)
}

// Steps calls one after the other, up to the first that fails.
func Steps(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Say tells the user a line.
func (e *Example) Say(format string, args ...any) { fmt.Fprintf(e.out, format+"\n", args...) }

// Join starts the agent of a member, with further flags.
func (e *Example) Join(ctx context.Context, name string, args ...string) (err error) {
	e.Agents[name], err = e.StartAgent(ctx, AgentConfig{Name: name, Args: append(args, "-join="+e.LB.Gossip)})
	return err
}

// Answered waits until clients are answered by these, and by no one else, and says so.
func (e *Example) Answered(ctx context.Context, load *Load, names ...string) error {
	err := load.AnsweredBy(ctx, names...)
	if err == nil {
		e.Say("Clients are answered by %s.", strings.Join(names, ", "))
	}
	return err
}

// WriteFirst has gossip-lbsync write its file for a balancer that does not start without.
func (s *Stage) WriteFirst(ctx context.Context, config string) error {
	r, err := s.Run(ctx, nil, "gossip-lbsync", "once", "-no-reload", "-config", config)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("gossip-lbsync once: exit code %d: %s", r.Code, r.Stderr)
	}
	return err
}

// Follow starts gossip-lbsync and waits until all its targets are in step.
func (s *Stage) Follow(ctx context.Context, config string) error {
	if _, err := s.Start("gossip-lbsync", "gossip-lbsync", "run", "-config", config); err != nil {
		return err
	}
	return s.InStep(ctx, config)
}
