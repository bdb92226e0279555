package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/dnsbridge"
	"github.com/seed-645ce708/gossip/agent/internal/doctor"
	"github.com/seed-645ce708/gossip/agent/internal/peer"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

const (
	doctorAtATime = 16              // members that are tested at the same time
	doctorPackets = 10              // small packets that are sent to each
	doctorQuery   = 3 * time.Second // for the answer to a query
	doctorDNS     = 2 * time.Second
	strangerAge   = 10 * time.Second // of packets from unknown addresses that are told of
	maxStrangers  = 4
)

// answerHealth tells another agent how we are, and as what we see it.
func (a *Agent) answerHealth(from string, _ []byte, _ int) ([]byte, error) {
	snap, now := a.view.Load(), time.Now()
	h := doctor.Health{
		Now: now.UnixNano(), Queues: a.queueDepths(), Score: a.gossip.HealthScore(), Alive: snap.Count(view.StatusAlive),
		Doubt: doubt(snap.Confidence), Waiting: a.handlers.Stats().Total.Waiting,
	}
	if m, ok := snap.Member(from); ok {
		h.Addr = m.AddrPort().String()
		if age, known := a.heard(now, m.AddrPort()); known {
			ms := age.Milliseconds()
			if age < 0 {
				ms = -1
			}
			h.Heard = &ms
		}
		h.Strangers = a.strangers(now, snap)
	}
	return json.Marshal(h)
}

func (a *Agent) queueDepths() [3]int {
	return [3]int{a.gossip.QueueDepth(state.QueueIntent), a.gossip.QueueDepth(state.QueueQuery), a.gossip.QueueDepth(state.QueueEvent)}
}

// doubt says why a view should not be believed.
func doubt(c view.Confidence) string {
	return (&api.Confidence{Synced: c.Synced, Isolated: c.Isolated, Evidence: c.Evidence}).Doubt()
}

// heard returns how long ago a packet came from an address, below zero for never; known is false if nobody keeps count.
func (a *Agent) heard(now time.Time, addr netip.AddrPort) (age time.Duration, known bool) {
	seen := a.gossip.PacketSources(time.Time{})
	if seen == nil {
		return 0, false
	}
	at, ok := seen[addr]
	if !ok {
		return -1, true
	}
	return max(0, now.Sub(at)), true
}

// strangers returns addresses that packets came from lately and that belong to no member.
func (a *Agent) strangers(now time.Time, snap *view.Snapshot) []string {
	known := map[netip.AddrPort]bool{}
	for _, m := range snap.Members {
		known[m.AddrPort()] = true
	}
	var list []string
	for addr := range a.gossip.PacketSources(now.Add(-strangerAge)) {
		if !known[addr] {
			list = append(list, addr.String())
		}
	}
	slices.Sort(list)
	return list[:min(len(list), maxStrangers)]
}

// Doctor tests the network between us and a member, or all live ones if node is "". It returns peer.ErrUnknownMember for a
// name that nobody has.
func (a *Agent) Doctor(ctx context.Context, node string) (api.DoctorResponse, error) {
	start, snap := time.Now(), a.view.Load()
	var tested []*view.Member
	for _, m := range snap.Members {
		if m.Name != a.cfg.NodeName && (m.Name == node || node == "" && m.Status == view.StatusAlive) {
			tested = append(tested, m)
		}
	}
	if node != "" && node != a.cfg.NodeName && len(tested) == 0 {
		return api.DoctorResponse{}, fmt.Errorf("%w as %q", peer.ErrUnknownMember, node)
	}
	measured := make([]doctor.Member, len(tested))
	slots := make(chan struct{}, doctorAtATime)
	var testing sync.WaitGroup
	for i, m := range tested {
		slots <- struct{}{}
		testing.Go(func() {
			defer func() { <-slots }()
			measured[i] = a.examine(ctx, m)
		})
	}
	local := a.examineSelf(ctx, snap)
	testing.Wait()

	own := local.Examine(measured)
	resp := api.DoctorResponse{Healthy: !doctor.Faulty(own), Local: findings(own)}
	cases := make([]doctor.Case, len(measured))
	for i, m := range measured {
		cases[i] = doctor.Case{Member: m, Findings: m.Examine(local)}
		resp.Healthy = resp.Healthy && !doctor.Faulty(cases[i].Findings)
		resp.Members = append(resp.Members, api.Diagnosis{
			Node: m.Name, Addr: m.Addr.String(), Status: tested[i].Status.String(), Serf: m.Serf, Findings: findings(cases[i].Findings),
		})
	}
	resp.Verdict = doctor.Verdict(own, cases)
	resp.Took = time.Since(start)
	return resp, nil
}

