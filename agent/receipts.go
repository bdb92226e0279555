package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/peer"
	"github.com/seed-645ce708/gossip/agent/internal/receipt"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

const (
	defaultReceiptWait = 10 * time.Second
	// Members are asked again and again, at first after receiptPause, and more and more seldom.
	receiptPause, maxReceiptPause = 10 * time.Millisecond, 500 * time.Millisecond
	receiptAnswer                 = 500 * time.Millisecond // how long to wait for one answer
)

// answerReceipt tells another agent what became of an event here.
func (a *Agent) answerReceipt(_ string, body []byte, room int) ([]byte, error) {
	id, err := receipt.DecodeID(body)
	if err != nil {
		return nil, err
	}
	// An asker that left little room asks again with more; there is no answer longer than a packet.
	return a.receipts.Find(id).Encode(max(room, peer.MaxPacket-len(a.cfg.NodeName)-64))
}

// EventReceipts sends a user event and asks all live members what became of it, until it is known of all of them or the
// time is over. An error means that the event was not sent.
func (a *Agent) EventReceipts(ctx context.Context, req api.EventReceiptsRequest) (api.EventReceiptsResponse, error) {
	wait := req.Wait
	if wait <= 0 {
		wait = defaultReceiptWait
	}
	ctx, cancel := context.WithTimeout(ctx, min(wait, api.MaxReceiptWait))
	defer cancel()
	defer context.AfterFunc(a.life, cancel)()

	start, snap := time.Now(), a.view.Load()
	e, err := a.core.UserEvent(ctx, state.UserEvent{Name: req.Name, Payload: req.Payload, Coalesce: req.Coalesce})
	if err != nil {
		return api.EventReceiptsResponse{}, err
	}
	resp := api.EventReceiptsResponse{LTime: uint64(e.LTime), OK: true}
	for _, m := range snap.Members {
		if m.Status == view.StatusAlive {
			resp.Receipts = append(resp.Receipts, api.EventReceipt{Node: m.Name})
		}
	}
	id := receipt.IDOf(e)
	var asking sync.WaitGroup
	for i := range resp.Receipts {
		asking.Go(func() { a.awaitReceipt(ctx, start, id, &resp.Receipts[i]) })
	}
	asking.Wait()
	resp.Took = time.Since(start)
	for _, r := range resp.Receipts {
		resp.OK = resp.OK && acceptable(r.Status)
	}
	return resp, nil
}

// acceptable tells statuses that are no reason for concern.
func acceptable(status string) bool {
	return slices.Contains([]string{
		api.ReceiptOK, api.ReceiptNoHandler, api.ReceiptSuperseded, api.ReceiptGone, api.ReceiptUnknown,
	}, status)
}

// awaitReceipt asks one member until it is done with the event or ctx ends.
func (a *Agent) awaitReceipt(ctx context.Context, start time.Time, id receipt.ID, out *api.EventReceipt) {
	defer func() { out.Took = time.Since(start) }()
	out.Status = api.ReceiptSilent
	for pause := receiptPause; ; pause = min(2*pause, maxReceiptPause) {
		if m, ok := a.view.Load().Member(out.Node); !ok || m.Status != view.StatusAlive {
			out.Status = api.ReceiptGone
			return
		}
		reply, err := a.askSomehow(ctx, out.Node, kindReceipt, id.Encode(), peer.Options{Tries: 1, Wait: receiptAnswer})
		if errors.Is(err, peer.ErrStock) || errors.Is(err, peer.ErrUnknownKind) {
			out.Status = api.ReceiptUnknown
			return
		}
		if err == nil {
			r, err := receipt.Decode(reply.Body)
			if err != nil {
				a.log.Debug("a member's receipt makes no sense", "member", out.Node, "err", err)
				out.Status = api.ReceiptUnknown
				return
			}
			fillReceipt(out, r)
			if r.Final() {
				return
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// fillReceipt says in the terms of RPC what a member said.
func fillReceipt(out *api.EventReceipt, r receipt.Receipt) {
	out.Handlers, out.More = nil, r.More
	for _, run := range r.Runs {
		out.Handlers = append(out.Handlers, api.HandlerRun{
			Command: run.Command, State: string(run.State), Exit: run.Exit, Error: run.Error, Took: run.Took,
		})
	}
	switch {
	case r.Phase == receipt.Unheard:
		out.Status = api.ReceiptMissing
	case r.Phase == receipt.Waiting:
		out.Status = api.ReceiptWaiting
	case r.Phase == receipt.Superseded:
		out.Status = api.ReceiptSuperseded
	case r.Phase == receipt.Lost:
		out.Status = api.ReceiptLost
	case r.Failed():
		out.Status = api.ReceiptFailed
	case !r.Final():
		out.Status = api.ReceiptRunning
	case len(r.Runs) == 0:
		out.Status = api.ReceiptNoHandler
	default:
		out.Status = api.ReceiptOK
	}
}
