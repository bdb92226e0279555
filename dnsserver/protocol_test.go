package dnsserver

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
	"github.com/seed-645ce708/gossip/dnsserver/internal/rrl"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// client asks one responder from one address.
type client struct {
	t *testing.T
	r *responder
	path
}

func newClient(t *testing.T, r *responder) *client {
	return &client{t, r, path{udpLimit: DefaultUDPSize, client: netip.MustParseAddr("192.0.2.1"), now: time.Unix(1e9, 0), idle: 10 * time.Second}}
}

// ask sends a query for the address of web1 with these EDNS options, after edit. It returns nil if there was no reply.
func (c *client) ask(edit func(*dns.Msg), options ...dns.EDNS0) *dns.Msg {
	c.t.Helper()
	m := new(dns.Msg).SetQuestion("web1.node.gossip.", dns.TypeA).SetEdns0(1232, false)
	m.IsEdns0().Option = options
	if edit != nil {
		edit(m)
	}
	return ask(c.t, c.r, m, c.path)
}

// option returns the content of an option of a reply in hexadecimal digits, "-" if it has none.
func option(m *dns.Msg, code uint16) string {
	opt := m.IsEdns0()
	if opt == nil {
		return "-"
	}
	for _, o := range opt.Option {
		switch o := o.(type) {
		case *dns.EDNS0_COOKIE:
			if code == dns.EDNS0COOKIE {
				return o.Cookie
			}
		case *dns.EDNS0_NSID:
			if code == dns.EDNS0NSID {
				return o.Nsid
			}
		case *dns.EDNS0_TCP_KEEPALIVE:
			if code == dns.EDNS0TCPKEEPALIVE {
				return fmt.Sprintf("%04x", o.Timeout)
			}
		case *dns.EDNS0_PADDING:
			if code == dns.EDNS0PADDING {
				return hex.EncodeToString(o.Padding)
			}
		case *dns.EDNS0_EDE:
			if code == dns.EDNS0EDE {
				return fmt.Sprintf("%04x", o.InfoCode)
			}
		}
	}
	return "-"
}

func local(code uint16, data ...byte) dns.EDNS0 { return &dns.EDNS0_LOCAL{Code: code, Data: data} }

// TestOptions has a row for each EDNS option and what becomes of it.
func TestOptions(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 0, zone.OrderStable))
	r.policy.nsid = "web1"
	tests := []struct {
		name    string
		options []dns.EDNS0
		tcp     bool
		tls     bool
		rcode   int
		nsid    string
		idle    string
	}{
		{name: "none", nsid: "-", idle: "-"},
		{name: "NSID", options: []dns.EDNS0{local(dns.EDNS0NSID)}, nsid: "77656231", idle: "-"},
		{name: "NSID with something in it", options: []dns.EDNS0{local(dns.EDNS0NSID, 1, 2)}, nsid: "77656231", idle: "-"},
		{name: "keepalive over UDP", options: []dns.EDNS0{local(dns.EDNS0TCPKEEPALIVE)}, nsid: "-", idle: "-"},
		{name: "keepalive over TCP", tcp: true, options: []dns.EDNS0{local(dns.EDNS0TCPKEEPALIVE)}, nsid: "-", idle: "0064"},
		{name: "keepalive with a time", tcp: true, options: []dns.EDNS0{local(dns.EDNS0TCPKEEPALIVE, 1, 1)}, nsid: "-", idle: "0064"},
		{name: "keepalive of a wrong length", tcp: true, options: []dns.EDNS0{local(dns.EDNS0TCPKEEPALIVE, 1)}, rcode: dns.RcodeFormatError, nsid: "-", idle: "-"},
		{name: "padding without TLS", tcp: true, options: []dns.EDNS0{local(dns.EDNS0PADDING, 0, 0)}, nsid: "-", idle: "-"},
		{name: "options that we do not serve, malformed", options: []dns.EDNS0{local(dns.EDNS0SUBNET, 1), local(dns.EDNS0LLQ, 1), local(dns.EDNS0EXPIRE, 1), local(65535)},
			nsid: "-", idle: "-"},
		{name: "a cookie, though they are off", options: []dns.EDNS0{local(dns.EDNS0COOKIE, 1)}, nsid: "-", idle: "-"},
	}
	for _, tt := range tests {
		c := newClient(t, r)
		c.tcp, c.tls = tt.tcp, tt.tls
		got := c.ask(nil, tt.options...)
		if got.Rcode != tt.rcode || option(got, dns.EDNS0NSID) != tt.nsid || option(got, dns.EDNS0TCPKEEPALIVE) != tt.idle ||
			option(got, dns.EDNS0PADDING) != "-" || option(got, dns.EDNS0COOKIE) != "-" {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

// A reply over TLS to a client that pads is a whole number of blocks long (RFC 8467).
func TestPadding(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 6000, zone.OrderRandom))
	for _, tt := range []struct {
		qname  string
		padded bool
	}{{"web1.node.gossip.", true}, {"web.service.gossip.", true}, {"nope.gossip.", true}, {"many.service.gossip.", false}} {
		m := new(dns.Msg).SetQuestion(tt.qname, dns.TypeA).SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, 60)}}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		out := r.respond(packet, path{tcp: true, tls: true})
		if err := new(dns.Msg).Unpack(out); err != nil || (len(out)%468 == 0) != tt.padded && len(out) < 65535-468 || len(out) > 65535 {
			t.Errorf("%s: %d octets, %v", tt.qname, len(out), err)
		}
	}
}

