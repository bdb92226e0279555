//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// The zone: nodes with an address each, and services of some nodes each.
const (
	nodes      = 1000
	services   = 50
	perService = 20
	ttl        = 30
)

func nodeName(i int) string    { return fmt.Sprintf("node-%04d", i) }
func serviceName(i int) string { return fmt.Sprintf("svc-%02d", i) }

func nodeAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 20, byte(i / 250), byte(i%250 + 1)})
}

// instances yields the members of each service with their ports.
func instances(yield func(service, node, port int)) {
	for s := range services {
		for k := range perService {
			yield(s+1, (s*perService+k)%nodes+1, 8000+k)
		}
	}
}

// writeZone writes the zone as a file for the other servers.
func writeZone(dir string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN gossip.\n$TTL %d\n@ IN SOA ns1.gossip. hostmaster.gossip. 1 3600 600 86400 %d\n@ IN NS ns1.gossip.\nns1 IN A 127.0.0.1\n", ttl, ttl)
	for i := 1; i <= nodes; i++ {
		fmt.Fprintf(&b, "%s.node IN A %s\n", nodeName(i), nodeAddr(i))
	}
	instances(func(service, node, port int) {
		fmt.Fprintf(&b, "%s.service IN A %s\n", serviceName(service), nodeAddr(node))
		fmt.Fprintf(&b, "_%s._tcp.service IN SRV 1 1 %d %s.node.gossip.\n", serviceName(service), port, nodeName(node))
	})
	return os.WriteFile(filepath.Join(dir, zoneFile), []byte(b.String()), 0o644)
}

const zoneFile = "gossip.zone"

// members are the same zone as our server takes it.
func members() []zone.Change {
	all := make([]zone.Member, nodes+1)
	for i := 1; i <= nodes; i++ {
		all[i] = zone.Member{Name: nodeName(i), Addrs: []netip.Addr{nodeAddr(i)}, Live: true}
	}
	instances(func(service, node, port int) {
		all[node].Services = append(all[node].Services, zone.Service{Name: serviceName(service), Port: uint16(port), Weight: 1, Priority: 1})
	})
	var changes []zone.Change
	for i := 1; i <= nodes; i++ {
		changes = append(changes, zone.Change{Name: all[i].Name, Member: &all[i]})
	}
	return changes
}

// mix is a list of questions of one kind and length.
type mix struct {
	name    string
	count   int
	size    int    // of each question's packet
	packets []byte // one behind the other, the ID of each is its place
	end     int    // of the question in each; what follows is an OPT record
	rcode   byte
}

// question returns a packet.
func (m *mix) question(i int) []byte { return m.packets[i*m.size : (i+1)*m.size] }

const (
	typeA   = 1
	typeSRV = 33
	typeOPT = 41
)

// ednsSize is what clients of the mix with EDNS take: common for networks of today, and enough for the answers.
const ednsSize = 1400

func mixNamed(name string) (*mix, error) {
	random := rand.New(rand.NewPCG(42, 0))
	m := &mix{name: name, count: 20000}
	var ask func() []byte
	switch name {
	case "A":
		ask = func() []byte { return question(nodeName(random.IntN(nodes)+1)+".node.gossip", typeA, false) }
	case "service":
		ask = func() []byte { return question(serviceName(random.IntN(services)+1)+".service.gossip", typeA, false) }
	case "SRV":
		ask = func() []byte {
			return question("_"+serviceName(random.IntN(services)+1)+"._tcp.service.gossip", typeSRV, true)
		}
	case "NXDOMAIN":
		m.rcode = 3
		ask = func() []byte { return question(fmt.Sprintf("nx-%05d.node.gossip", random.IntN(100000)), typeA, false) }
	default:
		return nil, fmt.Errorf("no questions %q; there are A, service, SRV and NXDOMAIN", name)
	}
	for i := range m.count {
		q := ask()
		q[0], q[1] = byte(i>>8), byte(i)
		m.packets = append(m.packets, q...)
		m.size = len(q)
	}
	m.end = m.size
	if name == "SRV" {
		m.end -= 11
	}
	return m, nil
}

func question(name string, qtype byte, edns bool) []byte {
	b := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0, 0, qtype, 0, 1)
	if edns {
		b[11] = 1
		b = append(b, 0, 0, typeOPT, ednsSize>>8, ednsSize&0xff, 0, 0, 0, 0, 0, 0)
	}
	return b
}
