// Package agentfake is an agent for tests: it speaks Serf's RPC protocol (Serf reference section 4) on a
// loopback port, holds a member list that tests set, records what it is asked, and fails where it is told to.
// What it does is bookkeeping only; no gossip happens.
package agentfake

import (
	"bufio"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/api"
)

// Agent is a fake agent. Its methods may be called at any time, from any goroutine.
type Agent struct {
	name  string
	token string

	mu       sync.Mutex
	listener net.Listener
	addr     string
	conns    map[net.Conn]bool
	done     sync.WaitGroup

	members  []api.Member
	dead     map[string]bool // peers that cannot be joined
	events   []api.EventRequest
	joins    []api.JoinRequest
	calls    map[string]int
	failures map[string]string // command to error text
	drops    map[string]int    // command to how often the connection is cut instead of an answer
	after    map[string]func() // command to what happens at a given call of it
	afterN   map[string]int    // the number of that call
	left     bool

	ours      bool              // claims to be a gossip agent, not stock Serf
	keys      map[string]int    // base64 key to the number of nodes that have it; nil if encryption is off
	primary   string            // base64
	nodes     int               // asked about keys
	keyErrors map[string]string // node to why it refuses to install a key
	keyLog    []string          // changes of keys, as COMMAND KEY
	mute      int               // how many requests about keys one node will leave unanswered
	answers   func(api.QueryRequest) map[string]string
	queries   []api.QueryRequest
	forced    []api.ForceLeaveRequest
	receipts  []api.EventReceipt
	coords    map[string]api.Coordinate
	doubt     *api.Confidence
}

// New starts an agent called name that asks for token unless it is empty, and stops it when the test ends.
// It knows itself alone.
func New(tb testing.TB, name, token string) *Agent {
	tb.Helper()
	a := &Agent{
		name:     name,
		token:    token,
		conns:    map[net.Conn]bool{},
		dead:     map[string]bool{},
		calls:    map[string]int{},
		failures: map[string]string{},
		drops:    map[string]int{},
		after:    map[string]func(){},
		afterN:   map[string]int{},
	}
	a.members = []api.Member{Member(name, "127.0.0.1", 7946, "alive", nil)}
	a.listen(tb, loopback.Addr(tb))
	tb.Cleanup(a.Stop)
	return a
}

// Member makes a member that speaks version 5 of Serf's protocol.
func Member(name, ip string, port uint16, status string, tags map[string]string) api.Member {
	addr := net.ParseIP(ip)
	if v4 := addr.To4(); v4 != nil {
		addr = v4
	}
	return api.Member{
		Name: name, Addr: addr, Port: port, Tags: tags, Status: status,
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5,
	}
}

// Addr returns where the agent listens, or listened last.
func (a *Agent) Addr() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addr
}

// Stop makes the agent unreachable and waits until its connections are gone. Stopping twice is harmless.
func (a *Agent) Stop() {
	a.mu.Lock()
	if a.listener != nil {
		_ = a.listener.Close() // only to end the accept loop
		a.listener = nil
	}
	for c := range a.conns {
		_ = c.Close() // only to end its loop
	}
	a.mu.Unlock()
	a.done.Wait()
}

// Restart makes a stopped agent reachable again under the same address, knowing itself alone.
func (a *Agent) Restart(tb testing.TB) {
	tb.Helper()
	a.listen(tb, a.Addr())
	a.SetMembers()
}

func (a *Agent) listen(tb testing.TB, addr string) {
	tb.Helper()
	var l net.Listener
	if err := loopback.Rebind(func() (err error) { l, err = net.Listen("tcp", addr); return err }); err != nil {
		tb.Fatalf("fake agent: %v", err)
	}
	a.mu.Lock()
	a.listener, a.addr = l, l.Addr().String()
	a.mu.Unlock()
	a.done.Add(1)
	go a.accept(l)
}

// SetMembers makes others, and the agent itself, the members.
func (a *Agent) SetMembers(others ...api.Member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.members = append([]api.Member{Member(a.name, "127.0.0.1", 7946, "alive", nil)}, others...)
}

// Kill marks peers that cannot be joined from now on.
func (a *Agent) Kill(peers ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range peers {
		a.dead[p] = true
	}
}

// Fail makes a command answer with the error text, or work again if it is empty.
func (a *Agent) Fail(command, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures[command] = text
}

// Drop makes the next n requests of a command take effect and then cut the connection without an answer.
func (a *Agent) Drop(command string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drops[command] = n
}

// AfterCalls runs f, once, when a command was asked n more times, before the last of these is answered.
func (a *Agent) AfterCalls(command string, n int, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.after[command], a.afterN[command] = f, a.calls[command]+n
}

// Events returns the events fired so far.
func (a *Agent) Events() []api.EventRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events)
}

// Joins returns the joins asked for so far.
func (a *Agent) Joins() []api.JoinRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.joins)
}

// Calls returns how often a command was asked.
func (a *Agent) Calls(command string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[command]
}

// Left reports whether the agent was asked to leave.
func (a *Agent) Left() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left
}

func (a *Agent) accept(l net.Listener) {
	defer a.done.Done()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		a.mu.Lock()
		if a.listener != l {
			a.mu.Unlock()
			_ = c.Close() // stopped meanwhile
			return
		}
		a.conns[c] = true
		a.done.Add(1)
		a.mu.Unlock()
		go a.serve(c)
	}
}

var errCut = errors.New("cut by the test")

