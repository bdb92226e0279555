// Package doctor turns measurements of the network between agents into findings in words: what was found, how bad it is, and
// what to do about it. It is pure; the agent measures, and shows the findings over RPC.
package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warn    Level = "warn"    // odd, or worth knowing, but gossip works
	Fault   Level = "fault"   // gossip does not work, or not well
	Unknown Level = "unknown" // could not be found out
)

// Finding is the result of one check.
type Finding struct {
	Check  string // what was looked at: udp, tcp, size, clock, address, load, view, ...
	Level  Level
	Text   string
	Remedy string // of a warning or a fault
}

// Answer is what is known of one direction.
type Answer int8

// The answers.
const (
	Untold Answer = iota // it could not be tried, or tells nothing
	Yes
	No
)

// PacketNeeded is the longest UDP packet that gossip sends, in bytes without the headers of IP and UDP: memberlist's default.
const PacketNeeded = 1400

// PacketSizes are the sizes to try, the longest first: 1472 is what an Ethernet of 1500 bytes holds.
var PacketSizes = []int{1472, PacketNeeded, 1372, 1200, 1024, 512}

// What is too much.
const (
	skewWarn, skewFault   = 500 * time.Millisecond, 5 * time.Second
	queueWarn, queueFault = 256, 2048
	// forgiven is the share of packets that may get lost without a word.
	forgiven = 0.05
	// lossFault is the share from which gossip suffers.
	lossFault = 0.3
	// echoFresh is how long ago a packet may have come from an address that is in use.
	echoFresh = 5 * time.Second
)

// Health is what an agent of ours says of itself when it is asked by another. It travels as JSON.
type Health struct {
	Now       int64    `json:"t"`           // its clock, in Unix nanoseconds
	Addr      string   `json:"a"`           // the asker's address as it knows it
	Heard     *int64   `json:"u,omitempty"` // milliseconds since a UDP packet came from there; -1: never
	Strangers []string `json:"s,omitempty"` // addresses that UDP packets came from lately and that belong to no member
	Queues    [3]int   `json:"q"`           // intents, queries and events that wait to be gossiped
	Score     int      `json:"h,omitempty"` // memberlist's health score, 0 is healthy
	Alive     int      `json:"n"`           // live members in its view
	Doubt     string   `json:"d,omitempty"` // why its view should not be believed
	Waiting   int      `json:"w,omitempty"` // events that wait for handlers
}

// Member is what was measured of one member.
type Member struct {
	Name string
	Addr netip.AddrPort
	Serf bool // a stock Serf agent, which can only be tested from outside

	UDPOut, UDPIn, TCPOut, TCPIn Answer
	TCPError                     string // why TCPOut is No

	Sent, Lost int           // small packets
	RTT        time.Duration // the shortest of their round trips

	SizeOut, SizeIn int  // the longest packets that passed; 0: none, or not tried
	SizeTried       bool // whether they were
	SizeError       string

	Skew, Blur time.Duration // its clock ahead of ours, give or take Blur; with Health only
	Health     *Health
	// Heard is how long ago a UDP packet came from the address that it announces; below zero: never. Nil: not known.
	Heard *time.Duration

	Query Answer // of a stock Serf agent: whether a query was answered
}

// Trials are what was tried, and answered: a request by one protocol and its answer by the same or the other.
type Trials struct {
	UDPUDP, TCPTCP, UDPTCP, TCPUDP bool // the request's protocol first
	// ConnectError is why a request by TCP could not be sent; "" if it was.
	ConnectError string
}

// Deduce sets what follows for the four directions. An answer proves both its ways. Of a trial without one, the one way
// is to blame if the other is proven.
func (m *Member) Deduce(t Trials) {
	trials := []struct {
		answered bool
		out, in  *Answer
	}{
		{t.UDPUDP, &m.UDPOut, &m.UDPIn},
		{t.TCPTCP, &m.TCPOut, &m.TCPIn},
		{t.UDPTCP || t.UDPUDP && t.TCPTCP, &m.UDPOut, &m.TCPIn},
		{t.TCPUDP || t.UDPUDP && t.TCPTCP, &m.TCPOut, &m.UDPIn},
	}
	for _, trial := range trials {
		if trial.answered {
			*trial.out, *trial.in = Yes, Yes
		}
	}
	for _, trial := range trials {
		switch {
		case trial.answered:
		case *trial.out == Yes && *trial.in == Untold:
			*trial.in = No
		case *trial.in == Yes && *trial.out == Untold:
			*trial.out = No
		}
	}
	switch {
	case m.TCPOut == Yes:
	case t.ConnectError != "":
		m.TCPOut, m.TCPError = No, t.ConnectError
	case m.TCPOut == Untold:
		m.TCPOut = Yes // it was sent, at least
	}
}

