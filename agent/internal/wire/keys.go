package wire

import "fmt"

// bytesPerKey is Serf's estimate of what one key takes in an answer, at least.
const bytesPerKey = 25

// EncodeKeyList returns the payload of an answer to a _serf_list-keys query: as many of the keys as fit
// room bytes, with a message if those are not all. Limit is the size limit of query responses, from which Serf
// guesses how many keys may fit (Serf reference 2.10).
func EncodeKeyList(keys []string, primary string, room, limit int) []byte {
	if keys == nil {
		keys = []string{}
	}
	m := &KeyResponse{Result: true, Keys: keys, PrimaryKey: primary}
	b := Encode(m)
	for n := min(len(keys), limit/bytesPerKey); len(b) > room && n >= 0; n-- {
		m.Keys = keys[:n]
		m.Message = fmt.Sprintf("truncated key list response, showing first %d of %d keys", n, len(keys))
		b = Encode(m)
	}
	return b
}
