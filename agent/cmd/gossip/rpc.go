package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// rpcOptions say where the agent is.
type rpcOptions struct {
	cli        *cli
	addr, auth string
}

// rpcFlags defines -rpc-addr and -rpc-auth. What they leave open the environment tells.
func (c *cli) rpcFlags(fs *flag.FlagSet) *rpcOptions {
	o := &rpcOptions{cli: c}
	fs.StringVar(&o.addr, "rpc-addr", "", "`HOST:PORT` of the agent's RPC (default $GOSSIP_RPC_ADDR, $SERF_RPC_ADDR, else "+api.DefaultAddr+")")
	fs.StringVar(&o.auth, "rpc-auth", "", "`TOKEN` of the agent's RPC (default $GOSSIP_RPC_AUTH, else $SERF_RPC_AUTH)")
	return o
}

// config says where the agent is, and what to tell it.
func (o *rpcOptions) config() client.Config {
	return client.Config{
		Addr:    cmp.Or(o.addr, o.cli.getenv("GOSSIP_RPC_ADDR"), o.cli.getenv("SERF_RPC_ADDR"), api.DefaultAddr),
		AuthKey: cmp.Or(o.auth, o.cli.getenv("GOSSIP_RPC_AUTH"), o.cli.getenv("SERF_RPC_AUTH")),
	}
}

// dialAgent connects to the agent.
func dialAgent(ctx context.Context, cfg client.Config) (*client.Client, error) {
	cl, err := client.Dial(ctx, cfg)
	switch {
	case err == nil:
		return cl, nil
	case errors.Is(err, client.ErrAuth):
		err = withAuthHint(err)
	case errors.As(err, new(*net.AddrError)):
		err = fmt.Errorf("%w (write -rpc-addr or GOSSIP_RPC_ADDR as HOST:PORT)", err)
	default:
		err = fmt.Errorf("%w (does one run there? name another with -rpc-addr or GOSSIP_RPC_ADDR)", err)
	}
	return nil, failed("Error connecting to gossip agent", err)
}

// with is withAgent for the agent that the flags and the environment name.
func (o *rpcOptions) with(ctx context.Context, f func(*client.Client) error) error {
	return withAgent(ctx, o.config(), f)
}

// withAgent connects, calls f and closes the connection. An agent that wants a token says so only now.
func withAgent(ctx context.Context, cfg client.Config, f func(*client.Client) error) error {
	cl, err := dialAgent(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }() // nothing is left unsaid
	err = f(cl)
	if errors.Is(err, client.ErrAuth) {
		return withAuthHint(err)
	}
	return err
}

func withAuthHint(err error) error {
	return fmt.Errorf("%w (give the agent's rpc_auth with -rpc-auth or GOSSIP_RPC_AUTH)", err)
}
