package zone

import (
	"fmt"
	"strings"
)

// Limits of RFC 1035 section 2.3.4.
const (
	maxName  = 255 // octets of a whole name on the wire
	maxLabel = 63  // octets of a label
)

// ParseName turns a name such as "web.service.gossip." into the wire form that Lookup takes. The last dot may be
// missing. It takes letters, digits, hyphens and underscores alone, of which all names in a zone are made.
func ParseName(text string) ([]byte, error) {
	rest := strings.TrimSuffix(text, ".")
	if rest == "" {
		if text == "." {
			return []byte{0}, nil
		}
		return nil, fmt.Errorf("%q is not a domain name: it is empty", text)
	}
	var wire []byte
	for label := range strings.SplitSeq(rest, ".") {
		if label == "" || len(label) > maxLabel {
			return nil, fmt.Errorf("%q is not a domain name: label %q must have 1 to %d characters", text, label, maxLabel)
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (lowerByte(c) < 'a' || lowerByte(c) > 'z') {
				return nil, fmt.Errorf("%q is not a domain name: character %q is not allowed", text, c)
			}
		}
		wire = appendLabel(wire, label)
	}
	if wire = append(wire, 0); len(wire) > maxName {
		return nil, fmt.Errorf("%q is not a domain name: it has more than %d octets", text, maxName)
	}
	return wire, nil
}

func appendLabel(wire []byte, label string) []byte {
	return append(append(wire, byte(len(label))), label...)
}

// key returns the index key of a name relative to the origin: its labels in wire form, without a root.
func key(labels ...string) string {
	var wire []byte
	for _, label := range labels {
		wire = appendLabel(wire, label)
	}
	return string(wire)
}

func lower(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = lowerByte(c)
	}
	return out
}

// lowerByte folds ASCII letters alone, as DNS compares (RFC 4343). The lengths in a wire name are below 'A', so a
// whole wire name may be folded byte by byte.
func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
