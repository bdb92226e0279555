package mdns

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

const service = "_serf_dc1._tcp.local."

// serfAnswer is what Debian's Serf sends: PTR, SRV, A and TXT of "serf" at 10.77.0.2:7950 on the host "vm".
const serfAnswer = "000084000000000400000000095f736572665f646331045f746370056c6f63616c00000c00010000007800070473657266c00c" +
	"c02c0021000100000078000a000a00011f0e02766d00c045000100010000007800040a4d0002" +
	"c02c00100001000000780013125365726620276463312720636c7573746572"

// record makes one record of a response.
func record(name string, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 120},
		Body:   body,
	}
}

func srv(name, target string, port uint16) dnsmessage.Resource {
	return record(name, &dnsmessage.SRVResource{Priority: 10, Weight: 1, Port: port, Target: dnsmessage.MustNewName(target)})
}

func host(name, ip string) dnsmessage.Resource {
	if addr := netip.MustParseAddr(ip); addr.Is4() {
		return record(name, &dnsmessage.AResource{A: addr.As4()})
	}
	return record(name, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(ip).As16()})
}

func pack(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	response := dnsmessage.Header{Response: true, Authoritative: true}
	serf, err := hex.DecodeString(serfAnswer)
	if err != nil {
		t.Fatal(err)
	}
	ptr := record(service, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("a." + service)})
	tests := []struct {
		name   string
		packet []byte
		want   string
	}{
		{"Serf's", serf, "[10.77.0.2:7950]"},
		{"no address", pack(t, dnsmessage.Message{Header: response, Answers: []dnsmessage.Resource{ptr, srv("a."+service, "h.", 1)}}), "[]"},
		{"no port", pack(t, dnsmessage.Message{Header: response, Answers: []dnsmessage.Resource{srv("a."+service, "h.", 0), host("h.", "10.0.0.1")}}), "[]"},
		{"a question", pack(t, dnsmessage.Message{Answers: []dnsmessage.Resource{srv("a."+service, "h.", 1), host("h.", "10.0.0.1")}}), "[]"},
		{"an error", pack(t, dnsmessage.Message{Header: dnsmessage.Header{Response: true, RCode: dnsmessage.RCodeRefused},
			Answers: []dnsmessage.Resource{srv("a."+service, "h.", 1), host("h.", "10.0.0.1")}}), "[]"},
		{"a printer", pack(t, dnsmessage.Message{Header: response,
			Answers: []dnsmessage.Resource{srv("p._ipp._tcp.local.", "h.", 631), host("h.", "10.0.0.1")}}), "[]"},
		{"another cluster", pack(t, dnsmessage.Message{Header: response,
			Answers: []dnsmessage.Resource{srv("a._serf_dc2._tcp.local.", "h.", 1), host("h.", "10.0.0.1")}}), "[]"},
		{"addresses behind, other letters", pack(t, dnsmessage.Message{Header: response, Answers: []dnsmessage.Resource{ptr},
			Additionals: []dnsmessage.Resource{host("H.local.", "10.0.0.1"), srv("a._SERF_dc1._tcp.local.", "h.LOCAL.", 1)}}), "[10.0.0.1:1]"},
		{"IPv4 before IPv6", pack(t, dnsmessage.Message{Header: response, Answers: []dnsmessage.Resource{
			srv("a."+service, "h.", 1), host("h.", "10.0.0.1"), host("h.", "2001:db8::1"),
			srv("b."+service, "i.", 2), host("i.", "2001:db8::2"), host("i.", "10.0.0.2")}}), "[10.0.0.1:1 10.0.0.2:2]"},
		{"IPv6", pack(t, dnsmessage.Message{Header: response, Answers: []dnsmessage.Resource{
			srv("a."+service, "h.", 1), host("h.", "2001:db8::1")}}), "[[2001:db8::1]:1]"},
	}
	for _, tt := range tests {
		got, err := answers(tt.packet, service)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: got %v, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	for _, packet := range [][]byte{nil, {1}, serf[:11], serf[:40]} {
		if _, err := answers(packet, service); err == nil {
			t.Errorf("%x was taken for a message", packet)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	serf, err := hex.DecodeString(serfAnswer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(serf)
	f.Add(pack(f, dnsmessage.Message{Header: dnsmessage.Header{Response: true},
		Additionals: []dnsmessage.Resource{srv("a."+service, "h.", 1), host("h.", "2001:db8::1")}}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		found, _ := answers(packet, service)
		if len(found) > len(packet) {
			t.Errorf("%d addresses from %d bytes", len(found), len(packet))
		}
		if slices.ContainsFunc(found, func(a netip.AddrPort) bool { return !a.IsValid() || a.Port() == 0 }) {
			t.Errorf("got %v", found)
		}
	})
}

func TestInstance(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 70)
	for node, want := range map[string]string{
		"web-1":           "web-1",
		"web.dc1":         "web.dc1",
		"two words":       `two\ words`,
		`back\slash`:      `back\\slash`,
		"café":            `caf\195\169`,
		".":               `\.`,
		"a..b":            `a\.\.b`,
		"end.":            `end\.`,
		long:              long[:63],
		"a." + long:       `a\.` + long[:61],
		"tab\tand\x00nil": `tab\009and\000nil`,
	} {
		if got := instance(node); got != want {
			t.Errorf("%q: got %s, want %s", node, got, want)
		}
	}
}
