package gossip

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/go-metrics"
	"github.com/hashicorp/memberlist"

	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// delegate is Gossip as memberlist sees it. Its methods are called from memberlist's goroutines, those about
// nodes with memberlist's lock held: they copy, post and return.
type delegate Gossip

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
	_ memberlist.PingDelegate     = (*delegate)(nil)
)

// NodeMeta returns the encoded tags.
func (d *delegate) NodeMeta(limit int) []byte {
	meta := *d.meta.Load()
	if len(meta) > limit {
		// UpdateMeta and the configuration check the size, so this cannot be reached with the limit
		// that memberlist has; an empty meta is what every peer can still read.
		return nil
	}
	return meta
}

// NotifyMsg takes one gossiped or direct message. memberlist reuses buf.
func (d *delegate) NotifyMsg(buf []byte) {
	if len(buf) == 0 {
		return
	}
	metrics.AddSample([]string{"serf", "msgs", "received"}, float32(len(buf)))
	if wire.IsDirect(buf) {
		if d.cfg.Direct != nil {
			d.cfg.Direct(buf)
		}
		return
	}
	if d.seen.has(buf) {
		return
	}
	raw := bytes.Clone(buf)
	msgs := [][]byte{raw}
	if wire.Type(raw[0]) == wire.TypeBatch {
		var err error
		if msgs, err = wire.SplitBatch(raw); err != nil {
			d.cfg.Log.Warn("dropping messages that cannot be decoded", "err", err)
			return
		}
		msgs = slices.DeleteFunc(msgs, d.seen.has)
	}
	inputs := make([]state.Input, 0, len(msgs))
	for _, raw := range msgs {
		msg, err := wire.Decode(raw)
		if err != nil {
			d.cfg.Log.Warn("dropping a message that cannot be decoded", "err", err)
			continue
		}
		inputs = append(inputs, state.Receive{Msg: msg, Raw: raw})
	}
	d.cfg.Inbox.Post(inputs...)
}

// GetBroadcasts fills a packet.
func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	msgs := d.queues.drain(overhead, limit)
	for _, msg := range msgs {
		metrics.AddSample([]string{"serf", "msgs", "sent"}, float32(len(msg)))
	}
	return msgs
}

// LocalState returns our half of a push/pull.
func (d *delegate) LocalState(bool) []byte { return d.cfg.Inbox.LocalState() }

// MergeRemoteState takes the peer's half of a push/pull.
func (d *delegate) MergeRemoteState(buf []byte, join bool) {
	remote, err := wire.DecodePushPull(buf)
	if err != nil {
		d.cfg.Log.Error(err.Error())
		return
	}
	d.cfg.Inbox.Post(state.RemoteState{State: remote, IgnoreOld: join && d.ignoreOld.Load() > 0})
}

// NotifyJoin tells that a node is alive that was not.
func (d *delegate) NotifyJoin(n *memberlist.Node) {
	d.roster.put(n)
	d.courier.heard()
	d.cfg.Inbox.Post(state.NodeJoin{Node: node(n)})
}

// NotifyLeave tells that a node is dead or has left.
func (d *delegate) NotifyLeave(n *memberlist.Node) {
	d.roster.remove(n.Name)
	d.courier.heard()
	d.cfg.Inbox.Post(state.NodeLeave{Node: node(n)})
}

// NotifyUpdate tells that a node has another address, meta or version.
func (d *delegate) NotifyUpdate(n *memberlist.Node) {
	d.roster.put(n)
	d.courier.heard()
	d.cfg.Inbox.Post(state.NodeUpdate{Node: node(n)})
}

// NotifyConflict tells that two nodes claim one name.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.cfg.Inbox.Post(state.NameConflict{Existing: node(existing), Other: node(other)})
}

// AckPayload returns what to add to the answer to a probe. It is added as often as Serf does, not to each of our more
// frequent probes, of whose bytes it would be half.
func (d *delegate) AckPayload() []byte {
	now, last := time.Now().UnixNano(), d.payload.Load()
	if now-last < int64(d.payloadPause) || !d.payload.CompareAndSwap(last, now) {
		return nil
	}
	return d.cfg.Ping.AckPayload()
}

// NotifyPingComplete tells how long a probe took.
func (d *delegate) NotifyPingComplete(other *memberlist.Node, rtt time.Duration, payload []byte) {
	d.cfg.Ping.PingComplete(other.Name, rtt, payload)
}

func node(n *memberlist.Node) state.Node {
	addr, _ := netip.AddrFromSlice(n.Addr) // an odd length gives the zero address, which nothing answers at
	return state.Node{
		Name:        n.Name,
		Addr:        addr,
		Port:        n.Port,
		Meta:        bytes.Clone(n.Meta),
		ProtocolMin: n.PMin, ProtocolMax: n.PMax, ProtocolCur: n.PCur,
		DelegateMin: n.DMin, DelegateMax: n.DMax, DelegateCur: n.DCur,
	}
}
