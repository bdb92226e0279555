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
		wire = append(append(wire, byte(len(label))), label...)
	}
	if wire = append(wire, 0); len(wire) > maxName {
		return nil, fmt.Errorf("%q is not a domain name: it has more than %d octets", text, maxName)
	}
	return wire, nil
}

// key returns the key of a name in a tree: its labels, first to last as they are written, from the last to the first,
// each with a zero octet at its end. Keys in the order of strings are names in canonical order, and what is below a name
// has its key as a prefix. No label of ours has a zero octet in it.
func key(labels ...string) string {
	var b strings.Builder
	for i := len(labels) - 1; i >= 0; i-- {
		b.WriteString(labels[i])
		b.WriteByte(0)
	}
	return b.String()
}

// text is the inverse of key below an origin, given as text: it returns the full name.
func text(key, origin string) string {
	var b strings.Builder
	b.Grow(len(key) + len(origin))
	for len(key) > 0 {
		i := strings.LastIndexByte(key[:len(key)-1], 0) + 1
		b.WriteString(key[i : len(key)-1])
		b.WriteByte('.')
		key = key[:i]
	}
	b.WriteString(origin)
	return b.String()
}

// parseKey makes the key of an uncompressed wire name (RFC 1035 section 3.1) in any case, in buf, and reports whether it
// is such a name.
func parseKey(wire []byte, buf *[maxName]byte) (key []byte, ok bool) {
	if len(wire) == 0 || len(wire) > maxName {
		return nil, false
	}
	// Filled from the end to the start: a label with its length takes as much room as a label with its end.
	end := len(wire) - 1
	for i := 0; ; {
		size := int(wire[i])
		if size == 0 {
			return buf[:len(wire)-1], i == len(wire)-1
		}
		if size > maxLabel || i+1+size >= len(wire) {
			return nil, false
		}
		end -= size + 1
		for j, c := range wire[i+1 : i+1+size] {
			if c = lowerByte(c); c == 0 {
				c = 1 // in no name of ours either, and not an end
			}
			buf[end+j] = c
		}
		buf[end+size] = 0
		i += 1 + size
	}
}

// lowerByte folds ASCII letters alone, as DNS compares (RFC 4343).
func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
