package update

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
)

// Time limits.
const (
	dialTimeout = 5 * time.Second
	// messageTimeout is how long the primary may take for an answer, or the next message of one.
	messageTimeout = 30 * time.Second
)

// RcodeError is an answer of the primary's other than success.
type RcodeError struct {
	Rcode int
	What  string // what we asked for
}

func (e *RcodeError) Error() string {
	name, ok := dns.RcodeToString[e.Rcode]
	if !ok {
		name = fmt.Sprintf("code %d", e.Rcode)
	}
	hint := ""
	switch e.Rcode {
	case dns.RcodeRefused:
		hint = "; does it allow that from here and with this key?"
	case dns.RcodeNotAuth:
		hint = "; is it the primary of this zone, and does it know the key?"
	case dns.RcodeNotZone:
		hint = "; is the name within the zone?"
	}
	return fmt.Sprintf("the primary answers %s to %s%s", name, e.What, hint)
}

// unmet reports whether an update was not made as the primary's records are not what we thought.
func unmet(err error) bool {
	return isRcode(err, dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeNameError)
}

// isRcode reports whether the primary answered with one of these codes.
func isRcode(err error, codes ...int) bool {
	var e *RcodeError
	return errors.As(err, &e) && slices.Contains(codes, e.Rcode)
}

// conn is a connection to the primary over TCP. It belongs to one goroutine, and is of no use after an error that is not
// an RcodeError.
type conn struct {
	net.Conn
	key  *tsig.Key
	stop func() bool // takes back what closes the connection when the updater is closed
}

func dial(ctx context.Context, addr string, key *tsig.Key) (*conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, key: key}, nil
}

