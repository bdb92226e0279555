package client

import (
	"context"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
)

// What follows stock Serf agents refuse with ErrUnsupported, and hang up.

// defaultReceiptWait is what an agent waits for receipts if it is not told.
const defaultReceiptWait = 10 * time.Second

// EventReceipts fires a user event and waits until it is known what became of it on the members, at most req.Wait. The
// agent works off nothing else of this Client meanwhile.
func (c *Client) EventReceipts(ctx context.Context, req api.EventReceiptsRequest) (api.EventReceiptsResponse, error) {
	wait := req.Wait
	if wait <= 0 {
		wait = defaultReceiptWait
	}
	var resp api.EventReceiptsResponse
	err := c.slowCall(ctx, wait, api.CommandEventReceipts, req, &resp)
	return resp, err
}

// Why tells what happened to a member as the agent knows it; with all, as every agent of ours does.
func (c *Client) Why(ctx context.Context, node string, all bool) (api.WhyResponse, error) {
	var resp api.WhyResponse
	err := c.slowCall(ctx, slowFactor*c.timeout, api.CommandWhy, api.WhyRequest{Node: node, All: all}, &resp)
	return resp, err
}

// Doctor makes the agent test the network between itself and a member, or every live one if node is empty.
func (c *Client) Doctor(ctx context.Context, node string) (api.DoctorResponse, error) {
	var resp api.DoctorResponse
	err := c.slowCall(ctx, slowFactor*c.timeout, api.CommandDoctor, api.DoctorRequest{Node: node}, &resp)
	return resp, err
}

// slowCall is call for what takes up to wait by its nature.
func (c *Client) slowCall(ctx context.Context, wait time.Duration, command string, req, resp any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait+c.timeout)
		defer cancel()
	}
	return c.call(ctx, command, req, resp)
}