func cookieOption(b ...byte) dns.EDNS0 { return local(dns.EDNS0COOKIE, b...) }

// TestCookies has a row for each state of a client's cookie under each policy.
func TestCookies(t *testing.T) {
	t.Parallel()
	jar := cookie.NewJar(cookie.Random())
	half := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	good := jar.Make(half, netip.MustParseAddr("192.0.2.1"), time.Unix(1e9, 0))
	foreign := jar.Make(half, netip.MustParseAddr("192.0.2.2"), time.Unix(1e9, 0))
	noQuestion := func(m *dns.Msg) { m.Question = nil }
	tests := []struct {
		name          string
		cookie        []byte // nil: none
		edit          func(*dns.Msg)
		tcp           bool
		rcode         int
		rcodeRequired int // when good cookies are required
		fresh         bool
	}{
		{name: "none"},
		{name: "new client", cookie: half[:], rcodeRequired: dns.RcodeBadCookie, fresh: true},
		{name: "new client over TCP", cookie: half[:], tcp: true, fresh: true},
		{name: "good", cookie: good[:], fresh: true},
		{name: "somebody else's", cookie: foreign[:], rcodeRequired: dns.RcodeBadCookie, fresh: true},
		{name: "somebody else's over TCP", cookie: foreign[:], tcp: true, fresh: true},
		{name: "of no such length", cookie: half[:7], rcode: dns.RcodeFormatError, rcodeRequired: dns.RcodeFormatError},
		{name: "empty", cookie: []byte{}, rcode: dns.RcodeFormatError, rcodeRequired: dns.RcodeFormatError},
		{name: "no question, none", edit: noQuestion, rcode: dns.RcodeFormatError, rcodeRequired: dns.RcodeFormatError},
		{name: "no question, new client", edit: noQuestion, cookie: half[:], fresh: true},
		{name: "no question, good", edit: noQuestion, cookie: good[:], fresh: true},
		{name: "no question, somebody else's", edit: noQuestion, cookie: foreign[:], rcode: dns.RcodeBadCookie, rcodeRequired: dns.RcodeBadCookie, fresh: true},
		{name: "good, of a later EDNS", edit: func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }, cookie: good[:], rcode: dns.RcodeBadVers, rcodeRequired: dns.RcodeBadVers},
	}
	for _, tt := range tests {
		for _, require := range []bool{false, true} {
			r := newResponder(testZone(t, 0, zone.OrderStable))
			r.policy.cookies, r.policy.requireCookie = jar, require
			c := newClient(t, r)
			c.tcp = tt.tcp
			c.now = c.now.Add(time.Minute)
			var options []dns.EDNS0
			if tt.cookie != nil {
				options = []dns.EDNS0{cookieOption(tt.cookie...)}
			}
			got := c.ask(tt.edit, options...)
			want := tt.rcode
			if require {
				want = tt.rcodeRequired
			}
			if got.Rcode != want || (len(got.Answer) > 0) != (want == dns.RcodeSuccess && tt.edit == nil) {
				t.Errorf("%s, required %t: got %v", tt.name, require, got)
			}
			fresh, _ := hex.DecodeString(option(got, dns.EDNS0COOKIE))
			if (len(fresh) > 0) != tt.fresh || tt.fresh && jar.Check(fresh, c.client, c.now) != cookie.Good {
				t.Errorf("%s, required %t: the reply's cookie is %x", tt.name, require, fresh)
			}
		}
	}
}

