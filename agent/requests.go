package agent

import (
	"context"
	"errors"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/core"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// View returns where the newest snapshot of the members is found.
func (a *Agent) View() *view.Store { return a.view }

// UserEvent sends a user event to the cluster, ourselves included. With coalesce, receivers may deliver only the
// newest of several events of the name. Name and payload together are limited (user_event_size_limit).
func (a *Agent) UserEvent(name string, payload []byte, coalesce bool) error {
	in := state.UserEvent{Name: name, Payload: payload, Coalesce: coalesce}
	return a.core.Do(context.Background(), in, 0)
}

// ForceLeave makes a failed member one that left, and with prune forgets it at once. It waits until the news is
// on its way, at most the broadcast timeout.
func (a *Agent) ForceLeave(ctx context.Context, node string, prune bool) error {
	a.log.Info("force leaving", "member", node, "prune", prune)
	a.noteForceLeave(node, prune)
	err := a.core.Do(ctx, state.ForceLeave{Name: node, Prune: prune}, a.cfg.BroadcastTimeout)
	if errors.Is(err, core.ErrBroadcast) {
		return errors.New("timed out broadcasting node removal")
	}
	return err
}

// Query asks the cluster and returns what members say, ending with a record of type done. When ctx ends, so
// does the query.
func (a *Agent) Query(ctx context.Context, req api.QueryRequest) (<-chan api.QueryRecord, error) {
	q, err := a.core.Query(ctx, state.Query{
		Name: req.Name, Payload: req.Payload, FilterNodes: req.FilterNodes, FilterTags: req.FilterTags,
		WantAck: req.RequestAck, RelayFactor: req.RelayFactor, Timeout: req.Timeout,
	})
	if err != nil {
		return nil, err
	}
	records := make(chan api.QueryRecord)
	started := a.spawn(func() {
		defer close(records)
		defer q.Cancel()
		for {
			select {
			case answer, open := <-q.Answers:
				if !a.pass(ctx, records, queryRecord(answer, open)) || !open {
					return
				}
			case <-ctx.Done():
				return
			case <-a.life.Done():
				return
			}
		}
	})
	if !started {
		q.Cancel()
		return nil, core.ErrStopped
	}
	return records, nil
}

// queryRecord is an answer as RPC shows it; open tells whether there is one, or the query is over.
func queryRecord(answer core.Answer, open bool) api.QueryRecord {
	switch {
	case !open:
		return api.QueryRecord{Type: api.QueryRecordDone}
	case answer.Ack:
		return api.QueryRecord{Type: api.QueryRecordAck, From: answer.From}
	default:
		return api.QueryRecord{Type: api.QueryRecordResponse, From: answer.From, Payload: answer.Payload}
	}
}

// pass hands on a record unless nobody waits for it any more.
func (a *Agent) pass(ctx context.Context, records chan<- api.QueryRecord, r api.QueryRecord) bool {
	select {
	case records <- r:
		return true
	case <-ctx.Done():
	case <-a.life.Done():
	}
	return false
}