// ask sends a message and returns the answer.
func (c *conn) ask(m *dns.Msg, what string) (*dns.Msg, error) {
	var reply *dns.Msg
	err := c.exchange(m, func(got *dns.Msg) (more bool, err error) {
		reply = got
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError || reply.Rcode == dns.RcodeNameError && m.Opcode == dns.OpcodeUpdate {
		return nil, &RcodeError{reply.Rcode, what}
	}
	return reply, nil
}

// exchange sends a message and hands over the messages of the answer for as long as take wants more.
func (c *conn) exchange(m *dns.Msg, take func(*dns.Msg) (more bool, err error)) error {
	packet, err := m.Pack()
	if err != nil {
		return fmt.Errorf("message to the primary: %w", err)
	}
	var signed *tsig.Exchange
	if c.key != nil {
		signed = tsig.NewExchange(c.key)
		packet = signed.Seal(packet, time.Now())
	}
	if err := c.SetDeadline(time.Now().Add(messageTimeout)); err != nil {
		return err
	}
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	if _, err := c.Write(framed); err != nil {
		return err
	}
	for {
		if err := c.SetDeadline(time.Now().Add(messageTimeout)); err != nil {
			return err
		}
		var prefix [2]byte
		if _, err := io.ReadFull(c, prefix[:]); err != nil {
			return err
		}
		packet := make([]byte, binary.BigEndian.Uint16(prefix[:]))
		if _, err := io.ReadFull(c, packet); err != nil {
			return err
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(packet); err != nil {
			return fmt.Errorf("answer of the primary: %w", err)
		}
		if reply.Id != m.Id || !reply.Response {
			return errors.New("the primary's answer is to some other message")
		}
		if signed != nil {
			if _, err := signed.Verify(packet, time.Now()); err != nil {
				if errors.Is(err, tsig.ErrUnsigned) && reply.Rcode != dns.RcodeSuccess {
					return &RcodeError{reply.Rcode, "what we asked"} // a server that does not want us need not sign
				}
				return err
			}
		}
		more, err := take(reply)
		if err != nil || !more {
			if err == nil && signed != nil && !signed.Done() {
				return tsig.ErrUnsigned
			}
			return err
		}
	}
}

// state is what the primary has below our name.
type state struct {
	ours    map[string][]record.Record // records of the types that we publish, by name
	foreign map[string]struct{}        // names without our marker
}

// published are the types of records that we publish, and so may remove at names of ours.
func published(t uint16) bool {
	switch t {
	case dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypePTR:
		return true
	}
	return false
}

// readAll reads all below our name by a transfer of the zone.
func (c *conn) readAll(zone, below, marker string) (state, error) {
	all := map[string][]record.Record{}
	marked := map[string]struct{}{}
	soas := 0
	err := c.exchange(new(dns.Msg).SetAxfr(zone), func(m *dns.Msg) (more bool, err error) {
		if m.Rcode != dns.RcodeSuccess {
			return false, &RcodeError{m.Rcode, "a transfer of " + zone}
		}
		if len(m.Answer) == 0 {
			return false, errors.New("the primary sends a transfer without records")
		}
		for _, rr := range m.Answer {
			owner := dns.CanonicalName(rr.Header().Name)
			if rr.Header().Rrtype == dns.TypeSOA && owner == zone {
				soas++
				continue
			}
			if owner != below && !strings.HasSuffix(owner, "."+below) {
				continue
			}
			if marks, isMarker := isMarker(rr, owner, marker); isMarker {
				if marks != "" {
					marked[marks] = struct{}{}
				}
				continue
			}
			list := all[owner] // the name exists, whatever the type
			if published(rr.Header().Rrtype) {
				if r, err := canonical(rr, owner); err == nil {
					list = append(list, r)
				}
			}
			all[owner] = list
		}
		return soas < 2, nil
	})
	if err != nil {
		return state{}, err
	}
	s := state{ours: map[string][]record.Record{}, foreign: map[string]struct{}{}}
	for owner := range marked {
		s.ours[owner] = all[owner]
		delete(all, owner)
	}
	for owner := range all {
		s.foreign[owner] = struct{}{}
	}
	return s, nil
}

// isMarker tells whether a record is a marker, and which name it marks as ours; "" if it is somebody else's marker.
func isMarker(rr dns.RR, owner, marker string) (marks string, ok bool) {
	marked, ok := strings.CutPrefix(owner, markerLabel)
	txt, isTXT := rr.(*dns.TXT)
	if !ok || !isTXT {
		return "", false
	}
	if len(txt.Txt) == 1 && txt.Txt[0] == marker {
		return marked, true
	}
	return "", true
}

// canonical returns a record as we would make it: our names are in small letters, as those in records of ours are.
func canonical(rr dns.RR, owner string) (record.Record, error) {
	rr = dns.Copy(rr)
	rr.Header().Name = owner
	switch rr := rr.(type) {
	case *dns.SRV:
		rr.Target = dns.CanonicalName(rr.Target)
	case *dns.PTR:
		rr.Ptr = dns.CanonicalName(rr.Ptr)
	}
	return record.Pack(rr)
}

// readName reads what is at one name, which takes a query for each type.
func (c *conn) readName(owner, marker string) (owned bool, have []record.Record, err error) {
	query := func(name string, t uint16) ([]dns.RR, error) {
		m := new(dns.Msg).SetQuestion(name, t)
		m.RecursionDesired = false
		reply, err := c.ask(m, "a question for "+name)
		if err != nil {
			return nil, err
		}
		return reply.Answer, nil
	}
	answer, err := query(markerLabel+owner, dns.TypeTXT)
	if err != nil {
		return false, nil, err
	}
	for _, rr := range answer {
		if marks, _ := isMarker(rr, dns.CanonicalName(rr.Header().Name), marker); marks == owner {
			owned = true
		}
	}
	if !owned {
		return false, nil, nil
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypePTR} {
		answer, err := query(owner, t)
		if err != nil {
			return false, nil, err
		}
		for _, rr := range answer {
			if rr.Header().Rrtype != t || dns.CanonicalName(rr.Header().Name) != owner {
				continue
			}
			if r, err := canonical(rr, owner); err == nil {
				have = append(have, r)
			}
		}
	}
	return true, have, nil
}