// Local is what is known of our own agent.
type Local struct {
	Name     string
	Addr     netip.AddrPort // as told to others
	RPCAddr  string
	RPCAuth  bool
	Queues   [3]int
	Score    int
	Alive    int
	Failed   int
	Isolated bool
	Doubt    string // why the view should not be believed
	Dropped  uint64 // events that were dropped since the start
	Waiting  int    // events that wait for handlers
	DNSAddr  string // "" if it is off
	DNSError string
}

// Examine returns the findings about one member.
func (m *Member) Examine(self Local) []Finding {
	found := []Finding{m.udp(), m.tcp()}
	if m.Serf {
		return append(found, m.query())
	}
	if m.UDPOut == Yes || m.UDPIn == Yes {
		found = append(found, m.size())
	}
	if m.Health != nil {
		found = append(found, m.clock(), m.address(self), load("load", m.Health.Queues, m.Health.Score, m.Health.Waiting), m.view(self))
	}
	return found
}

func (m *Member) udp() Finding {
	f := Finding{Check: "udp"}
	port := fmt.Sprintf("UDP port %d", m.Addr.Port())
	switch {
	case m.UDPOut == Yes && m.UDPIn == Yes:
		share := 0.0
		if m.Sent > 0 {
			share = float64(m.Lost) / float64(m.Sent)
		}
		f.Level, f.Text = OK, fmt.Sprintf("passes both ways in %v", m.RTT.Round(10*time.Microsecond))
		if m.Lost > 0 {
			f.Text += fmt.Sprintf(", %d of %d packets lost", m.Lost, m.Sent)
		}
		if share > forgiven {
			f.Level, f.Remedy = Warn, "look for overload and for faulty links on the way"
		}
		if share >= lossFault {
			f.Level = Fault
		}
	case m.UDPOut == No && m.UDPIn == Yes:
		f.Level, f.Text = Fault, "our packets do not reach it; its packets reach us"
		f.Remedy = fmt.Sprintf("let %s of %s in: look at the firewall of that host, then at those on the way, then at ours for what goes out", port, m.Addr.Addr())
	case m.UDPOut == Yes && m.UDPIn == No:
		f.Level, f.Text = Fault, "our packets reach it; its packets do not reach us"
		f.Remedy = "let the UDP port of this agent in: look at our own firewall, then at those on the way, then at that of " + m.Addr.Addr().String() + " for what goes out"
	case m.UDPOut == No && m.UDPIn == No:
		f.Level, f.Text = Fault, "passes in neither direction"
		f.Remedy = fmt.Sprintf("let %s pass between both hosts, in both directions", port)
	case m.Serf && m.TCPOut == Yes:
		f.Level, f.Text = Fault, "no answer to a ping: packets are lost one way or both"
		f.Remedy = fmt.Sprintf("let %s pass between both hosts, in both directions", port)
	default:
		f.Level, f.Text = Fault, "no answer"
		f.Remedy = "see tcp"
	}
	return f
}

func (m *Member) tcp() Finding {
	f := Finding{Check: "tcp", Level: Fault}
	port := fmt.Sprintf("TCP port %d", m.Addr.Port())
	switch {
	case m.TCPOut == Yes && (m.TCPIn == Yes || m.Serf):
		f.Level, f.Text = OK, "connects both ways"
		if m.Serf {
			f.Text = "connects from here; Serf cannot be asked to connect back"
		}
	case m.TCPOut == No && strings.Contains(m.TCPError, "refused"):
		f.Text = "the host is there, but nobody listens on " + m.Addr.String()
		f.Remedy = "start the agent there; if it runs, look whether it announces the address that it listens on"
	case m.TCPOut == No && m.TCPIn == Yes:
		f.Text = "we cannot connect to it (" + m.TCPError + "); it can connect to us"
		f.Remedy = fmt.Sprintf("let %s of %s in", port, m.Addr.Addr())
	case m.TCPOut == No && m.TCPError == "":
		f.Text = "we can connect to it, but what we send does not arrive"
		f.Remedy = "look whether the agent there hangs, and into its log"
	case m.TCPOut == No:
		f.Text = "we cannot connect to it: " + m.TCPError
		f.Remedy = fmt.Sprintf("find out whether the host is up, and let %s of %s in", port, m.Addr.Addr())
	case m.TCPOut == Yes && m.TCPIn == No:
		f.Text = "we can connect to it; it cannot connect to us"
		f.Remedy = "let the TCP port of this agent in: look at our own firewall first"
	case m.TCPOut == Yes:
		f.Text = "we can connect to it, but it gives no answer in any way"
		f.Remedy = "look whether the agent there hangs, and into its log: another gossip key would look like this too"
	default:
		f.Level, f.Text = Unknown, "could not be tried"
	}
	return f
}

