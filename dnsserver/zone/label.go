package zone

import "strings"

const hexDigits = "0123456789abcdef"

// Label returns the label under which a node, service, tag key or tag value is published: the name itself in
// lower case if it is made of letters, digits, hyphens and underscores, and else with every other byte written as
// _xHH in hexadecimal. So db1.example becomes db1_x2eexample. A hyphen or underscore at the start, a hyphen at
// the end, and an underscore that would read as an escape are escaped as well. The escape loses nothing but
// case: different names have different labels unless they differ in case only.
//
// It reports false for a name that has no label: an empty one, and one longer than 63 bytes once escaped.
func Label(name string) (string, bool) { return label(name, false) }

// exactLabel is Label with capitals escaped too, so that no two names share one.
func exactLabel(name string) (string, bool) { return label(name, true) }

func label(name string, exact bool) (string, bool) {
	if name == "" || len(name) > maxLabel {
		return "", false
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z' && !exact:
			b.WriteByte(lowerByte(c))
		case mustEscape(name, i):
			b.WriteString("_x")
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		default:
			b.WriteByte(c)
		}
	}
	if b.Len() > maxLabel {
		return "", false
	}
	return b.String(), true
}

func mustEscape(name string, i int) bool {
	switch c := name[i]; {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return false
	case c == '-':
		return i == 0 || i == len(name)-1
	case c == '_':
		return i == 0 || len(name) >= i+4 && lowerByte(name[i+1]) == 'x' && isHex(name[i+2]) && isHex(name[i+3])
	default:
		return true
	}
}

func isHex(c byte) bool { return strings.IndexByte(hexDigits, lowerByte(c)) >= 0 }

func hexValue(c byte) byte { return byte(strings.IndexByte(hexDigits, lowerByte(c))) }

// Unlabel is the inverse of Label, but for the case of letters.
func Unlabel(label string) string {
	var b strings.Builder
	for i := 0; i < len(label); i++ {
		if label[i] == '_' && len(label) >= i+4 && label[i+1] == 'x' && isHex(label[i+2]) && isHex(label[i+3]) {
			b.WriteByte(hexValue(label[i+2])<<4 | hexValue(label[i+3]))
			i += 3
			continue
		}
		b.WriteByte(label[i])
	}
	return b.String()
}
