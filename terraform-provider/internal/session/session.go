// Package session reaches an agent on behalf of the provider. It dials when something is asked and not
// before, keeps to the first address that answered for the whole run, repeats reads that the network lost,
// and never repeats a write that may have arrived. It knows nothing of Terraform but its log.
//
// Every operation has a connection of its own. An agent answers the requests of one connection in order, so
// a join that waits for a dead peer would otherwise hold up everything that Terraform does beside it.
package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
)

// Config says how to reach an agent.
type Config struct {
	Addrs   []string      // as ParseAddress returns them; tried in this order
	TLS     *tls.Config   // for addresses that begin with tls://, which need it
	Cluster string        // the name that the agent's cluster must have; "" means any
	Token   string        // the agent's rpc_auth; "" means none
	Timeout time.Duration // for dialling, and for one request that has no limit of its own
	Retry   Retry
}

// Retry says how often a read, or the dialling before a write, is repeated after a failure of the network. Where nodes did not
// answer the agent, it is repeated besides for as long as one request may take.
type Retry struct {
	Max     int           // repetitions after the first try; 0 means none
	MinWait time.Duration // before the first repetition; doubles from then on
	MaxWait time.Duration // the longest pause
}

// Agent is one agent, or several that know the same cluster. It is safe for concurrent use.
type Agent struct {
	cfg     Config
	unknown bool

	mu     sync.Mutex
	sticky string // the address that answered; "" until one has
	proved bool   // its cluster was found to be the one that is expected

	changing sync.Mutex // held while tags or keyrings change, as Terraform changes up to ten things at a time
}

// New returns an agent that will be dialled at first use.
func New(cfg Config) *Agent { return &Agent{cfg: cfg} }

// Unknown returns an agent whose address is not known yet: everything that is asked of it fails with
// [ErrUnknownAddress].
func Unknown() *Agent { return &Agent{unknown: true} }

// View returns what the agent knows now.
func (a *Agent) View(ctx context.Context) (membership.View, error) {
	var view membership.View
	err := a.read(ctx, "list the members", func(ctx context.Context, c *client.Client) (err error) {
		_, view, err = a.look(ctx, c)
		return err
	})
	return view, err
}

// Stats returns the agent's own figures together with what it knows now.
func (a *Agent) Stats(ctx context.Context) (api.Stats, membership.View, error) {
	var (
		stats api.Stats
		view  membership.View
	)
	err := a.read(ctx, "read the statistics", func(ctx context.Context, c *client.Client) (err error) {
		stats, view, err = a.look(ctx, c)
		return err
	})
	return stats, view, err
}

// look asks for the figures, which tell who the agent is, and for the members.
func (a *Agent) look(ctx context.Context, c *client.Client) (api.Stats, membership.View, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	stats, err := c.Stats(ctx)
	if err != nil {
		return nil, membership.View{}, err
	}
	members, confidence, err := c.View(ctx)
	if err != nil {
		return nil, membership.View{}, err
	}
	view := membership.NewView(stats["agent"]["name"], members)
	view.Doubt = confidence.Doubt()
	view.Quiet = quiet(stats["view"]["last_contact"])
	return stats, view, nil
}

// quiet reads how long ago the agent heard from another member; 0 if it does not say, or never did.
func quiet(text string) time.Duration {
	age, err := time.ParseDuration(strings.TrimSuffix(text, " ago"))
	if err != nil {
		return 0
	}
	return age
}

// PeerResult is how one peer answered a join.
type PeerResult struct {
	Peer string
	Self bool  // the peer is the agent itself, and was not contacted
	Err  error // nil if it was reached
}

// Join makes the agent join each peer in turn, so that each has its own answer. The error is about reaching
// the agent; that some or all peers could not be reached is for the caller to judge.
func (a *Agent) Join(ctx context.Context, peers []string, replay bool) ([]PeerResult, error) {
	var results []PeerResult
	err := a.write(ctx, "join", func(ctx context.Context, c *client.Client) error {
		_, view, err := a.look(ctx, c)
		if err != nil {
			return notSentError{err}
		}
		self, _ := view.Member(view.Observer)
		for _, peer := range peers {
			result := PeerResult{Peer: peer, Self: isSelf(peer, self.Endpoint)}
			if !result.Self {
				n, err := c.Join(ctx, []string{peer}, replay)
				var refusal *client.RemoteError
				switch {
				case errors.As(err, &refusal):
					result.Err = errors.New(firstLine(refusal.Message))
				case err != nil:
					return err
				case n == 0:
					result.Err = errors.New("the agent contacted no host under this address")
				}
			}
			results = append(results, result)
		}
		return nil
	})
	return results, err
}

