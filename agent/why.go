package agent

import (
	"context"
	"io"
	"log"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/gossip"
	"github.com/seed-645ce708/gossip/agent/internal/peer"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/trail"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// maxStory bounds the entries that one answer tells: the newest.
const maxStory = 4096

// notedInbox notes the intents that come by.
type notedInbox struct {
	gossip.Inbox
	trail *trail.Trail
}

// Post hands on what it notes.
func (n notedInbox) Post(in ...state.Input) {
	for _, in := range in {
		if r, ok := in.(state.Receive); ok {
			noteIntent(n.trail, r.Msg)
		}
	}
	n.Inbox.Post(in...)
}

// notedNetwork notes the intents that we announce ourselves.
type notedNetwork struct {
	*gossip.Gossip
	trail *trail.Trail
}

// Broadcast hands on what it notes.
func (n notedNetwork) Broadcast(q state.Queue, msg []byte, sent chan<- struct{}) {
	if q == state.QueueIntent {
		if m, err := wire.Decode(msg); err == nil {
			noteIntent(n.trail, m)
		}
	}
	n.Gossip.Broadcast(q, msg, sent)
}

func noteIntent(t *trail.Trail, m wire.Message) {
	switch m := m.(type) {
	case *wire.Join:
		t.Intent(time.Now(), m.Node, trail.IntentIn, m.LTime, "")
	case *wire.Leave:
		text := ""
		if m.Prune {
			text = "to be forgotten at once"
		}
		t.Intent(time.Now(), m.Node, trail.IntentGo, m.LTime, text)
	}
}

// memberlistLog is where memberlist logs: what it says of members is evidence.
func (a *Agent) memberlistLog() *log.Logger {
	return log.New(io.MultiWriter(lineNoter{a.trail}, a.logs.Writer()), "", 0)
}

type lineNoter struct{ trail *trail.Trail }

// Write takes one line, as package log writes it.
func (n lineNoter) Write(p []byte) (int, error) {
	n.trail.Line(time.Now(), string(p))
	return len(p), nil
}

func (a *Agent) noteForceLeave(node string, prune bool) {
	if _, known := a.view.Load().Member(node); !known {
		return
	}
	text := "over RPC"
	if prune {
		text += ", to be forgotten at once"
	}
	a.trail.Note(time.Now(), node, trail.Asked, text)
}

// answerTrail tells another agent what we remember of a member.
func (a *Agent) answerTrail(_ string, body []byte, room int) ([]byte, error) {
	q, err := trail.DecodeQuestion(body)
	if err != nil {
		return nil, err
	}
	return a.trail.Page(time.Now(), q, room)
}

// Why tells what happened to a member, as we remember it, or all agents of ours together.
func (a *Agent) Why(ctx context.Context, req api.WhyRequest) (api.WhyResponse, error) {
	snap := a.view.Load()
	resp := api.WhyResponse{}
	if m, ok := snap.Member(req.Node); ok {
		mark := snap.Marks[m.Name]
		resp = api.WhyResponse{
			Known: true, Addr: m.AddrPort().String(), Status: m.Status.String(), Since: unixNano(mark.Since),
			Note: mark.Reason, Damped: mark.Suppressed, Until: unixNano(mark.Until), Serf: m.DelegateMax < delegateOurs,
		}
	}
	witnesses := []string{a.cfg.NodeName}
	if req.All {
		for _, m := range snap.Members {
			if m.Status == view.StatusAlive && m.Name != a.cfg.NodeName {
				witnesses = append(witnesses, m.Name)
			}
		}
	}
	stories := make([]testimony, len(witnesses))
	var asking sync.WaitGroup
	for i, name := range witnesses {
		asking.Go(func() { stories[i] = a.askWhy(ctx, name, req.Node) })
	}
	asking.Wait()
	if resp.Since == 0 && resp.Known {
		resp.Since = lastChange(stories[0].entries)
	}
	for _, s := range stories {
		resp.Witnesses = append(resp.Witnesses, s.Witness)
		resp.Entries = append(resp.Entries, s.entries...)
	}
	sort.SliceStable(resp.Entries, func(i, j int) bool { return resp.Entries[i].Time < resp.Entries[j].Time })
	if n := len(resp.Entries) - maxStory; n > 0 {
		resp.Entries, resp.Dropped = resp.Entries[n:], n
	}
	return resp, nil
}

// lastChange is when a member took its status; 0 if nobody remembers.
func lastChange(entries []api.WhyEntry) int64 {
	for _, e := range slices.Backward(entries) {
		switch trail.Kind(e.Kind) {
		case trail.Join, trail.Leave, trail.Failed:
			return e.Last
		}
	}
	return 0
}

// testimony is what one agent remembers.
type testimony struct {
	api.Witness
	entries []api.WhyEntry
}

// askWhy asks one agent, page by page.
func (a *Agent) askWhy(ctx context.Context, witness, node string) testimony {
	t := testimony{Witness: api.Witness{Node: witness}}
	from := uint64(1)
	for pages := 0; from > 0 && pages <= trail.PerMember; pages++ {
		q := trail.Question{From: from, Name: node}
		reply, err := a.askSomehow(ctx, witness, kindTrail, q.Encode(), peer.Options{Length: peer.MaxPacket})
		var p trail.Page
		if err == nil {
			p, err = trail.DecodePage(reply.Body)
		}
		if err != nil {
			t.Error = err.Error()
			return t
		}
		if pages == 0 && witness != a.cfg.NodeName {
			t.Skew = p.Now.Sub(middle(reply.Sent, reply.Came))
		}
		t.Began, t.Flaps = p.Began.Add(-t.Skew).UnixNano(), p.Flaps
		for _, e := range p.Entries {
			t.entries = append(t.entries, api.WhyEntry{
				Time: e.At.Add(-t.Skew).UnixNano(), By: witness, Kind: string(e.Kind), Text: e.Text,
				LTime: uint64(e.LTime), Count: e.Count, Last: e.Last.Add(-t.Skew).UnixNano(),
			})
		}
		if p.Next <= from {
			break // the end; or it would go round and round
		}
		from = p.Next
	}
	return t
}

// middle is the best guess of when the other side answered.
func middle(sent, came time.Time) time.Time { return sent.Add(came.Sub(sent) / 2) }

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
