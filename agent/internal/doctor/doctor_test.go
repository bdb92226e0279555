package doctor_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/doctor"
)

// Every combination of blocked directions, tried the way the agent does it.
func TestDeduce(t *testing.T) {
	t.Parallel()
	for blocked := range 16 {
		uo, ui, to, ti := blocked&1 == 0, blocked&2 == 0, blocked&4 == 0, blocked&8 == 0
		trials := doctor.Trials{UDPUDP: uo && ui, TCPTCP: to && ti}
		if !trials.UDPUDP || !trials.TCPTCP {
			trials.UDPTCP, trials.TCPUDP = uo && ti, to && ui
		}
		if !to {
			trials.ConnectError = "no answer within 3s"
		}
		var m doctor.Member
		m.Deduce(trials)
		for _, way := range []struct {
			name string
			got  doctor.Answer
			open bool
		}{{"UDP out", m.UDPOut, uo}, {"UDP in", m.UDPIn, ui}, {"TCP out", m.TCPOut, to}, {"TCP in", m.TCPIn, ti}} {
			if way.got == doctor.Yes && !way.open || way.got == doctor.No && way.open {
				t.Errorf("%+v: %s is told to be %v", trials, way.name, way.got)
			}
			// Whatever is open at all on one side, one blocked way is always found.
			if one := blocked == 1 || blocked == 2 || blocked == 4 || blocked == 8; one && way.got == doctor.Untold {
				t.Errorf("%+v: %s is not told", trials, way.name)
			}
		}
	}
	var m doctor.Member
	m.Deduce(doctor.Trials{}) // it can be connected to and says nothing: hangs, or has another key
	if m.TCPOut != doctor.Yes || m.TCPIn != doctor.Untold || m.UDPOut != doctor.Untold {
		t.Errorf("got %+v", m)
	}
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// well returns a member with which nothing is wrong, and our own agent.
func well() (doctor.Member, doctor.Local) {
	heard, there := 10*time.Millisecond, int64(10)
	self := doctor.Local{Name: "me", Addr: addr("10.0.0.1:7946"), RPCAddr: "127.0.0.1:7373", Alive: 3}
	return doctor.Member{
		Name: "web", Addr: addr("10.0.0.2:7946"), UDPOut: doctor.Yes, UDPIn: doctor.Yes, TCPOut: doctor.Yes, TCPIn: doctor.Yes,
		Sent: 10, RTT: time.Millisecond, SizeTried: true, SizeOut: 1472, SizeIn: 1472, Blur: time.Millisecond, Heard: &heard,
		Health: &doctor.Health{Addr: "10.0.0.1:7946", Alive: 3, Heard: &there},
	}, self
}

func TestFindings(t *testing.T) {
	t.Parallel()
	never := int64(-1)
	long := time.Minute
	for name, tt := range map[string]struct {
		change func(m *doctor.Member, self *doctor.Local)
		check  string // of the one finding that is not ok
		level  doctor.Level
		text   string // in it
	}{
		"well":       {func(*doctor.Member, *doctor.Local) {}, "", "", ""},
		"loss":       {func(m *doctor.Member, _ *doctor.Local) { m.Lost = 1 }, "udp", doctor.Warn, "1 of 10 packets lost"},
		"much loss":  {func(m *doctor.Member, _ *doctor.Local) { m.Lost = 4 }, "udp", doctor.Fault, "4 of 10"},
		"udp out":    {func(m *doctor.Member, _ *doctor.Local) { m.UDPOut = doctor.No }, "udp", doctor.Fault, "our packets do not reach it"},
		"udp in":     {func(m *doctor.Member, _ *doctor.Local) { m.UDPIn = doctor.No }, "udp", doctor.Fault, "its packets do not reach us"},
		"tcp out":    {func(m *doctor.Member, _ *doctor.Local) { m.TCPOut, m.TCPError = doctor.No, "timeout" }, "tcp", doctor.Fault, "we cannot connect to it (timeout)"},
		"tcp in":     {func(m *doctor.Member, _ *doctor.Local) { m.TCPIn = doctor.No }, "tcp", doctor.Fault, "it cannot connect to us"},
		"small":      {func(m *doctor.Member, _ *doctor.Local) { m.SizeOut, m.SizeIn = 1400, 1400 }, "", "", ""},
		"mtu":        {func(m *doctor.Member, _ *doctor.Local) { m.SizeOut, m.SizeIn = 1200, 1472 }, "size", doctor.Fault, "up to 1200 bytes reach it and up to 1472 bytes reach us"},
		"no size":    {func(m *doctor.Member, _ *doctor.Local) { m.SizeOut = 0; m.SizeError = "message too long" }, "size", doctor.Fault, "none of 512 bytes or more reach it"},
		"skew":       {func(m *doctor.Member, _ *doctor.Local) { m.Skew = -time.Second }, "clock", doctor.Warn, "is 1s behind ours"},
		"much skew":  {func(m *doctor.Member, _ *doctor.Local) { m.Skew = time.Hour }, "clock", doctor.Fault, "is 1h0m0s ahead of ours"},
		"blur":       {func(m *doctor.Member, _ *doctor.Local) { m.Skew, m.Blur = 6*time.Second, 7*time.Second }, "", "", ""},
		"other addr": {func(m *doctor.Member, _ *doctor.Local) { m.Health.Addr = "10.0.0.9:7946" }, "address", doctor.Fault, "it knows us as 10.0.0.9:7946, but we announce 10.0.0.1:7946"},
		"translated": {func(m *doctor.Member, _ *doctor.Local) {
			m.Health.Heard, m.Health.Strangers = &never, []string{"192.0.2.1:5"}
		}, "address", doctor.Warn, "perhaps from 192.0.2.1:5"},
		"its nat":  {func(m *doctor.Member, _ *doctor.Local) { m.Heard = &long }, "address", doctor.Warn, "its packets reach us, but not from 10.0.0.2:7946"},
		"queues":   {func(m *doctor.Member, _ *doctor.Local) { m.Health.Queues[2] = 300 }, "load", doctor.Warn, "300 events wait"},
		"full":     {func(m *doctor.Member, _ *doctor.Local) { m.Health.Queues[0] = 4096 }, "load", doctor.Fault, "4096 intents"},
		"slow":     {func(m *doctor.Member, _ *doctor.Local) { m.Health.Score, m.Health.Waiting = 3, 1000 }, "load", doctor.Warn, "1000 events wait for event handlers; it doubts itself"},
		"doubt":    {func(m *doctor.Member, _ *doctor.Local) { m.Health.Doubt = "cut off" }, "view", doctor.Warn, "cut off"},
		"view":     {func(m *doctor.Member, _ *doctor.Local) { m.Health.Alive = 2 }, "view", doctor.Warn, "it sees 2 members alive, we see 3"},
		"old echo": {func(m *doctor.Member, _ *doctor.Local) { m.Heard, m.Health.Heard = nil, nil }, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, self := well()
			tt.change(&m, &self)
			bad := 0
			for _, f := range m.Examine(self) {
				if f.Level == doctor.OK {
					continue
				}
				bad++
				if f.Check != tt.check || f.Level != tt.level || !strings.Contains(f.Text, tt.text) || f.Remedy == "" {
					t.Errorf("got %+v", f)
				}
			}
			if want := tt.check != ""; (bad == 1) != want {
				t.Errorf("%d findings are bad", bad)
			}
		})
	}
}