func (m *Member) query() Finding {
	switch m.Query {
	case Yes:
		return Finding{Check: "query", Level: OK, Text: "answers a query by gossip"}
	case No:
		return Finding{"query", Fault, "does not answer a query by gossip", "look into its log, and whether UDP passes both ways"}
	default:
		return Finding{Check: "query", Level: Unknown, Text: "was not tried"}
	}
}

func (m *Member) size() Finding {
	f := Finding{Check: "size", Level: OK}
	if !m.SizeTried {
		f.Level, f.Text = Unknown, "was not tried"
		return f
	}
	way := func(size int, what string) string {
		if size == 0 {
			return fmt.Sprintf("none of %d bytes or more %s", PacketSizes[len(PacketSizes)-1], what)
		}
		return fmt.Sprintf("up to %d bytes %s", size, what)
	}
	switch {
	case m.UDPOut != Yes:
		f.Text = fmt.Sprintf("of longer packets %s; gossip needs %d", way(m.SizeIn, "reach us"), PacketNeeded)
	case m.UDPIn != Yes:
		f.Text = fmt.Sprintf("of longer packets %s; gossip needs %d", way(m.SizeOut, "reach it"), PacketNeeded)
	case m.SizeOut == m.SizeIn && m.SizeOut > 0:
		f.Text = fmt.Sprintf("packets of %d bytes pass both ways; gossip needs %d", m.SizeOut, PacketNeeded)
	default:
		f.Text = fmt.Sprintf("of longer packets %s and %s; gossip needs %d", way(m.SizeOut, "reach it"), way(m.SizeIn, "reach us"), PacketNeeded)
	}
	if m.SizeError != "" {
		f.Text += " (" + m.SizeError + ")"
	}
	worst := PacketSizes[0]
	if m.UDPOut == Yes {
		worst = min(worst, m.SizeOut)
	}
	if m.UDPIn == Yes {
		worst = min(worst, m.SizeIn)
	}
	if worst < PacketNeeded {
		f.Level = Fault
		f.Remedy = "the way holds shorter packets than the interfaces say, as with tunnels and VPNs: let ICMP \"fragmentation needed\" " +
			"and fragments pass, or lower the MTU of the interfaces"
	}
	return f
}

func (m *Member) clock() Finding {
	f := Finding{Check: "clock", Level: OK, Text: fmt.Sprintf("differs by less than %v", (m.Skew.Abs() + m.Blur).Round(100*time.Microsecond))}
	if certain := m.Skew.Abs() - m.Blur; certain > skewWarn {
		direction := "ahead of"
		if m.Skew < 0 {
			direction = "behind"
		}
		f.Level, f.Text = Warn, fmt.Sprintf("is %v %s ours", m.Skew.Abs().Round(time.Millisecond), direction)
		f.Remedy = "keep the clocks of all hosts in step, by NTP or chrony; logs and `gossip why` tell times by them"
		if certain > skewFault {
			f.Level = Fault
		}
	}
	return f
}

// address compares what each side announces with what the other sees.
func (m *Member) address(self Local) Finding {
	f := Finding{Check: "address", Level: OK}
	h := m.Health
	switch {
	case h.Addr != self.Addr.String():
		f.Level, f.Text = Fault, fmt.Sprintf("it knows us as %s, but we announce %s", h.Addr, self.Addr)
		f.Remedy = "if our address has just changed, wait a moment; else look for another agent of the name " + self.Name
	case m.UDPOut == Yes && h.Heard != nil && stale(time.Duration(*h.Heard)*time.Millisecond):
		f.Level, f.Text = Warn, fmt.Sprintf("our packets reach it, but not from %s, which we announce", self.Addr)
		if len(h.Strangers) > 0 {
			f.Text += "; perhaps from " + strings.Join(h.Strangers, " or ")
		}
		f.Remedy = "addresses are translated on the way, or this host has several: bind to one address, or announce with -advertise what others see"
	case m.UDPIn == Yes && m.Heard != nil && stale(*m.Heard):
		f.Level, f.Text = Warn, fmt.Sprintf("its packets reach us, but not from %s, which it announces", m.Addr)
		f.Remedy = "addresses are translated on the way, or its host has several: bind to one address there, or announce with -advertise what others see"
	default:
		f.Text = fmt.Sprintf("each sees the other at the address that it announces; we are %s", self.Addr)
		if m.Heard == nil || h.Heard == nil || m.UDPIn != Yes || m.UDPOut != Yes {
			f.Text = fmt.Sprintf("it knows us as %s, as we announce", self.Addr)
		}
	}
	return f
}

func stale(age time.Duration) bool { return age < 0 || age > echoFresh }

