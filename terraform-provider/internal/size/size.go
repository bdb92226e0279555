// Package size works out how many bytes things take on the wire, so that plans and functions can tell what is too
// large before an agent refuses it. It is pure and imports the standard library alone.
package size

// MaxTags is how many bytes all tags of a node may take together: memberlist's limit of metadata (Serf reference 2.2).
const MaxTags = 512

// Tags returns how many bytes tags take as a node announces them: a leading byte, and a msgpack map of strings (Serf
// reference 2.2).
func Tags(tags map[string]string) int {
	n := 1 + header(len(tags))
	for key, value := range tags {
		n += text(key) + text(value)
	}
	return n
}

// Event returns how many bytes of its limit an event takes: name and payload (Serf reference 2.6).
func Event(name string, payload int) int { return len(name) + payload }

// header returns the bytes before the entries of a msgpack map.
func header(entries int) int {
	switch {
	case entries < 16:
		return 1
	case entries < 1<<16:
		return 3
	default:
		return 5
	}
}

// text returns the bytes of a msgpack string in the form that Serf writes, which has no 8-bit length.
func text(s string) int {
	switch {
	case len(s) < 32:
		return 1 + len(s)
	case len(s) < 1<<16:
		return 3 + len(s)
	default:
		return 5 + len(s)
	}
}
