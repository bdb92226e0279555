// Package dnsclient asks one DNS server one question and returns the answer as plain text values. It is for
// `gossip resolve` and for tests: people and programs that want to see what a server says, without dig. It does
// not follow CNAMEs, search lists or delegations.
package dnsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is what we offer to take over UDP: safe against fragmentation (DNS flag day 2020).
	udpSize = 1232
	// udpTries is how often a question is sent over UDP before giving up; UDP loses packets.
	udpTries = 3
	// tryTimeout is how long one try may take; the context may end it sooner.
	tryTimeout = 2 * time.Second
)

// Record is one resource record.
type Record struct {
	Name string // owner, fully qualified, as the server spelled it
	TTL  uint32 // seconds
	Type string // "A", "SRV", ...; "TYPE123" if unknown
	Data string // in zone-file form
}

// String returns the record as a line of a zone file.
func (r Record) String() string {
	return fmt.Sprintf("%s\t%d\tIN\t%s\t%s", r.Name, r.TTL, r.Type, r.Data)
}

// Answer is what the server said. A name that does not exist is an answer, not an error.
type Answer struct {
	Rcode         string // "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", ...
	Reason        string // the server's own explanation (Extended DNS Error, RFC 8914); usually empty
	Authoritative bool
	Truncated     bool   // even over TCP: there is more than a message can hold
	Proto         string // "udp" or "tcp": which transport brought this answer
	Records       []Record
	Authority     []Record // the SOA of a negative answer
	Additional    []Record // addresses of SRV targets
}

// Question is what to ask whom.
type Question struct {
	Server    string // host:port
	Name      string
	Type      string // such as "SOA"; "" means A
	TCP       bool   // not over UDP at all
	Recursive bool   // for a resolver, which is to ask others
	Unchecked bool   // wants the answer even if the resolver finds it bogus (the CD bit)
}

// Lookup asks the server, given as host:port, for the records of a type (such as "A"; empty means A) that name
// has. The question goes out over UDP, and again over TCP if the answer was truncated. An error means that no
// usable answer came; whatever the server did answer, SERVFAIL included, is in Answer.
func Lookup(ctx context.Context, server, name, qtype string) (Answer, error) {
	return Ask(ctx, Question{Server: server, Name: name, Type: qtype})
}

// Ask is Lookup with more to say.
func Ask(ctx context.Context, q Question) (Answer, error) {
	query, err := question(q.Name, q.Type)
	if err != nil {
		return Answer{}, err
	}
	query.RecursionDesired, query.CheckingDisabled = q.Recursive, q.Unchecked
	var reply *dns.Msg
	proto := "tcp"
	if q.TCP {
		reply, err = send(ctx, "tcp", q.Server, query)
	} else {
		reply, proto, err = exchange(ctx, q.Server, query)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("dns server %s did not answer: %w; is it running, and is the address right?", q.Server, err)
	}
	return answer(reply, proto), nil
}

func question(name, qtype string) (*dns.Msg, error) {
	if qtype == "" {
		qtype = "A"
	}
	code, ok := dns.StringToType[strings.ToUpper(qtype)]
	if !ok {
		return nil, fmt.Errorf("dns type %q is not known; try A, AAAA, SRV, TXT, SOA or NS", qtype)
	}
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, fmt.Errorf("%q is not a domain name: labels have 1 to 63 characters, the whole at most 253", name)
	}
	query := new(dns.Msg).SetQuestion(asReplied(dns.Fqdn(name)), code)
	query.SetEdns0(udpSize, false)
	return query, nil
}

// asReplied writes a name as it stands in a reply that was read: a space, for one, becomes an escape.
func asReplied(name string) string {
	var wire [255]byte
	if _, err := dns.PackDomainName(name, wire[:], 0, nil, false); err != nil {
		return name // which fails when it is sent
	}
	if read, _, err := dns.UnpackDomainName(wire[:], 0); err == nil {
		return read
	}
	return name
}

// exchange returns the reply and the transport that brought it.
func exchange(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, string, error) {
	var reply *dns.Msg
	var err error
	for range udpTries {
		if reply, err = send(ctx, "udp", server, query); err == nil || ctx.Err() != nil || !isTimeout(err) {
			break
		}
	}
	if err != nil {
		return nil, "", err
	}
	if !reply.Truncated {
		return reply, "udp", nil
	}
	if reply, err = send(ctx, "tcp", server, query); err != nil {
		return nil, "", fmt.Errorf("the answer is too long for UDP, and over TCP: %w", err)
	}
	return reply, "tcp", nil
}

func send(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	client := &dns.Client{Net: network, UDPSize: udpSize, Timeout: tryTimeout}
	reply, _, err := client.ExchangeContext(ctx, query, server)
	if err != nil {
		return nil, err
	}
	if !reply.Response || !echoes(reply, query) {
		return nil, errors.New("the reply is to some other question")
	}
	return reply, nil
}

// echoes reports whether the reply repeats the question. A server that could not read the question, or will not
// look at it, may leave it out.
func echoes(reply, query *dns.Msg) bool {
	if len(reply.Question) == 0 {
		return reply.Rcode != dns.RcodeSuccess
	}
	got, want := reply.Question[0], query.Question[0]
	return strings.EqualFold(got.Name, want.Name) && got.Qtype == want.Qtype && got.Qclass == want.Qclass
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

func answer(reply *dns.Msg, proto string) Answer {
	rcode, ok := dns.RcodeToString[reply.Rcode]
	if !ok {
		rcode = fmt.Sprintf("RCODE%d", reply.Rcode)
	}
	a := Answer{
		Rcode:         rcode,
		Authoritative: reply.Authoritative,
		Truncated:     reply.Truncated,
		Proto:         proto,
		Records:       records(reply.Answer),
		Authority:     records(reply.Ns),
		Additional:    records(reply.Extra),
	}
	if opt := reply.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok {
				a.Reason = reason(ede)
			}
		}
	}
	return a
}

func reason(ede *dns.EDNS0_EDE) string {
	text, ok := dns.ExtendedErrorCodeToString[ede.InfoCode]
	if !ok {
		text = fmt.Sprintf("EDE %d", ede.InfoCode)
	}
	if ede.ExtraText != "" {
		text += ": " + ede.ExtraText
	}
	return text
}

func records(rrs []dns.RR) []Record {
	var out []Record
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue // about the message, not about the name
		}
		out = append(out, Record{
			Name: h.Name,
			TTL:  h.Ttl,
			Type: dns.Type(h.Rrtype).String(),
			Data: strings.TrimPrefix(rr.String(), h.String()),
		})
	}
	return out
}
