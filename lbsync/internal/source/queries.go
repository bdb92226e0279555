package source

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
)

// queryName is the gossip query with which gossip-lbsync speaks to its like.
const queryName = "lbsync-permit"

// Peers speaks with every other gossip-lbsync of the cluster by gossip queries, through an agent of gossip or stock Serf.
type Peers struct{ cfg client.Config }

// Queries returns a way to speak with others through the configured agent.
func Queries(cfg config.Source) *Peers {
	return &Peers{client.Config{Addr: cfg.Address, AuthKey: cfg.Key, Timeout: cfg.Timeout}}
}

// Ask sends the question to all and returns the answers that come within the time, our own process's too if it serves.
func (p *Peers) Ask(ctx context.Context, question []byte, within time.Duration) ([][]byte, error) {
	c, err := client.Dial(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // it never fails
	q, err := c.Query(ctx, api.QueryRequest{Name: queryName, Payload: question, Timeout: within})
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }() // it never fails
	var answers [][]byte
	for {
		select {
		case rec, ok := <-q.C():
			switch {
			case ok && rec.Type == api.QueryRecordResponse:
				answers = append(answers, rec.Payload)
			case ok && rec.Type != api.QueryRecordDone:
			default:
				return answers, q.Err()
			}
		case <-ctx.Done():
			return answers, ctx.Err()
		}
	}
}

// Serve answers the questions of others until the connection ends, with what answer returns; nil is no answer.
func (p *Peers) Serve(ctx context.Context, answer func(question []byte) []byte) error {
	c, err := client.Dial(ctx, p.cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it never fails
	events, err := c.Stream(ctx, "query:"+queryName)
	if err != nil {
		return err
	}
	for {
		select {
		case ev, ok := <-events.C():
			if !ok {
				return fmt.Errorf("the agent ended the stream: %w", events.Err())
			}
			q, isQuery := ev.(*api.QueryEventRecord)
			if !isQuery {
				continue
			}
			if reply := answer(q.Payload); reply != nil {
				if err := c.Respond(ctx, q.ID, reply); err != nil && ctx.Err() == nil {
					return err
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