func TestFindingsOfTheUnreachable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m    doctor.Member
		want string
	}{
		{doctor.Member{TCPOut: doctor.No, TCPError: "dial tcp: connection refused"}, "nobody listens on"},
		{doctor.Member{TCPOut: doctor.No, TCPError: "no route"}, "we cannot connect to it: no route"},
		{doctor.Member{TCPOut: doctor.No}, "does not arrive"},
		{doctor.Member{TCPOut: doctor.Yes}, "gives no answer in any way"},
		{doctor.Member{}, "could not be tried"},
		{doctor.Member{Serf: true, TCPOut: doctor.Yes, Query: doctor.No}, "does not answer a query"},
		{doctor.Member{UDPOut: doctor.No, UDPIn: doctor.No, TCPOut: doctor.Yes, TCPIn: doctor.Yes}, "passes in neither direction"},
	} {
		tt.m.Addr = addr("10.0.0.2:7946")
		if got := fmt.Sprint(tt.m.Examine(doctor.Local{})); !strings.Contains(got, tt.want) {
			t.Errorf("%+v: got %s, want %q", tt.m, got, tt.want)
		}
	}
}

func TestLocalFindings(t *testing.T) {
	t.Parallel()
	m, self := well()
	for name, tt := range map[string]struct {
		change func(l *doctor.Local)
		check  string
		level  doctor.Level
	}{
		"well":     {func(*doctor.Local) {}, "", ""},
		"loopback": {func(l *doctor.Local) { l.Addr = addr("127.0.0.1:7946") }, "address", doctor.Fault},
		"anywhere": {func(l *doctor.Local) { l.Addr = addr("0.0.0.0:7946") }, "address", doctor.Fault},
		"failed":   {func(l *doctor.Local) { l.Failed = 1 }, "view", doctor.Warn},
		"doubt":    {func(l *doctor.Local) { l.Doubt = "not joined" }, "view", doctor.Warn},
		"isolated": {func(l *doctor.Local) { l.Doubt, l.Isolated = "silence", true }, "view", doctor.Fault},
		"open rpc": {func(l *doctor.Local) { l.RPCAddr = "0.0.0.0:7373" }, "rpc", doctor.Warn},
		"auth":     {func(l *doctor.Local) { l.RPCAddr, l.RPCAuth = "0.0.0.0:7373", true }, "", ""},
		"dns":      {func(l *doctor.Local) { l.DNSAddr, l.DNSError = "127.0.0.1:8600", "timeout" }, "dns", doctor.Fault},
		"dns well": {func(l *doctor.Local) { l.DNSAddr = "127.0.0.1:8600" }, "", ""},
		"dropped":  {func(l *doctor.Local) { l.Dropped = 5 }, "events", doctor.Warn},
	} {
		l := self
		tt.change(&l)
		for _, f := range l.Examine([]doctor.Member{m}) {
			if want := f.Check == tt.check; (f.Level != doctor.OK) != want || want && (f.Level != tt.level || f.Remedy == "") {
				t.Errorf("%s: got %+v", name, f)
			}
		}
	}
	l := self
	l.Addr = addr("127.0.0.1:7946")
	if doctor.Faulty(l.Examine(nil)) {
		t.Error("a cluster on loopback alone is no fault")
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	m, self := well()
	cases := func(change ...func(*doctor.Member)) []doctor.Case {
		var list []doctor.Case
		for i, f := range change {
			m := m
			h := *m.Health
			m.Health, m.Name = &h, fmt.Sprintf("m%d", i)
			f(&m)
			list = append(list, doctor.Case{Member: m, Findings: m.Examine(self)})
		}
		return list
	}
	fine := func(*doctor.Member) {}
	noUDP := func(m *doctor.Member) { m.UDPIn = doctor.No }
	for _, tt := range []struct {
		cases []doctor.Case
		want  string
	}{
		{nil, "This agent is healthy; there is no other member to test."},
		{cases(fine), "All is well between this agent and m0."},
		{cases(fine, fine), "All is well between this agent and the 2 members tested."},
		{cases(fine, noUDP), "m1: trouble with udp.|1 of 2 members tested are healthy as seen from here."},
		{cases(noUDP, noUDP), "UDP fails with all 2 members that were tested: the cause is most likely at this agent or its host.|" +
			"0 of 2 members tested are healthy as seen from here."},
	} {
		if got := strings.Join(doctor.Verdict(self.Examine(nil), tt.cases), "|"); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	l := self
	l.Doubt, l.Isolated = "silence", true
	if got := strings.Join(doctor.Verdict(l.Examine(nil), cases(fine)), "|"); got != "This agent: view: 3 members alive; silence." {
		t.Errorf("got %s", got)
	}
}
