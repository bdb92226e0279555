package transfer

import (
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/journal"
	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

const (
	// fullMessage is how many octets of records, before compression, make a message full. Compression works in the
	// first 16 KiB of a message only, and takes most names away.
	fullMessage = 32 << 10
	// advertised is how long a UDP message we take (DNS flag day 2020).
	advertised = 1232
)

// sender makes the messages of one answer. The methods that send must be called once at most.
type sender struct {
	req   Request
	query *dns.Msg
	write func([]byte) error

	batch []dns.RR
	size  int // of the batch, before compression

	// What was sent.
	serial                    uint32
	records, messages, octets int
}

// refuse answers with a code and no records.
func (o *sender) refuse(rcode int, ede uint16, why string) error {
	m := new(dns.Msg).SetRcode(o.query, rcode)
	o.addOPT(m, &dns.EDNS0_EDE{InfoCode: ede, ExtraText: why})
	return o.send(m)
}

// soa answers with the newest SOA record alone.
func (o *sender) soa(z *zone.Zone) error {
	o.serial = z.Serial()
	if err := o.add(record.Of(z.Origin(), z.SOA())...); err != nil {
		return err
	}
	return o.flush()
}

// zone answers with all of the zone between its SOA record and that once more: RFC 5936 section 2.2.
func (o *sender) zone(z *zone.Zone) error {
	o.serial = z.Serial()
	soa := record.Of(z.Origin(), z.SOA())
	if err := o.add(soa...); err != nil {
		return err
	}
	for owner, set := range z.RRsets() {
		if set.Type == zone.TypeSOA {
			continue
		}
		if err := o.add(record.Of(owner, set)...); err != nil {
			return err
		}
	}
	if err := o.add(soa...); err != nil {
		return err
	}
	return o.flush()
}

// sequence is the records of an increment in their order: RFC 1995 section 4.
func sequence(d journal.Delta) []record.Record {
	out := make([]record.Record, 0, len(d.Removed)+len(d.Added)+4)
	out = append(append(out, d.To, d.From), d.Removed...)
	out = append(append(out, d.To), d.Added...)
	return append(out, d.To)
}

// fits reports whether an increment can go into one message over UDP.
func (o *sender) fits(d journal.Delta) bool {
	limit := o.req.Limit
	if o.req.Signed != nil {
		limit -= o.req.Signed.Overhead()
	}
	records := sequence(d)
	if len(records)*minRecord > limit {
		return false
	}
	rrs := make([]dns.RR, len(records))
	for i, r := range records {
		rrs[i] = r.RR()
	}
	return o.message(rrs).Len() <= limit
}

// minRecord is the least that a record takes: a pointer to its name, and what comes before the data.
const minRecord = 2 + 10

// delta answers with what changed.
func (o *sender) delta(d journal.Delta) error {
	o.serial = d.ToSerial
	for _, r := range sequence(d) {
		if err := o.add(r.RR()); err != nil {
			return err
		}
	}
	return o.flush()
}

// add puts records into the answer, and sends a message when one is full.
func (o *sender) add(rrs ...dns.RR) error {
	for _, rr := range rrs {
		size := dns.Len(rr)
		if len(o.batch) > 0 && o.size+size > fullMessage && o.req.TCP {
			if err := o.flush(); err != nil {
				return err
			}
		}
		o.batch = append(o.batch, rr)
		o.size += size
	}
	return nil
}

func (o *sender) flush() error {
	m := o.message(o.batch)
	o.records += len(o.batch)
	o.batch, o.size = o.batch[:0], 0
	return o.send(m)
}

// message makes the next message. Only the first repeats the question (RFC 5936 section 2.2.1).
func (o *sender) message(answer []dns.RR) *dns.Msg {
	m := new(dns.Msg).SetReply(o.query)
	m.Authoritative, m.Compress, m.Answer = true, true, answer
	if o.messages > 0 {
		m.Question = nil
	} else {
		o.addOPT(m)
	}
	return m
}

// addOPT answers EDNS with EDNS.
func (o *sender) addOPT(m *dns.Msg, options ...dns.EDNS0) {
	if o.query.IsEdns0() == nil {
		return
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}, Option: options}
	opt.SetUDPSize(advertised)
	m.Extra = append(m.Extra, opt)
}

func (o *sender) send(m *dns.Msg) error {
	packet, err := m.Pack()
	if err != nil {
		return fmt.Errorf("message %d cannot be packed: %w", o.messages+1, err)
	}
	if o.req.Signed != nil {
		packet = o.req.Signed.Seal(packet, time.Now())
	}
	o.messages++
	o.octets += len(packet)
	return o.write(packet)
}