// TestRateLimit: over the limit a client gets nothing, or an invitation to come over TCP or with a cookie; never more
// than the question was long, and errors no second life.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	jar := cookie.NewJar(cookie.Random())
	half := [8]byte{1}
	tests := []struct {
		name  string
		slip  int
		tcp   bool
		other bool // from another network
		edit  func(*dns.Msg)
		good  bool // with a good cookie
		half  bool // with half a one
		want  string
	}{
		{name: "dropped", want: "-"},
		{name: "slipped", slip: 1, want: "NOERROR TC"},
		{name: "TCP", slip: 1, tcp: true, want: "NOERROR 1"},
		{name: "another network", other: true, want: "NOERROR 1"},
		{name: "a good cookie", good: true, want: "NOERROR 1"},
		{name: "a new client", half: true, want: "-"},
		{name: "a new client, slipped", slip: 1, half: true, want: "BADCOOKIE"},
		{name: "no such name, dropped", edit: func(m *dns.Msg) { m.Question[0].Name = "nope.gossip." }, want: "-"},
		{name: "no such name, slipped", slip: 1, edit: func(m *dns.Msg) { m.Question[0].Name = "nope.gossip." }, want: "NOERROR TC"},
		{name: "no such type, slipped", slip: 1, edit: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX }, want: "NOERROR TC"},
		{name: "refused, slipped", slip: 1, edit: func(m *dns.Msg) { m.Question[0].Name = "." }, want: "REFUSED"},
		{name: "refused, dropped", edit: func(m *dns.Msg) { m.Question[0].Name = "." }, want: "-"},
	}
	for _, tt := range tests {
		for _, quick := range []bool{false, true} { // both ways count the same
			r := newResponder(testZone(t, 0, zone.OrderStable))
			r.policy.limiter = rrl.New(rrl.Config{Rate: 5, Slip: tt.slip})
			r.policy.cookies, r.policy.origin = jar, time.Unix(1e9, 0)
			if quick {
				r.quick = newQuick(&r.policy, r.stats)
			}
			c := newClient(t, r)
			for range 5 {
				if got := c.ask(tt.edit); got == nil || got.Truncated {
					t.Fatalf("%s: got %v below the limit", tt.name, got)
				}
			}
			if tt.other {
				c.client = netip.MustParseAddr("192.0.3.1")
			}
			c.tcp = tt.tcp
			var options []dns.EDNS0
			fresh := jar.Make(half, c.client, c.now)
			switch {
			case tt.good:
				options = []dns.EDNS0{cookieOption(fresh[:]...)}
			case tt.half:
				options = []dns.EDNS0{cookieOption(half[:]...)}
			}
			got := describe(c.ask(tt.edit, options...))
			if got != tt.want {
				t.Errorf("%s, quick %t: got %q, want %q", tt.name, quick, got, tt.want)
			}
			s := r.stats.read()
			if s.Dropped+s.Slipped != map[bool]uint64{true: 1}[got != "NOERROR 1"] || (s.Dropped == 1) != (got == "-") {
				t.Errorf("%s, quick %t: dropped %d, slipped %d", tt.name, quick, s.Dropped, s.Slipped)
			}
		}
	}
}

// describe says in short what a reply is; "-" if there is none.
func describe(reply *dns.Msg) string {
	if reply == nil {
		return "-"
	}
	text := dns.RcodeToString[reply.Rcode]
	if reply.Truncated {
		text += " TC"
	}
	if len(reply.Answer) > 0 {
		text += fmt.Sprintf(" %d", len(reply.Answer))
	}
	if len(reply.Ns) > 0 {
		text += " with authority"
	}
	return text
}

