package desired

import (
	"errors"
	"fmt"
	"net/netip"
)

// maxNameLen is Serf's own limit for node names.
const maxNameLen = 128

// checkName admits [A-Za-z0-9][A-Za-z0-9_.:-]{0,127}: no separator of any file or socket protocol that we
// write to.
func checkName(name string) error {
	if name == "" {
		return errors.New("it has no name")
	}
	if len(name) > maxNameLen {
		return fmt.Errorf("its name has %d characters; the limit is %d", len(name), maxNameLen)
	}
	for i := range len(name) {
		if c := name[i]; !alnum(c) && (i == 0 || (c != '_' && c != '.' && c != ':' && c != '-')) {
			return fmt.Errorf("its name has %q at position %d; names may have letters, digits and _ . : - and begin with a letter or digit", name[i:i+1], i+1)
		}
	}
	return nil
}

func checkAddr(addr netip.Addr, allowLoopback bool) error {
	switch {
	case addr.Zone() != "":
		return fmt.Errorf("its address %s has a zone", addr)
	case addr.IsUnspecified():
		return fmt.Errorf("its address %s is nobody's", addr)
	case addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("its address %s is a group's", addr)
	case addr.IsLoopback() && !allowLoopback:
		return fmt.Errorf("its address %s is this host itself; set allow_loopback if that is meant", addr)
	}
	return nil
}

// safeTags returns the tags that cannot end a word, a line or a quotation in any of our files.
func safeTags(tags map[string]string) map[string]string {
	safe := map[string]string{}
	for key, value := range tags {
		if safeText(key) && safeText(value) {
			safe[key] = value
		}
	}
	return safe
}

func safeText(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case alnum(c):
		case c == '_', c == '.', c == ':', c == '-', c == '/', c == '+', c == '=', c == ',', c == '@', c == '%':
		default:
			return false
		}
	}
	return true
}

func alnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
