package dnsserver

import (
	"errors"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/transfer"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
)

// open checks the signature of a message that has one (TSIG, RFC 8945), and takes it off: all else is done as if it had not
// been there, and seal signs the reply. It returns why the message is refused, if it is.
func open(req *request, p *path) *tsig.Error {
	if !req.signed || req.broken {
		return nil
	}
	plain, exchange, err := p.id.keys.Open(req.packet, p.now)
	var refused *tsig.Error
	if errors.As(err, &refused) {
		return refused
	}
	if req.broken = err != nil; !req.broken {
		*req = parse(plain)
		p.signed = exchange
	}
	return nil
}

// seal signs a reply, if the query was signed.
func seal(out, query []byte, p path, refused *tsig.Error) []byte {
	switch {
	case refused != nil:
		return p.id.keys.Refusal(out, query, refused, p.now)
	case p.signed != nil:
		return p.signed.Seal(out, p.now)
	}
	return out
}

// overhead is what the signature will add to the reply, in octets.
func (p *path) overhead() int {
	if p.signed == nil {
		return 0
	}
	return p.signed.Overhead()
}

// transfers tells whether a message is a request for a transfer by somebody who may have one. Anybody else is refused as
// with any question that is not answered.
func (r *responder) transfers(req *request, p path) bool {
	if r.policy.transfers == nil || req.opcode != dns.OpcodeQuery || req.broken || req.questions != 1 ||
		req.edns.present && req.edns.version > 0 {
		return false
	}
	if t := req.question.Qtype; t != dns.TypeAXFR && t != dns.TypeIXFR {
		return false
	}
	return r.policy.transfers.Admits(p.client, p.signed)
}

// transfer answers such a request. All messages but the last leave at once; it returns the last, or nil if the client does not
// take them.
func (r *responder) transfer(req *request, p path) []byte {
	var last []byte
	err := r.policy.transfers.Serve(transfer.Request{
		Packet: req.packet, From: p.client, TCP: p.tcp, Limit: p.limit(req), Signed: p.signed,
	}, func(packet []byte) error {
		if last != nil {
			if err := p.send(last); err != nil {
				return err
			}
		}
		last = packet
		return nil
	})
	if err != nil {
		r.stats.errors.Add(1)
		return nil
	}
	r.stats.types[typeIndex(req.question.Qtype)].Add(1)
	return last
}