// TestChaos: the server tells about itself what it was told to, and nothing else.
func TestChaos(t *testing.T) {
	t.Parallel()
	tests := []struct {
		qname   string
		qtype   uint16
		tell    bool
		rcode   int
		answers []string
	}{
		{"version.bind.", dns.TypeTXT, false, dns.RcodeRefused, nil},
		{"hostname.bind.", dns.TypeTXT, false, dns.RcodeRefused, nil},
		{"version.bind.", dns.TypeTXT, true, 0, []string{`version.bind. 0 CH TXT "gossip \"1\""`}},
		{"VERSION.Bind.", dns.TypeANY, true, 0, []string{`VERSION.Bind. 0 CH TXT "gossip \"1\""`}},
		{"version.server.", dns.TypeTXT, true, 0, []string{`version.server. 0 CH TXT "gossip \"1\""`}},
		{"hostname.bind.", dns.TypeTXT, true, 0, []string{`hostname.bind. 0 CH TXT "web1"`}},
		{"id.server.", dns.TypeTXT, true, 0, []string{`id.server. 0 CH TXT "web1"`}},
		{"id.server.", dns.TypeA, true, 0, nil},
		{"authors.bind.", dns.TypeTXT, true, dns.RcodeRefused, nil},
		{"web1.node.gossip.", dns.TypeA, true, dns.RcodeRefused, nil},
	}
	for _, tt := range tests {
		r := newResponder(testZone(t, 0, zone.OrderStable))
		if tt.tell {
			r.policy.nsid, r.policy.version = "web1", `gossip "1"`
		}
		got := newClient(t, r).ask(func(m *dns.Msg) {
			m.Question[0] = dns.Question{Name: tt.qname, Qtype: tt.qtype, Qclass: dns.ClassCHAOS}
		})
		var answers []string
		for _, rr := range got.Answer {
			answers = append(answers, strings.Join(strings.Fields(rr.String()), " "))
		}
		if got.Rcode != tt.rcode || !slices.Equal(answers, tt.answers) || (option(got, dns.EDNS0EDE) == "-") != (tt.rcode == 0) {
			t.Errorf("%s %d, to be told %t: got %v", tt.qname, tt.qtype, tt.tell, got)
		}
	}
}

// The longest identifier, name and cookie still fit into the shortest reply together.
func TestEverythingFits(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 0, zone.OrderStable))
	r.policy.nsid, r.policy.cookies = strings.Repeat("n", MaxIdentifier), cookie.NewJar(cookie.Random())
	label := strings.Repeat("a", 63) + "."
	for _, qname := range []string{label + label + label + strings.Repeat("b", 54) + ".gossip.", label + label + label + strings.Repeat("b", 61) + "."} {
		m := new(dns.Msg).SetQuestion(qname, dns.TypeA).SetEdns0(512, false)
		m.IsEdns0().Option = []dns.EDNS0{cookieOption(1, 2, 3, 4, 5, 6, 7, 8), local(dns.EDNS0NSID)}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		out := r.respond(packet, overUDP)
		got := new(dns.Msg)
		if err := got.Unpack(out); err != nil || len(out) > 512 || option(got, dns.EDNS0COOKIE) == "-" || option(got, dns.EDNS0NSID) == "-" {
			t.Errorf("%s: %d octets, %v: %v", qname, len(out), err, got)
		}
	}
}

// FuzzParse: reading a packet ends, whatever it is, and what it finds lies inside.
func FuzzParse(f *testing.F) {
	for _, options := range [][]dns.EDNS0{nil, {cookieOption(1, 2, 3, 4, 5, 6, 7, 8), local(dns.EDNS0NSID)}, {local(dns.EDNS0PADDING, 0), local(1, 1)}} {
		m := new(dns.Msg).SetQuestion("web1.node.gossip.", dns.TypeA).SetEdns0(1232, true)
		m.IsEdns0().Option = options
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) < headerSize {
			return
		}
		req := parse(packet)
		if req.broken {
			return
		}
		if req.questions != int(binary.BigEndian.Uint16(packet[4:])) || len(req.wireName) > maxNameWire {
			t.Errorf("got %+v", req)
		}
		// What we take, the library takes, but for the insides of records that we do not look into.
		if binary.BigEndian.Uint16(packet[6:])|binary.BigEndian.Uint16(packet[8:])|binary.BigEndian.Uint16(packet[10:]) == 0 {
			if err := new(dns.Msg).Unpack(packet); err != nil {
				t.Errorf("%x: %v", packet, err)
			}
		}
	})
}
