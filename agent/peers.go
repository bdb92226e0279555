package agent

import (
	"context"

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
