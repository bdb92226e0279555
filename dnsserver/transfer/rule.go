package transfer

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Rule admits clients to transfers: those of one network, those with one key, or those with the key in the network.
type Rule struct {
	Network netip.Prefix // the zero value means any
	Key     string       // name with its last dot, in lower case; "" means any, or none at all
}

// ParseRule reads a rule: a network or an address, "key=NAME", or both with a space between them.
func ParseRule(text string) (Rule, error) {
	var r Rule
	for _, word := range strings.Fields(text) {
		name, isKey := strings.CutPrefix(word, "key=")
		switch {
		case isKey && r.Key != "", !isKey && r.Network.IsValid():
			return Rule{}, fmt.Errorf("%q names two of a kind; write two rules", text)
		case isKey:
			if _, ok := dns.IsDomainName(name); !ok || name == "" {
				return Rule{}, fmt.Errorf("%q: %q is not the name of a key", text, name)
			}
			r.Key = strings.ToLower(dns.Fqdn(name))
		default:
			var err error
			if r.Network, err = parseNetwork(word); err != nil {
				return Rule{}, fmt.Errorf("%q: %q is neither an address, nor a network such as 10.0.0.0/8, nor key=NAME", text, word)
			}
		}
	}
	if r == (Rule{}) {
		return Rule{}, errors.New("the rule is empty; write a network, key=NAME, or both")
	}
	return r, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("an IPv4 network in IPv6 form")
	}
	return p.Masked(), nil
}

// String returns the rule as ParseRule reads it.
func (r Rule) String() string {
	var words []string
	if r.Network.IsValid() {
		words = append(words, r.Network.String())
	}
	if r.Key != "" {
		words = append(words, "key="+r.Key)
	}
	return strings.Join(words, " ")
}

// admits reports whether the rule lets a client in that signed with the key, "" if it did not sign.
func (r Rule) admits(from netip.Addr, key string) bool {
	if r == (Rule{}) {
		return false
	}
	return (!r.Network.IsValid() || r.Network.Contains(from.Unmap().WithZone(""))) && (r.Key == "" || r.Key == key)
}
