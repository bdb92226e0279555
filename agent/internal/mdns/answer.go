package mdns

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// answers returns where the instances of a service are to be found, as one response says: the address and port of
// every SRV record of the service, IPv4 if the host has both. It takes no record for an instance of something else,
// and no instance without an address. Bytes that are no response are an error; what precedes the fault still counts.
func answers(packet []byte, service string) ([]netip.AddrPort, error) {
	var p dnsmessage.Parser
	head, err := p.Start(packet)
	if err != nil {
		return nil, err
	}
	if !head.Response || head.RCode != dnsmessage.RCodeSuccess {
		return nil, nil
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, err
	}
	r := records{service: "." + strings.ToLower(service), hosts: map[string]netip.Addr{}}
	err = r.read(p.AnswerHeader, p.SkipAnswer, &p)
	if err == nil {
		if err = p.SkipAllAuthorities(); err == nil {
			err = r.read(p.AdditionalHeader, p.SkipAdditional, &p)
		}
	}
	var found []netip.AddrPort
	for _, srv := range r.services {
		if ip, ok := r.hosts[srv.target]; ok && srv.port != 0 {
			found = append(found, netip.AddrPortFrom(ip, srv.port))
		}
	}
	return found, err
}

// records are the records of a response that matter.
type records struct {
	service  string // what names of instances end with, in lower case
	services []struct {
		target string
		port   uint16
	}
	hosts map[string]netip.Addr // by target
}

// read takes the records of one section.
func (r *records) read(header func() (dnsmessage.ResourceHeader, error), skip func() error, p *dnsmessage.Parser) error {
	for {
		h, err := header()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.ToLower(h.Name.String())
		switch {
		case h.Type == dnsmessage.TypeSRV && strings.HasSuffix(name, r.service):
			srv, err := p.SRVResource()
			if err != nil {
				return err
			}
			r.services = append(r.services, struct {
				target string
				port   uint16
			}{strings.ToLower(srv.Target.String()), srv.Port})
		case h.Type == dnsmessage.TypeA:
			a, err := p.AResource()
			if err != nil {
				return err
			}
			r.hosts[name] = netip.AddrFrom4(a.A)
		case h.Type == dnsmessage.TypeAAAA:
			a, err := p.AAAAResource()
			if err != nil {
				return err
			}
			if _, ok := r.hosts[name]; !ok {
				r.hosts[name] = netip.AddrFrom16(a.AAAA).Unmap()
			}
		default:
			if err := skip(); err != nil {
				return err
			}
		}
	}
}