func findings(list []doctor.Finding) []api.Finding {
	out := make([]api.Finding, len(list))
	for i, f := range list {
		out[i] = api.Finding{Check: f.Check, Level: string(f.Level), Text: f.Text, Remedy: f.Remedy}
	}
	return out
}

func (a *Agent) examineSelf(ctx context.Context, snap *view.Snapshot) doctor.Local {
	handled := a.handlers.Stats()
	l := doctor.Local{
		Name: a.cfg.NodeName, Addr: a.gossip.Addr(), RPCAddr: a.rpcAddr, RPCAuth: a.cfg.RPCAuth != "", Queues: a.queueDepths(),
		Score: a.gossip.HealthScore(), Alive: snap.Count(view.StatusAlive), Failed: snap.Count(view.StatusFailed),
		Isolated: snap.Confidence.Isolated, Doubt: doubt(snap.Confidence),
		Dropped: handled.Total.Dropped + handled.Lost, Waiting: handled.Total.Waiting,
	}
	if a.dns == nil {
		return l
	}
	l.DNSAddr = a.dns.Addr()
	ctx, cancel := context.WithTimeout(ctx, doctorDNS)
	defer cancel()
	if err := a.dns.Check(ctx); err != nil && !errors.Is(err, dnsbridge.ErrNotReady) { // that is in the view's finding
		l.DNSError = err.Error()
	}
	return l
}

// examine measures what there is to measure about one member.
func (a *Agent) examine(ctx context.Context, m *view.Member) doctor.Member {
	e := &examination{a: a, to: m, Member: doctor.Member{Name: m.Name, Addr: m.AddrPort(), Serf: m.DelegateMax < delegateOurs}}
	if e.Serf {
		e.outside(ctx)
	} else {
		e.inside(ctx)
	}
	return e.Member
}

// examination is a doctor.Member in the making.
type examination struct {
	doctor.Member
	a  *Agent
	to *view.Member
}

// outside tests a stock Serf agent by what it does for everybody.
func (e *examination) outside(ctx context.Context) {
	var tests sync.WaitGroup
	tests.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, streamWait)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", e.Addr.String())
		if err != nil {
			e.TCPOut, e.TCPError = doctor.No, err.Error()
			return
		}
		e.TCPOut = doctor.Yes
		_ = conn.Close() // it was there
	})
	tests.Go(func() {
		start := time.Now()
		for range 3 {
			e.Sent++
			if e.a.gossip.Ping(e.Name, e.Addr) {
				e.UDPOut, e.UDPIn, e.RTT = doctor.Yes, doctor.Yes, time.Since(start)
				return
			}
			start = time.Now()
			e.Lost++
		}
	})
	tests.Go(func() { e.Query = e.query(ctx) })
	tests.Wait()
}

// query asks the member by gossip for a sign of life.
func (e *examination) query(ctx context.Context) doctor.Answer {
	if e.to.Status != view.StatusAlive {
		return doctor.Untold
	}
	q, err := e.a.core.Query(ctx, state.Query{
		Name: wire.InternalPrefix + "ping", Internal: true, FilterNodes: []string{e.Name}, WantAck: true, Timeout: doctorQuery,
	})
	if err != nil {
		return doctor.Untold
	}
	defer q.Cancel()
	for {
		select {
		case answer, open := <-q.Answers:
			if !open {
				return doctor.No
			}
			if answer.From == e.Name {
				return doctor.Yes
			}
		case <-ctx.Done():
			return doctor.Untold
		}
	}
}

