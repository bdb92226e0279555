package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
)

// ErrEncryptionOff says that the agent has no keyring.
var ErrEncryptionOff = errors.New("gossip is not encrypted")

// ErrKeyInUse says that nodes encrypt with the key.
var ErrKeyInUse = errors.New("the key is the primary one, which nodes encrypt with")

// ErrNoSuchKey says that no node has a key of this fingerprint.
var ErrNoSuchKey = errors.New("no node has the key")

// Keyring is what the nodes of the cluster have on their keyrings.
type Keyring struct {
	Nodes   int            // how many were asked
	Keys    map[string]int // fingerprint to the number of nodes that have the key
	Primary map[string]int // fingerprint to the number of nodes that encrypt with the key; empty if the agent does not say
	secrets map[string]string
}

// Sole returns the key that every node that told encrypts with; false if the agent does not say, or nodes differ.
func (k Keyring) Sole() (id string, ok bool) {
	for id = range k.Primary {
		return id, len(k.Primary) == 1
	}
	return "", false
}

// NodesError says which nodes did not do as they were told with a key. The other nodes did.
type NodesError struct {
	Done, Nodes int
	Reasons     map[string]string // by node name; nodes that did not answer are not in it
}

// silent returns how many nodes did not answer.
func (e *NodesError) silent() int { return e.Nodes - e.Done - len(e.Reasons) }

func (e *NodesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d nodes did so", e.Done, e.Nodes)
	nodes := make([]string, 0, len(e.Reasons))
	for node := range e.Reasons {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		fmt.Fprintf(&b, "\n  - %s: %s", node, e.Reasons[node])
	}
	if silent := e.silent(); silent > 0 {
		fmt.Fprintf(&b, "\n  - %d did not answer", silent)
	}
	return b.String()
}

// Keyring asks every node which keys it has.
func (a *Agent) Keyring(ctx context.Context) (Keyring, error) {
	var ring Keyring
	err := a.read(ctx, "list the keys", func(ctx context.Context, c *client.Client) (err error) {
		ring, err = listKeys(ctx, c)
		return err
	})
	return ring, err
}

func listKeys(ctx context.Context, c *client.Client) (Keyring, error) {
	resp, err := c.ListKeys(ctx)
	ring := Keyring{Nodes: resp.NumNodes, Keys: map[string]int{}, Primary: map[string]int{}, secrets: map[string]string{}}
	if err := judge(resp, err); err != nil {
		return ring, err
	}
	for key, nodes := range resp.Keys {
		id, err := keyid.Of(key)
		if err != nil {
			continue // no agent installs such a key
		}
		ring.Keys[id], ring.secrets[id] = nodes, key
	}
	for key, nodes := range resp.PrimaryKeys {
		if id, err := keyid.Of(key); err == nil {
			ring.Primary[id] = nodes
		}
	}
	return ring, nil
}

// judge makes an error of a refusal that tells what is wrong. Nodes that did not answer may do so the next time: the agent
// asks them by a query, whose answers come too late where machines are slow, and get lost where networks are.
func judge(resp api.KeyResponse, err error) error {
	for _, message := range resp.Messages {
		if strings.Contains(message, "encryption not enabled") && resp.NumErr >= resp.NumResp {
			return finalError{ErrEncryptionOff}
		}
	}
	var refusal *client.RemoteError
	if !errors.As(err, &refusal) || resp.NumNodes == 0 {
		return err
	}
	nodes := &NodesError{Done: resp.NumResp - resp.NumErr, Nodes: resp.NumNodes, Reasons: resp.Messages}
	if nodes.silent() > 0 {
		return nodes
	}
	return finalError{nodes}
}

// InstallKey gives a key, in standard base64, to every node. It may be repeated. On a [*NodesError] some have it.
func (a *Agent) InstallKey(ctx context.Context, key string) error {
	return a.changeKeys(ctx, "install the key", func(ctx context.Context, c *client.Client) error {
		return judge(c.InstallKey(ctx, key))
	})
}

// UseKey makes every node encrypt with an installed key.
func (a *Agent) UseKey(ctx context.Context, id string) error {
	return a.changeKnown(ctx, "make the key the primary one", id, func(ctx context.Context, c *client.Client, _ Keyring, key string) error {
		return judge(c.UseKey(ctx, key))
	})
}

// Reinstall gives a key that some nodes have to all of them.
func (a *Agent) Reinstall(ctx context.Context, id string) error {
	return a.changeKnown(ctx, "install the key", id, func(ctx context.Context, c *client.Client, _ Keyring, key string) error {
		return judge(c.InstallKey(ctx, key))
	})
}

// RemoveKey takes a key off every node. A key that nobody has is [ErrNoSuchKey].
func (a *Agent) RemoveKey(ctx context.Context, id string) error {
	return a.changeKnown(ctx, "remove the key", id, func(ctx context.Context, c *client.Client, ring Keyring, key string) error {
		if ring.Primary[id] > 0 {
			return finalError{ErrKeyInUse}
		}
		resp, err := c.RemoveKey(ctx, key)
		for _, message := range resp.Messages {
			if strings.Contains(message, "primary key is not allowed") { // memberlist's words, from every kind of agent
				return finalError{ErrKeyInUse}
			}
		}
		return judge(resp, err)
	})
}

// changeKnown is changeKeys for a key that is known by its fingerprint: fn gets the keyrings and the key itself.
func (a *Agent) changeKnown(ctx context.Context, op, id string, fn func(context.Context, *client.Client, Keyring, string) error) error {
	return a.changeKeys(ctx, op, func(ctx context.Context, c *client.Client) error {
		ring, err := listKeys(ctx, c)
		if err != nil {
			return err
		}
		key, ok := ring.secrets[id]
		if !ok {
			return finalError{ErrNoSuchKey}
		}
		return fn(ctx, c, ring, key)
	})
}

// changeKeys runs a change of the keyrings, one at a time, and again after a failure of the network or where nodes did not
// answer: each leads to the same end however often it is made.
func (a *Agent) changeKeys(ctx context.Context, op string, fn func(context.Context, *client.Client) error) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.read(ctx, op, fn)
}
