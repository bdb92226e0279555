package agent

import (
	"context"
	"errors"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/peer"
)

// The kinds of requests that agents of ours send each other. Numbers are never used again for something else.
const (
	kindReceipt uint8 = 1 // what became of a user event: receipt.ID, receipt.Receipt
	kindTrail   uint8 = 2 // what happened to a member: trail.Question, trail.Page
	kindHealth  uint8 = 3 // how the other agent is, and sees us: nothing, doctor.Health
)

// delegateOurs is the delegate protocol from which a member knows our extensions; Serf's ends before.
const delegateOurs = 6

// streamWait is how long a connection to a member and its answer may take.
const streamWait = 3 * time.Second

// openPeers makes the channel to other agents. It answers once the gossip under it runs.
func (a *Agent) openPeers() {
	a.peers = peer.New(peer.Config{Self: a.cfg.NodeName, Find: a.findPeer, Log: a.logs.Logger("peer")})
	a.peers.Handle(kindReceipt, a.answerReceipt)
	a.peers.Handle(kindTrail, a.answerTrail)
	a.peers.Handle(kindHealth, a.answerHealth)
	// Registered before gossip, so that it stops after it: to end the network ends what is being sent.
	a.onStop("peers", func(context.Context) error {
		a.peers.Stop()
		return nil
	})
}

func (a *Agent) findPeer(name string) (peer.Member, bool) {
	m, ok := a.view.Load().Member(name)
	if !ok {
		return peer.Member{}, false
	}
	return peer.Member{Addr: m.AddrPort(), Ours: m.DelegateMax >= delegateOurs}, true
}

// askSomehow asks by UDP, and if that stays without an answer, by TCP.
func (a *Agent) askSomehow(ctx context.Context, name string, kind uint8, body []byte, o peer.Options) (peer.Reply, error) {
	r, err := a.peers.Ask(ctx, name, kind, body, o)
	if !errors.Is(err, peer.ErrSilent) || ctx.Err() != nil {
		return r, err
	}
	o.ByStream, o.AnswerByStream, o.Tries, o.Wait = true, true, 1, streamWait
	ctx, cancel := context.WithTimeout(ctx, streamWait)
	defer cancel()
	if r, err2 := a.peers.Ask(ctx, name, kind, body, o); err2 == nil {
		return r, nil
	}
	return r, err
}
