package haproxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// A master that is just starting may accept a connection and never answer; then asking again helps.
const (
	askLimit   = time.Second      // for questions
	replyLimit = 10 * time.Second // for the answer to reload, which comes when it is done
)

// poll is the pause between two looks at what a master or a worker says.
const poll = 20 * time.Millisecond

// Reload tells the master process behind the socket to load its configuration anew, and waits until that
// has verifiably happened or failed, or ctx ends. The old worker goes on if it failed. The error is
// reload.ErrNotRunning if nobody is behind the socket.
//
// HAProxy 2.7 and later say Success=1 or Success=0. Earlier ones close the connection without a word; then
// the list of processes tells: a new worker, or a count of failures that grew.
func Reload(ctx context.Context, socket string) error {
	before, err := processes(ctx, socket)
	for errors.Is(err, cli.ErrSilent) { // it is just starting
		if err := pause(ctx); err != nil {
			return fmt.Errorf("haproxy's master at %s does not say which workers it has: %w", socket, err)
		}
		before, err = processes(ctx, socket)
	}
	if err != nil {
		return err
	}
	reply, err := cli.NewMaster(socket, replyLimit).Do(ctx, cli.Reload())
	if err != nil && !errors.Is(err, cli.ErrSilent) {
		return running(err)
	}
	switch {
	case strings.Contains(reply, "Success=1"):
		return nil
	case strings.Contains(reply, "Success=0"):
		return fmt.Errorf("haproxy refused to reload: %s", command.Reason(reply))
	case strings.TrimSpace(reply) != "":
		return fmt.Errorf("haproxy's master answered to reload: %s", command.Reason(reply))
	}
	for {
		// While the master starts itself anew its socket may refuse or fall silent for a moment.
		now, err := processes(ctx, socket)
		if err == nil {
			for _, pid := range now.Workers {
				if !before.Has(pid) {
					return nil
				}
			}
			if now.Failed > before.Failed {
				return errors.New("haproxy failed to reload and goes on with the old configuration; its log says why")
			}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("haproxy has no new worker: %w", err)
		}
	}
}

// pause waits a little before something is asked again.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(poll):
		return nil
	}
}

// processes asks the master which processes there are.
func processes(ctx context.Context, socket string) (cli.Processes, error) {
	reply, err := cli.NewMaster(socket, askLimit).Do(ctx, cli.ShowProcesses())
	if err != nil {
		return cli.Processes{}, running(err)
	}
	p, err := cli.ParseProcesses(reply)
	if err != nil {
		return p, fmt.Errorf("the socket %s is not that of haproxy's master: %w", socket, err)
	}
	return p, nil
}

// running makes the one error that the core must know of the client's.
func running(err error) error {
	if errors.Is(err, cli.ErrNotRunning) {
		return fmt.Errorf("%w: %w", reload.ErrNotRunning, err)
	}
	return err
}
