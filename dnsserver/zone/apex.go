package zone

import "slices"

// SOA timers, for secondaries. NOTIFY is what keeps them in step, so these only repair.
const (
	soaRefresh = 60
	soaRetry   = 10
	soaExpire  = 24 * 60 * 60
)

// maxNS bounds the NS set: the apex must stay a small answer however many members serve the zone.
const maxNS = 13

// apex is what stands at the origin.
type apex struct {
	soa, ns *RRset
	ptr     *group // may be nil
}

func (a *apex) set(t Type) *RRset {
	switch t {
	case TypeSOA:
		return a.soa
	case TypeNS:
		return a.ns
	case TypePTR:
		if a.ptr != nil {
			return a.ptr.set(t)
		}
	}
	return nil
}

// primary is the host that the SOA record names.
func (z *Zone) primary() *Host {
	if self, ok := z.members.get([]byte(z.cfg.self)); ok && self.nsHost != nil {
		return self.nsHost
	}
	return z.cfg.nobody
}

// hosts are those of the NS set.
func (z *Zone) hosts() []*Host {
	var hosts []*Host
	for _, h := range z.servers.all() {
		if hosts = append(hosts, h); len(hosts) == maxNS {
			break
		}
	}
	if len(hosts) == 0 {
		hosts = []*Host{z.primary()} // a zone has at least one (RFC 1035 section 5.2)
	}
	return hosts
}

// setApex builds the record sets at the origin of a new generation.
func (z *Zone) setApex(hosts []*Host, primary *Host) {
	if z.ns == nil || !slices.Equal(z.ns.NS, hosts) {
		z.ns = &RRset{Type: TypeNS, TTL: z.cfg.nodeTTL, NS: hosts}
	}
	z.soa = &RRset{Type: TypeSOA, TTL: z.cfg.negativeTTL, SOA: &SOA{
		Primary: primary.Name,
		Mailbox: "hostmaster." + z.cfg.origin.text,
		Serial:  z.serial,
		Refresh: soaRefresh,
		Retry:   soaRetry,
		Expire:  soaExpire,
		Minimum: z.cfg.negativeTTL,
	}}
	z.names, _ = z.names.with([]item[Name]{{"", Name{shapeApex, &apex{z.soa, z.ns, z.ptr}}}})
}