func load(check string, queues [3]int, score, waiting int) Finding {
	f := Finding{Check: check, Level: OK, Text: "queues are short"}
	if longest := slices.Max(queues[:]); longest > queueWarn {
		f.Level, f.Text = Warn, fmt.Sprintf("%d intents, %d queries and %d events wait to be gossiped", queues[0], queues[1], queues[2])
		f.Remedy = "send fewer events and queries, or wait; many at once spread slowly"
		if longest > queueFault {
			f.Level = Fault
		}
	}
	if waiting > queueWarn {
		f.Level = max2(f.Level, Warn)
		f.Text += fmt.Sprintf("; %d events wait for event handlers", waiting)
		f.Remedy = strings.TrimPrefix(f.Remedy+"; ", "; ") + "make the scripts faster, or let them select fewer events"
	}
	if score > 0 {
		f.Level = max2(f.Level, Warn)
		f.Text += fmt.Sprintf("; it doubts itself: probes fail or come late (health score %d)", score)
		f.Remedy = strings.TrimPrefix(f.Remedy+"; ", "; ") + "look whether its host is short of processor time or its network loses packets"
	}
	return f
}

// max2 returns the worse level.
func max2(a, b Level) Level {
	order := []Level{OK, Unknown, Warn, Fault}
	if slices.Index(order, a) >= slices.Index(order, b) {
		return a
	}
	return b
}

func (m *Member) view(self Local) Finding {
	switch h := m.Health; {
	case h.Doubt != "":
		return Finding{"view", Warn, "it does not trust its own view: " + h.Doubt, "run `gossip doctor` there"}
	case h.Alive != self.Alive:
		return Finding{"view", Warn, fmt.Sprintf("it sees %d members alive, we see %d", h.Alive, self.Alive),
			"if that lasts for more than a minute, compare `gossip members` of both, and ask `gossip why -all` about who is missing"}
	default:
		return Finding{Check: "view", Level: OK, Text: fmt.Sprintf("it sees %d members alive, as we do", h.Alive)}
	}
}

// Examine returns the findings about our own agent. others are the members that were tested.
func (l *Local) Examine(others []Member) []Finding {
	found := []Finding{l.ownAddress(others), load("load", l.Queues, l.Score, l.Waiting), l.ownView(), l.rpc(), l.dns()}
	if l.Dropped > 0 {
		found = append(found, Finding{"events", Warn, fmt.Sprintf("%d events were dropped since the start", l.Dropped),
			"look into the log for why: too many events, or event handlers that are too slow"})
	}
	return found
}

func (l *Local) ownAddress(others []Member) Finding {
	f := Finding{Check: "address", Level: OK, Text: "we announce " + l.Addr.String()}
	remote := slices.ContainsFunc(others, func(m Member) bool { return !m.Addr.Addr().IsLoopback() })
	switch ip := l.Addr.Addr(); {
	case ip.IsUnspecified():
		f.Level, f.Remedy = Fault, "name the address that others can reach with -advertise"
		f.Text += ", at which nobody can be reached"
	case ip.IsLoopback() && remote:
		f.Level, f.Remedy = Fault, "name the address that others can reach with -bind or -advertise"
		f.Text += ", which other hosts cannot reach"
	}
	return f
}

func (l *Local) ownView() Finding {
	f := Finding{Check: "view", Level: OK, Text: fmt.Sprintf("%d members alive", l.Alive)}
	if l.Failed > 0 {
		f.Level = Warn
		f.Text += fmt.Sprintf(", %d failed", l.Failed)
		f.Remedy = "test a failed member by its name, and ask `gossip why` about it"
	}
	if l.Doubt != "" {
		f.Level, f.Text = Warn, f.Text+"; "+l.Doubt
		f.Remedy = "see the findings about the other members"
		if l.Isolated {
			f.Level = Fault
		}
	}
	return f
}

func (l *Local) rpc() Finding {
	f := Finding{Check: "rpc", Level: OK, Text: "answers at " + l.RPCAddr}
	addr, err := netip.ParseAddrPort(l.RPCAddr)
	if err == nil && !addr.Addr().IsLoopback() && !l.RPCAuth {
		f.Level, f.Text = Warn, f.Text+", where anybody may command it"
		f.Remedy = "set rpc_auth, or listen on 127.0.0.1"
	}
	return f
}

func (l *Local) dns() Finding {
	switch {
	case l.DNSAddr == "":
		return Finding{Check: "dns", Level: OK, Text: "is off"}
	case l.DNSError != "":
		return Finding{"dns", Fault, "does not answer at " + l.DNSAddr + ": " + l.DNSError, "look into the agent's log for lines with \"dns:\""}
	default:
		return Finding{Check: "dns", Level: OK, Text: "answers at " + l.DNSAddr}
	}
}
