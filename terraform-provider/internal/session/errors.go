package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-645ce708/gossip/agent/client"
)

// ErrUnknownAddress says that the agent's address depends on something that does not exist yet.
var ErrUnknownAddress = errors.New("the agent's address is not known yet")

// notSentError marks a failure before anything was sent that could change the agent or its cluster.
type notSentError struct{ error }

func (e notSentError) Unwrap() error { return e.error }

// finalError marks a failure that asking again would not change, other than an agent's refusal.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// WrongClusterError says that the agent is of another cluster than was meant.
type WrongClusterError struct {
	Want, Got string // Got is "" for an agent whose cluster has no name, or that does not tell
}

func (e *WrongClusterError) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("the agent says of no cluster that it belongs to it, where %q is expected; nothing was changed", e.Want)
	}
	return fmt.Sprintf("the agent belongs to the cluster %q and not to %q; nothing was changed", e.Got, e.Want)
}

// Error says what was asked of which agent, and how it failed.
type Error struct {
	Op   string // as in "could not OP"
	Addr string // "" if none is known
	Err  error
}

func (e *Error) Error() string {
	if e.Addr == "" {
		return fmt.Sprintf("could not %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("could not %s at the agent %s: %v", e.Op, e.Addr, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether asking again would fail in the same way: the agent understood and refused, its answer was
// no, or there is nobody to ask.
func (e *Error) Permanent() bool {
	var mark finalError
	_, tls := isTLS(e.Err)
	return e.Refused() || tls || errors.Is(e.Err, ErrUnknownAddress) || errors.As(e.Err, &mark)
}

// NotSent reports whether nothing was sent that could have changed the agent or its cluster.
func (e *Error) NotSent() bool {
	var mark notSentError
	return errors.As(e.Err, &mark) || errors.Is(e.Err, ErrUnknownAddress)
}

// Refused reports whether the agent was reached and said no.
func (e *Error) Refused() bool {
	var refusal *client.RemoteError
	return errors.Is(e.Err, client.ErrAuth) || errors.As(e.Err, &refusal)
}

// Hint says what to do about the error, in a sentence or two.
func (e *Error) Hint() string {
	var (
		refusal *client.RemoteError
		wrong   *WrongNodeError
		nodes   *NodesError
		cluster *WrongClusterError
	)
	tls, _ := isTLS(e.Err)
	switch {
	case errors.As(e.Err, &wrong):
		return "Check `address` in the provider block: with a load balancer in front, each run may reach another agent. To move the " +
			"resource to another node, destroy it first."
	case errors.As(e.Err, &cluster):
		return "Check `address` and `expected_cluster` in the provider block. An agent tells the name that its setting `cluster` gives; " +
			"stock Serf agents have none."
	case tls:
		return "For addresses that begin with tls://, `ca_pem` or `ca_file` says whom to trust, `tls_server_name` which name to expect, and " +
			"`client_cert_...` and `client_key_...` what to show. An agent itself does not speak TLS: something in front of it must."
	case errors.As(e.Err, &nodes):
		return "Check the nodes that are named, with `gossip members` and `gossip keys -list`, and apply again; what has been done already is kept."
	case errors.Is(e.Err, ErrEncryptionOff):
		return "Start the agents with a key: `encrypt` in their configuration, or a `keyring_file`."
	case errors.Is(e.Err, ErrUnsupported):
		return "A stock Serf agent, or an older gossip agent, cannot do this. Point `address` at a gossip agent, or leave out what needs it; " +
			"`features` of the data source gossip_agent tells what an agent can do."
	case errors.Is(e.Err, ErrUnknownAddress):
		return "The provider's address comes from something that this run has yet to create. Create that first with " +
			"`terraform apply -target=...`, or give this data source a `depends_on` on it, so that it is read during apply."
	case errors.Is(e.Err, context.Canceled):
		return "The run was interrupted."
	case errors.Is(e.Err, client.ErrAuth):
		return "Set `token` in the provider block, or GOSSIP_RPC_AUTH, to the rpc_auth of the agent."
	case errors.As(e.Err, &refusal):
		return "The agent was reached and refused."
	case errors.Is(e.Err, context.DeadlineExceeded):
		return "The agent did not answer in time. Check that it is well, or give more time in `timeouts` or `request_timeout`."
	case e.Permanent():
		return ""
	default:
		return "Check that the agent runs, that `address` in the provider block (or GOSSIP_RPC_ADDR) is its RPC address, " +
			"and that it can be reached from here."
	}
}
