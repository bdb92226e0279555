package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// A master that is just starting may accept a connection and never answer; then asking again helps.
const (
	askLimit   = time.Second      // for questions
	replyLimit = 10 * time.Second // for the answer to reload, which comes when it is done
)

// errSilent means that a master hung up or was waited for without an answer.
var errSilent = errors.New("haproxy's master does not answer")

// maxReply bounds what is read from the master socket.
const maxReply = 1 << 20

// Reload tells the master process behind the socket to load its configuration anew, and waits until that
// has verifiably happened or failed, or ctx ends. The old worker goes on if it failed. The error is
// reload.ErrNotRunning if nobody is behind the socket.
//
// HAProxy 2.7 and later say Success=1 or Success=0. Earlier ones close the connection without a word; then
// the list of processes tells: a new worker, or a count of failures that grew.
func Reload(ctx context.Context, socket string) error {
	before, err := procs(ctx, socket)
	for errors.Is(err, errSilent) { // it is just starting
		if err := pause(ctx); err != nil {
			return fmt.Errorf("haproxy's master at %s does not say which workers it has: %w", socket, err)
		}
		before, err = procs(ctx, socket)
	}
	if err != nil {
		return err
	}
	reply, err := ask(ctx, socket, "reload", replyLimit)
	if err != nil && !errors.Is(err, errSilent) {
		return err
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
		now, err := procs(ctx, socket)
		if err == nil {
			for _, pid := range now.workers {
				if !before.has(pid) {
					return nil
				}
			}
			if now.failed > before.failed {
				return errors.New("haproxy failed to reload and goes on with the old configuration; its log says why")
			}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("haproxy has no new worker: %w", err)
		}
	}
}

// pause waits a little before the socket is asked again.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

// ask sends one command to the socket and returns the whole reply. The error is errSilent if that does not
// come within the limit.
func ask(ctx context.Context, socket, cmd string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return "", fmt.Errorf("%w: nobody listens on haproxy's master socket %s", reload.ErrNotRunning, socket)
	}
	if err != nil {
		return "", fmt.Errorf("haproxy's master socket: %w", err)
	}
	defer func() { _ = conn.Close() }() // the reply was read
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, cmd+"\n"); err != nil {
		return "", fmt.Errorf("haproxy's master socket: %w", err)
	}
	// Only the end of what we send makes the master hang up after its answer.
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return "", fmt.Errorf("haproxy's master socket: %w", err)
		}
	}
	reply, err := io.ReadAll(io.LimitReader(conn, maxReply))
	if ctx.Err() != nil {
		return string(reply), errSilent
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // how a master that starts anew hangs up
		return string(reply), fmt.Errorf("haproxy's master socket: %w", err)
	}
	return string(reply), nil
}

// processes is what `show proc` tells.
type processes struct {
	workers []int // current ones
	old     []int // those that finish what they have
	failed  int   // reloads that failed since the last that did not
}

func (p processes) has(pid int) bool {
	for _, list := range [][]int{p.workers, p.old} {
		for _, have := range list {
			if have == pid {
				return true
			}
		}
	}
	return false
}

func procs(ctx context.Context, socket string) (processes, error) {
	reply, err := ask(ctx, socket, "show proc", askLimit)
	if err != nil {
		return processes{}, err
	}
	if strings.TrimSpace(reply) == "" {
		return processes{}, errSilent
	}
	p, ok := parseProcs(reply)
	if !ok {
		return processes{}, fmt.Errorf("the socket %s is not that of haproxy's master; it answered: %s", socket, command.Reason(reply))
	}
	return p, nil
}

// parseProcs reads the reply to `show proc`. False means that it is none.
//
//	#<PID>          <type>          <reloads>       <uptime>        <version>
//	1162            master          5 [failed: 0]   0d00h02m07s     2.6.12
//	# workers
//	1271            worker          1               0d00h00m00s     2.6.12
//	# old workers
//	1233            worker          3               0d00h00m43s     2.6.12
func parseProcs(reply string) (processes, bool) {
	var p processes
	master := false
	section := &p.workers
	for line := range strings.Lines(reply) {
		line = strings.TrimSpace(line)
		switch {
		case line == "# workers":
			section = &p.workers
		case line == "# old workers":
			section = &p.old
		case strings.HasPrefix(line, "# "):
			section = nil // programs, and what later versions may add
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil || pid <= 0 {
			continue
		}
		switch fields[1] {
		case "master":
			master = true
			if _, rest, ok := strings.Cut(line, "[failed:"); ok {
				text, _, _ := strings.Cut(rest, "]")
				if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
					p.failed = n
				}
			}
		case "worker":
			if section != nil {
				*section = append(*section, pid)
			}
		}
	}
	return p, master
}
