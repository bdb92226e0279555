// Package cli speaks with a running HAProxy over its stats socket, which HAProxy calls the Runtime API: one
// line of commands for each connection, bounded in time and size; replies told apart into success and kinds of
// failure; and what the `show` commands print, parsed by its header, since columns differ between versions.
// It knows nothing of desired servers. The rules are from the lbsync design, section 2.1, where each was tried
// with the real program.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrNotRunning means that nobody listens on the socket.
	ErrNotRunning = errors.New("nobody listens")
	// ErrSilent means that HAProxy accepted a connection and did not answer in time, or hung up half-way. What
	// was sent may or may not have been done. A socket serves ten clients at a time; further ones wait.
	ErrSilent = errors.New("no complete answer")
	// ErrDenied means that the socket may not be used by this user, or is not of level admin.
	ErrDenied = errors.New("permission denied")
)

const (
	// DefaultTimeout bounds one exchange.
	DefaultTimeout = 2 * time.Second

	// maxReply bounds what is read, in bytes; a server's row in `show stat` has about 400.
	maxReply = 64 << 20
	// maxLine is what HAProxy takes on one line, tune.bufsize at its default, with some room.
	maxLine = 15 << 10
)

// Client sends commands to one stats socket. It may be used by several goroutines.
type Client struct {
	network, address string
	timeout          time.Duration
	// hangUp closes our half of the connection after the line: only then does a master hang up after its answer.
	hangUp bool
}

// NewMaster returns a client of the master process's socket at path.
func NewMaster(path string, timeout time.Duration) *Client {
	return &Client{network: "unix", address: path, timeout: timeout, hangUp: true}
}

// New returns a client of the socket at address, a path, unix:///path or host:port. It does not connect yet.
// An exchange takes at most timeout; 0 is DefaultTimeout.
func New(address string, timeout time.Duration) *Client {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		return &Client{network: "unix", address: path, timeout: timeout}
	}
	if _, _, err := net.SplitHostPort(address); err == nil && !strings.Contains(address, "/") {
		return &Client{network: "tcp", address: address, timeout: timeout}
	}
	return &Client{network: "unix", address: address, timeout: timeout}
}

// Do sends the commands on one line over a connection of its own and returns the whole reply. They are
// executed by one process, one after another, even if one of them fails. The error is ErrNotRunning,
// ErrSilent or ErrDenied, or that of a command that cannot be sent.
func (c *Client) Do(ctx context.Context, commands ...Command) (string, error) {
	line, err := join(commands)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, c.network, c.address)
	if err != nil {
		return "", c.failed(err)
	}
	defer func() { _ = conn.Close() }() // the reply was read, or is given up
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", c.failed(err)
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && c.hangUp {
		if err := half.CloseWrite(); err != nil {
			return "", c.failed(err)
		}
	}
	reply, err := io.ReadAll(io.LimitReader(conn, maxReply+1))
	switch {
	case err != nil:
		return "", c.failed(err)
	case len(reply) > maxReply:
		return "", fmt.Errorf("haproxy at %s: %w: more than %d bytes", c.address, ErrSilent, maxReply)
	case len(reply) == 0:
		return "", fmt.Errorf("haproxy at %s: %w: it hung up", c.address, ErrSilent)
	}
	return string(reply), nil
}

// failed sorts an error of dialling, writing or reading.
func (c *Client) failed(err error) error {
	kind := ErrSilent
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		kind = ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		kind = ErrDenied
	}
	return fmt.Errorf("haproxy at %s: %w: %w", c.address, kind, err)
}

// Query sends commands that only show something, and returns the reply of each, without the blank line that
// ends it.
func (c *Client) Query(ctx context.Context, commands ...Command) ([]string, error) {
	reply, err := c.Do(ctx, commands...)
	if err != nil {
		return nil, err
	}
	replies := Split(reply)
	if len(replies) != len(commands) || !strings.HasSuffix(reply, "\n\n") {
		return nil, fmt.Errorf("haproxy at %s: %w: %d replies to %d commands", c.address, ErrSilent, len(replies), len(commands))
	}
	return replies, nil
}

// Change sends commands of which none but the last may be DelServer, and none but the first WaitRemovable, and returns the first failure, a
// *RefusedError, or an error of Do. The commands after one that failed were tried, too.
func (c *Client) Change(ctx context.Context, commands ...Command) error {
	reply, err := c.Do(ctx, commands...)
	if err != nil {
		return err
	}
	replies := Split(reply)
	if len(replies) > 0 && commands[0].verb == verbWait { // what it says differs, and what follows tells all
		commands, replies = commands[1:], replies[len(replies)-1:]
	}
	for i, command := range commands {
		if i >= len(replies) {
			return fmt.Errorf("haproxy at %s: %w: %d replies to %d commands", c.address, ErrSilent, len(replies), len(commands))
		}
		if kind := Classify(replies[i]); kind != OK {
			return &RefusedError{Command: command, Kind: kind, Reply: replies[i]}
		}
	}
	if len(replies) > len(commands) {
		return &RefusedError{Command: commands[len(commands)-1], Kind: Unknown, Reply: strings.Join(replies[len(commands):], "; ")}
	}
	return nil
}

// Split cuts a reply to several commands into one for each. A blank line ends each of them, so that success
// without a word is an empty reply.
func Split(reply string) []string {
	var replies []string
	for reply != "" {
		if rest, ok := strings.CutPrefix(reply, "\n"); ok {
			replies, reply = append(replies, ""), rest
			continue
		}
		one, rest, _ := strings.Cut(reply, "\n\n")
		replies, reply = append(replies, strings.TrimSuffix(one, "\n")), rest
	}
	return replies
}
