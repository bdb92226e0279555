package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// ErrUnsupported says that the agent at hand cannot do what was asked, though a newer one, or one of ours, could.
var ErrUnsupported = client.ErrUnsupported

// Event is a user event to fire.
type Event struct {
	Name     string
	Payload  []byte
	Coalesce bool
}

// Fire fires a user event, at most once, and returns the node name of the agent that took it. After an error
// that is neither [Error.Refused] nor [Error.NotSent] the event may or may not have been fired.
func (a *Agent) Fire(ctx context.Context, event Event) (node string, err error) {
	err = a.write(ctx, "fire the event", func(ctx context.Context, c *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
		defer cancel()
		stats, err := c.Stats(ctx)
		if err != nil {
			return notSentError{err}
		}
		node = stats["agent"]["name"]
		return c.UserEvent(ctx, event.Name, event.Payload, event.Coalesce)
	})
	return node, err
}

// FireAndWait fires a user event as [Agent.Fire] does, and waits up to wait until the agent knows what became of
// it on every member. A stock Serf agent refuses with [ErrUnsupported], and fires nothing.
func (a *Agent) FireAndWait(ctx context.Context, event Event, wait time.Duration) (node string, receipts api.EventReceiptsResponse, err error) {
	err = a.write(ctx, "fire the event and wait for receipts", func(ctx context.Context, c *client.Client) error {
		stats, err := c.Stats(ctx)
		if err != nil {
			return notSentError{err}
		}
		node = stats["agent"]["name"]
		receipts, err = c.EventReceipts(ctx, api.EventReceiptsRequest{
			Name: event.Name, Payload: event.Payload, Coalesce: event.Coalesce, Wait: wait,
		})
		return err
	})
	return node, receipts, err
}

// Query is a question to the cluster.
type Query struct {
	Name        string
	Payload     []byte
	FilterNodes []string          // names; empty asks every node
	FilterTags  map[string]string // tag to regular expression, which must match as a whole
	RelayFactor uint8             // how many others relay each answer
	Timeout     time.Duration     // 0 means what the agent takes
}

// Ask asks the cluster, and returns the first answer of each node when the time for answers is over, or as soon as
// each of enough has answered; empty means to wait. heard, if any, is told of each answer as it comes.
func (a *Agent) Ask(ctx context.Context, q Query, enough []string, heard func(node string, payload []byte)) (map[string][]byte, error) {
	answers := map[string][]byte{}
	err := a.write(ctx, fmt.Sprintf("ask the query %q", q.Name), func(ctx context.Context, c *client.Client) error {
		whole := make(map[string]string, len(q.FilterTags))
		for tag, expr := range q.FilterTags { // agents look for a match anywhere in the value
			whole[tag] = "^(?:" + expr + ")$"
		}
		stream, err := c.Query(ctx, api.QueryRequest{
			Name: q.Name, Payload: q.Payload, FilterNodes: q.FilterNodes, FilterTags: whole,
			RelayFactor: q.RelayFactor, Timeout: q.Timeout,
		})
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }() // stopping to listen cannot fail
		missing := make(map[string]bool, len(enough))
		for _, node := range enough {
			missing[node] = true
		}
		for {
			select {
			case record, open := <-stream.C():
				if !open {
					return errors.Join(stream.Err(), errors.New("the agent hung up before the query was over"))
				}
				switch record.Type {
				case api.QueryRecordDone:
					return nil
				case api.QueryRecordResponse:
					if _, double := answers[record.From]; double {
						continue
					}
					answers[record.From] = record.Payload
					if heard != nil {
						heard(record.From, record.Payload)
					}
					if delete(missing, record.From); len(missing) == 0 && len(enough) > 0 {
						return nil
					}
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return answers, err
}