// inside tests one of ours, which helps.
func (e *examination) inside(ctx context.Context) {
	var t doctor.Trials
	var tests sync.WaitGroup
	var replies [4]peer.Reply
	var errs [4]error
	try := func(i int, o peer.Options) {
		tests.Go(func() { replies[i], errs[i] = e.ask(ctx, o) })
	}
	try(0, peer.Options{})
	try(1, peer.Options{ByStream: true, AnswerByStream: true})
	tests.Wait()
	t.UDPUDP, t.TCPTCP = errs[0] == nil, errs[1] == nil
	if !t.UDPUDP || !t.TCPTCP { // one way by UDP and the other by TCP tells which direction is at fault
		try(2, peer.Options{AnswerByStream: true})
		try(3, peer.Options{ByStream: true})
		tests.Wait()
		t.UDPTCP, t.TCPUDP = errs[2] == nil, errs[3] == nil
	}
	t.ConnectError = connectError(errs[1])
	e.Deduce(t)
	for _, i := range []int{0, 2, 3, 1} {
		if e.Health == nil && errs[i] == nil && !replies[i].Came.IsZero() {
			e.learn(replies[i])
		}
	}
	if t.UDPUDP {
		e.many(ctx)
	}
	e.sizes(ctx)
	if age, known := e.a.heard(time.Now(), e.Addr); known {
		e.Heard = &age
	}
}

// connectError tells why a message could not be sent by TCP; "" means that it was sent.
func connectError(err error) string {
	switch {
	case err == nil, err == peer.ErrSilent: //nolint:errorlint // wrapped, it comes of a time limit
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", streamWait)
	default:
		return err.Error()
	}
}

// ask asks for the member's health. What goes by TCP is tried once.
func (e *examination) ask(ctx context.Context, o peer.Options) (peer.Reply, error) {
	if o.ByStream || o.AnswerByStream {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, streamWait+time.Second)
		defer cancel()
		if o.ByStream && o.Wait == 0 {
			o.Tries, o.Wait = 1, streamWait
		}
	}
	return e.a.peers.Ask(ctx, e.Name, kindHealth, nil, o)
}

// learn reads what the member says of itself.
func (e *examination) learn(r peer.Reply) {
	var h doctor.Health
	if json.Unmarshal(r.Body, &h) != nil {
		return // another version, which says other things
	}
	e.Health = &h
	e.Skew = time.Unix(0, h.Now).Sub(middle(r.Sent, r.Came))
	e.Blur = r.Came.Sub(r.Sent) / 2
}

// many sends some small packets, to see how many get lost.
func (e *examination) many(ctx context.Context) {
	var mu sync.Mutex
	var tests sync.WaitGroup
	e.Sent = doctorPackets
	for range doctorPackets {
		tests.Go(func() {
			r, err := e.ask(ctx, peer.Options{Tries: 1, Wait: time.Second})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				e.Lost++
				return
			}
			if took := r.Came.Sub(r.Sent); e.RTT == 0 || took < e.RTT {
				e.RTT = took
				e.learn(r)
			}
		})
	}
	tests.Wait()
}

// sizeWait is how long to wait for the first answer to a long packet.
const sizeWait = 300 * time.Millisecond

// same asks for answers as long as the requests.
func same(o peer.Options) peer.Options {
	o.SameLength = true
	return o
}

// sizes finds the longest packets that pass: at first both ways, and from where that fails each way by itself.
func (e *examination) sizes(ctx context.Context) {
	out, in := e.UDPOut == doctor.Yes, e.UDPIn == doctor.Yes
	stream := e.TCPOut == doctor.Yes
	if !out && !(in && stream) {
		return
	}
	e.SizeTried = true
	for _, size := range doctor.PacketSizes {
		o := peer.Options{Length: size - e.a.gossip.PacketOverhead(), Tries: 2, Wait: sizeWait}
		if out && in && e.SizeOut == 0 && e.SizeIn == 0 {
			if _, err := e.ask(ctx, same(o)); err == nil {
				e.SizeOut, e.SizeIn = size, size
				return
			}
		}
		if out && e.SizeOut == 0 {
			o := o
			o.AnswerByStream = !in
			_, err := e.ask(ctx, o)
			switch {
			case err == nil:
				e.SizeOut = size
			case !errors.Is(err, peer.ErrSilent):
				e.SizeError = err.Error()
			}
		}
		if in && stream && e.SizeIn == 0 {
			o := same(o)
			o.ByStream = true
			if _, err := e.ask(ctx, o); err == nil {
				e.SizeIn = size
			}
		}
		if (e.SizeOut > 0 || !out) && (e.SizeIn > 0 || !in || !stream) {
			return
		}
	}
}