func (a *Agent) serve(c net.Conn) {
	defer a.done.Done()
	defer func() {
		_ = c.Close() // nothing more to say
		a.mu.Lock()
		delete(a.conns, c)
		a.mu.Unlock()
	}()
	handle := &codec.MsgpackHandle{WriteExt: true}
	handle.RawToString = true
	out := bufio.NewWriter(c)
	dec, enc := codec.NewDecoder(bufio.NewReader(c), handle), codec.NewEncoder(out, handle)
	authed := a.token == ""
	for {
		var header api.RequestHeader
		if dec.Decode(&header) != nil {
			return
		}
		text, body, records, err := a.answer(header.Command, dec, &authed)
		if err != nil {
			return
		}
		if enc.Encode(api.ResponseHeader{Seq: header.Seq, Error: text}) != nil {
			return
		}
		if body != nil && enc.Encode(body) != nil {
			return
		}
		for _, record := range records {
			if enc.Encode(api.ResponseHeader{Seq: header.Seq}) != nil || enc.Encode(record) != nil {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
	}
}

// answer reads a request's body and returns the answer: the error text, the body, nil where there is none, and the
// records that follow.
func (a *Agent) answer(command string, dec *codec.Decoder, authed *bool) (string, any, []any, error) {
	request, known := map[string]any{
		api.CommandHandshake:     &api.HandshakeRequest{},
		api.CommandAuth:          &api.AuthRequest{},
		api.CommandEvent:         &api.EventRequest{},
		api.CommandEventReceipts: &api.EventReceiptsRequest{},
		api.CommandForceLeave:    &api.ForceLeaveRequest{},
		api.CommandJoin:          &api.JoinRequest{},
		api.CommandTags:          &api.TagsRequest{},
		api.CommandQuery:         &api.QueryRequest{},
		api.CommandInstallKey:    &api.KeyRequest{},
		api.CommandUseKey:        &api.KeyRequest{},
		api.CommandRemoveKey:     &api.KeyRequest{},
		api.CommandGetCoordinate: &api.CoordinateRequest{},
		api.CommandListKeys:      nil,
		api.CommandMembers:       nil,
		api.CommandStats:         nil,
		api.CommandLeave:         nil,
	}[command]
	if !known {
		return "", nil, nil, errors.New("unsupported command " + command)
	}
	if request != nil {
		if err := dec.Decode(request); err != nil {
			return "", nil, nil, err
		}
	}

	a.count(command)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !*authed && command != api.CommandHandshake && command != api.CommandAuth {
		return string(api.ErrAuthRequired), nil, nil, nil
	}
	text, body, records := a.failures[command], any(nil), []any(nil)
	switch r := request.(type) {
	case *api.AuthRequest:
		if r.AuthKey != a.token {
			return string(api.ErrInvalidToken), nil, nil, nil
		}
		*authed = true
	case *api.EventRequest:
		if text == "" {
			a.events = append(a.events, *r)
		}
	case *api.EventReceiptsRequest:
		if !a.ours {
			text = string(api.ErrUnsupportedCommand)
			break
		}
		a.events = append(a.events, api.EventRequest{Name: r.Name, Payload: r.Payload, Coalesce: r.Coalesce})
		body = api.EventReceiptsResponse{LTime: uint64(len(a.events)), Receipts: a.receipts}
	case *api.ForceLeaveRequest:
		a.forced = append(a.forced, *r)
	case *api.JoinRequest:
		text, body = a.join(*r, text)
	case *api.TagsRequest:
		if text == "" {
			a.retag(*r)
		}
	case *api.QueryRequest:
		records = a.query(*r)
	case *api.KeyRequest:
		text, body = a.changeKey(command, r.Key, text)
	case *api.CoordinateRequest:
		coordinate, ok := a.coords[r.Node]
		body = api.CoordinateResponse{Coord: coordinate, Ok: ok}
	}
	switch command {
	case api.CommandMembers:
		members := slices.Clone(a.members)
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if text == "" {
			body = api.MembersResponse{Members: members, Confidence: a.doubt}
		} else {
			body = api.MembersResponse{}
		}
	case api.CommandStats:
		body = a.stats()
	case api.CommandListKeys:
		text, body = a.changeKey(command, "", text)
	case api.CommandLeave:
		a.left = true
	}
	if a.drops[command] > 0 {
		a.drops[command]--
		return "", nil, nil, errCut
	}
	return text, body, records, nil
}

// count counts a call and runs what AfterCalls says, which may use the agent.
func (a *Agent) count(command string) {
	a.mu.Lock()
	a.calls[command]++
	f := a.after[command]
	if f == nil || a.calls[command] < a.afterN[command] {
		a.mu.Unlock()
		return
	}
	delete(a.after, command)
	a.mu.Unlock()
	f()
}

func (a *Agent) join(r api.JoinRequest, text string) (string, api.JoinResponse) {
	a.joins = append(a.joins, r)
	if text != "" {
		return text, api.JoinResponse{}
	}
	var (
		n    int32
		errs []string
	)
	for _, peer := range r.Existing {
		if a.dead[peer] {
			errs = append(errs, "\t* Failed to join "+peer+": connection refused")
			continue
		}
		n++
		a.members = append(a.members, Member("peer-"+peer, "127.0.0.9", 7946, "alive", nil))
	}
	if n == 0 && len(errs) > 0 {
		return "1 error occurred:\n" + strings.Join(errs, "\n") + "\n\n", api.JoinResponse{}
	}
	return "", api.JoinResponse{Num: n}
}

func (a *Agent) stats() api.Stats {
	tags := map[string]string{}
	for _, m := range a.members {
		if m.Name == a.name {
			maps.Copy(tags, m.Tags)
		}
	}
	stats := api.Stats{
		"agent": {"name": a.name},
		"serf":  {"encrypted": strconv.FormatBool(a.keys != nil)},
		"tags":  tags,
	}
	if a.ours {
		stats["gossip"] = map[string]string{"version": "1.2.3", "cluster": "prod"}
		stats["view"] = map[string]string{"last_contact": "1m30s ago"}
	}
	return stats
}
