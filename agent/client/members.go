package client

import (
	"encoding/binary"
	"math"
	"net"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

// members is a members response. Lists of members are the only large messages of the protocol, and whoever watches a
// large cluster decodes one for each change, so they are decoded by hand as far as they have the form that agents
// write. What has another form, and may be right nevertheless, is left to package frame.
type members struct {
	list       []api.Member
	confidence *api.Confidence // nil if the agent does not say
}

func (m *members) decode(body []byte) error {
	p := parser{b: body, same: make(map[string]string)}
	if p.response(m); !p.strange && len(p.b) == 0 {
		return nil
	}
	var resp api.MembersResponse
	err := frame.Decode(body, &resp)
	m.list, m.confidence = resp.Members, resp.Confidence
	return err
}

// parser takes msgpack apart that frame.Reader has found well-formed.
type parser struct {
	b       []byte
	strange bool              // met something that it does not know; nothing that it returned counts
	same    map[string]string // strings that come again and again, such as tags, once each
}

// maxSame bounds parser.same where tags differ from member to member.
const maxSame = 1024

func (p *parser) response(m *members) {
	n := p.length(0x80, 0xde)
	if n == 2 {
		m.confidence = p.confidence()
		n--
	}
	if n != 1 || string(p.text()) != "Members" {
		p.strange = true
		return
	}
	n = p.length(0x90, 0xdc)
	if p.strange || n > len(p.b) { // every member takes a byte at least
		p.strange = true
		return
	}
	m.list = make([]api.Member, n)
	for i := range m.list {
		if p.member(&m.list[i]); p.strange {
			return
		}
	}
}

func (p *parser) confidence() *api.Confidence {
	if string(p.text()) != "Confidence" {
		p.strange = true
		return nil
	}
	c := &api.Confidence{}
	for range p.length(0x80, 0xde) {
		switch string(p.text()) {
		case "Evidence":
			c.Evidence = string(p.text())
		case "Isolated":
			c.Isolated = p.truth()
		case "Synced":
			c.Synced = p.truth()
		case "VisibleShare":
			if p.take(1)[0] != 0xcb {
				p.strange = true
				return nil
			}
			c.VisibleShare = math.Float64frombits(binary.BigEndian.Uint64(p.take(8)))
		default:
			p.strange = true
		}
		if p.strange {
			return nil
		}
	}
	return c
}

func (p *parser) member(m *api.Member) {
	for range p.length(0x80, 0xde) {
		switch string(p.text()) {
		case "Addr":
			m.Addr = append(net.IP(nil), p.text()...)
		case "Damped":
			m.Damped = p.truth()
		case "DelegateCur":
			m.DelegateCur = uint8(p.number(1))
		case "DelegateMax":
			m.DelegateMax = uint8(p.number(1))
		case "DelegateMin":
			m.DelegateMin = uint8(p.number(1))
		case "Name":
			m.Name = string(p.text())
		case "Note":
			m.Note = p.shared()
		case "Port":
			m.Port = p.number(2)
		case "ProtocolCur":
			m.ProtocolCur = uint8(p.number(1))
		case "ProtocolMax":
			m.ProtocolMax = uint8(p.number(1))
		case "ProtocolMin":
			m.ProtocolMin = uint8(p.number(1))
		case "Since":
			m.Since = p.unix()
		case "Status":
			m.Status = p.shared()
		case "Tags":
			n := p.length(0x80, 0xde)
			if p.strange || n > len(p.b) {
				p.strange = true
				return
			}
			m.Tags = make(map[string]string, n)
			for range n {
				k := p.shared()
				m.Tags[k] = p.shared()
			}
		case "Until":
			m.Until = p.unix()
		default:
			p.strange = true
		}
		if p.strange {
			return
		}
	}
}

// take returns the next n bytes.
func (p *parser) take(n int) []byte {
	if n > len(p.b) {
		p.strange, p.b = true, nil
		return make([]byte, min(n, 8)) // enough for every number
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

// length takes the head of a map or array: fix is the code of the empty short form, wide that of the 16-bit form.
func (p *parser) length(fix, wide byte) int {
	switch c := p.take(1)[0]; c {
	case wide:
		return int(binary.BigEndian.Uint16(p.take(2)))
	case wide + 1:
		return int(binary.BigEndian.Uint32(p.take(4)))
	default:
		if c&0xf0 != fix {
			p.strange = true
			return 0
		}
		return int(c & 0x0f)
	}
}

// text takes a string or a byte slice in any form. It shares the parser's memory.
func (p *parser) text() []byte {
	switch c := p.take(1)[0]; c {
	case 0xc4, 0xd9:
		return p.take(int(p.take(1)[0]))
	case 0xc5, 0xda:
		return p.take(int(binary.BigEndian.Uint16(p.take(2))))
	case 0xc6, 0xdb:
		return p.take(int(binary.BigEndian.Uint32(p.take(4))))
	default:
		if c&0xe0 != 0xa0 {
			p.strange = true
			return nil
		}
		return p.take(int(c & 0x1f))
	}
}

// shared takes a string that may well come again.
func (p *parser) shared() string {
	b := p.text()
	if s, ok := p.same[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(p.same) < maxSame {
		p.same[s] = s
	}
	return s
}

// truth takes true or false.
func (p *parser) truth() bool {
	switch p.take(1)[0] {
	case 0xc2:
		return false
	case 0xc3:
		return true
	}
	p.strange = true
	return false
}

// unix takes a number of 32 bits.
func (p *parser) unix() uint64 {
	if p.take(1)[0] != 0xce {
		p.strange = true
		return 0
	}
	return uint64(binary.BigEndian.Uint32(p.take(4)))
}

// number takes an unsigned number of at most the given bytes.
func (p *parser) number(width int) uint16 {
	switch c := p.take(1)[0]; {
	case c < 0x80:
		return uint16(c)
	case c == 0xcc:
		return uint16(p.take(1)[0])
	case c == 0xcd && width == 2:
		return binary.BigEndian.Uint16(p.take(2))
	default:
		p.strange = true
		return 0
	}
}
