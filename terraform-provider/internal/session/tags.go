package session

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/seed-645ce708/gossip/agent/client"
)

// WrongNodeError says that another agent answered than was meant.
type WrongNodeError struct{ Want, Got string }

func (e *WrongNodeError) Error() string {
	return fmt.Sprintf("the agent that answers is %s and not %s, so nothing was changed", e.Got, e.Want)
}

// ClobberError says that tags have values of somebody else.
type ClobberError struct {
	Node string
	Tags []string // as KEY=VALUE, sorted
}

func (e *ClobberError) Error() string {
	return fmt.Sprintf("the agent %s has these tags already, with values of somebody else: %s", e.Node, strings.Join(e.Tags, ", "))
}

// Tags returns the name of the agent and its own tags.
func (a *Agent) Tags(ctx context.Context) (node string, tags map[string]string, err error) {
	err = a.read(ctx, "read the agent's tags", func(ctx context.Context, c *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
		defer cancel()
		node, tags, err = ownTags(ctx, c)
		return err
	})
	return node, tags, err
}

func ownTags(ctx context.Context, c *client.Client) (node string, tags map[string]string, err error) {
	stats, err := c.Stats(ctx)
	return stats["agent"]["name"], stats["tags"], err
}

// UpdateTags changes the agent's own tags: it deletes those named in del and sets those in set. check sees the node
// and its tags as they are now, and may refuse; nothing is changed then. The update may be repeated, as it leads to
// the same end.
func (a *Agent) UpdateTags(ctx context.Context, set map[string]string, del []string, check func(node string, tags map[string]string) error) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.read(ctx, "change the agent's tags", func(ctx context.Context, c *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
		defer cancel()
		node, tags, err := ownTags(ctx, c)
		if err != nil {
			return notSentError{err}
		}
		if err := check(node, maps.Clone(tags)); err != nil {
			return notSentError{finalError{err}}
		}
		return c.UpdateTags(ctx, set, del)
	})
}
