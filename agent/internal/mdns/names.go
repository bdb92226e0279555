package mdns

import (
	"fmt"
	"strings"
)

const domain = "local."

// Limits of DNS names in bytes (RFC 1035 section 2.3.4).
const (
	maxLabel = 63
	maxName  = 255
)

func serviceType(cluster string) string { return "_serf_" + cluster + "._tcp" }

// instance returns a node's name as the name of a service. Serf's is the plain name, in which dots part labels; a name
// that cannot stand like that becomes one label, cut to fit. Nobody reads it: it only has to differ from others.
func instance(node string) string {
	fits := len(node) <= maxName/2
	for label := range strings.SplitSeq(node, ".") {
		fits = fits && len(label) >= 1 && len(label) <= maxLabel
	}
	if fits {
		return escape(node)
	}
	return strings.ReplaceAll(escape(node[:min(len(node), maxLabel)]), ".", `\.`)
}

// escape puts a name into the text form in which the library compares names (RFC 1035 section 5.1).
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case strings.IndexByte(` '@;()"\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