// Leave makes the agent leave its cluster, after which its process ends.
func (a *Agent) Leave(ctx context.Context) error {
	return a.write(ctx, "leave", func(ctx context.Context, c *client.Client) error { return c.Leave(ctx) })
}

// read runs fn on a fresh connection, and again after a failure of the network, the one between the nodes included.
func (a *Agent) read(ctx context.Context, op string, fn func(context.Context, *client.Client) error) error {
	return a.run(ctx, op, fn, func(*Error) bool { return true })
}

// write runs fn, and again only while nothing that changes anything has been sent.
func (a *Agent) write(ctx context.Context, op string, fn func(context.Context, *client.Client) error) error {
	return a.run(ctx, op, fn, (*Error).NotSent)
}

func (a *Agent) run(ctx context.Context, op string, fn func(context.Context, *client.Client) error, again func(*Error) bool) error {
	if a.unknown {
		return &Error{Op: op, Err: ErrUnknownAddress}
	}
	ctx = tflog.NewSubsystem(ctx, "client")
	if a.cfg.Token != "" { // nothing below logs it; this is for what others may log one day
		ctx = tflog.SubsystemMaskLogStrings(ctx, "client", a.cfg.Token)
	}
	pause := a.cfg.Retry.MinWait
	var silence *Error // the last that tells of nodes which did not answer
	for begin, try := time.Now(), 0; ; try++ {
		start := time.Now()
		addr, err := a.once(ctx, fn)
		fields := map[string]any{"operation": op, "address": addr, "elapsed": time.Since(start).String()}
		if err == nil {
			tflog.SubsystemDebug(ctx, "client", "asked the agent", fields)
			return nil
		}
		failure := &Error{Op: op, Addr: addr, Err: err}
		fields["error"] = err.Error()
		more := try < a.cfg.Retry.Max
		if nodes := (*NodesError)(nil); errors.As(err, &nodes) {
			silence, more = failure, more || time.Since(begin) < a.cfg.Timeout
		}
		if silence != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			failure = silence // says more than that the time is over
		}
		if ctx.Err() != nil || failure.Permanent() || !more || !again(failure) {
			tflog.SubsystemDebug(ctx, "client", "the agent could not be asked", fields)
			return failure
		}
		fields["again_in"] = pause.String()
		tflog.SubsystemDebug(ctx, "client", "the agent could not be asked, will try again", fields)
		select {
		case <-ctx.Done():
			return cmp.Or(silence, failure)
		case <-time.After(pause):
		}
		pause = min(2*pause, a.cfg.Retry.MaxWait)
	}
}

// once tries each address until one can be dialled, and runs fn there. It returns the address it got to.
func (a *Agent) once(ctx context.Context, fn func(context.Context, *client.Client) error) (string, error) {
	addrs := a.addrs()
	var errs []error
	for _, addr := range addrs {
		endpoint, dialer := a.cfg.endpoint(addr)
		c, err := client.Dial(ctx, client.Config{Addr: endpoint, AuthKey: a.cfg.Token, Timeout: a.cfg.Timeout, Dialer: dialer})
		if err != nil {
			if (&Error{Err: err}).Permanent() {
				return addr, notSentError{err}
			}
			errs = append(errs, err)
			continue
		}
		a.keep(addr)
		if err = a.checkCluster(ctx, c); err == nil {
			err = fn(ctx, c)
		}
		_ = c.Close() // the answer is here, or the connection is broken anyway
		return addr, err
	}
	return strings.Join(addrs, ", "), notSentError{errors.Join(errs...)}
}

// checkCluster makes sure, before the first thing is asked, that the agent is of the cluster that is expected.
func (a *Agent) checkCluster(ctx context.Context, c *client.Client) error {
	a.mu.Lock()
	proved := a.proved || a.cfg.Cluster == ""
	a.mu.Unlock()
	if proved {
		return nil
	}
	stats, err := c.Stats(ctx)
	if err != nil {
		return notSentError{err}
	}
	if got := stats["gossip"]["cluster"]; got != a.cfg.Cluster {
		return notSentError{finalError{&WrongClusterError{Want: a.cfg.Cluster, Got: got}}}
	}
	a.mu.Lock()
	a.proved = true
	a.mu.Unlock()
	return nil
}

// addrs returns the addresses to try: all, until one has answered.
func (a *Agent) addrs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sticky != "" {
		return []string{a.sticky}
	}
	return a.cfg.Addrs
}

func (a *Agent) keep(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sticky == "" {
		a.sticky = addr
	}
}

// firstLine cuts an agent's list of errors, which may have many lines, down to its first that says something.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "*"))
		if line != "" && !strings.HasSuffix(line, "occurred:") {
			return line
		}
	}
	return fmt.Sprintf("%q", text)
}
