package wire

import (
	"errors"
	"fmt"
)

// TagsLimit is how many bytes a member's encoded tags may have: memberlist's limit for a node's meta.
const TagsLimit = 512

// tagsMagic begins a meta that holds a map of tags. Without it, the meta is the text of the tag "role", as it
// was in protocol version 2.
const tagsMagic = 0xff

// ErrTagsTooLong says that tags do not fit TagsLimit.
var ErrTagsTooLong = errors.New("Encoded length of tags exceeds limit of 512 bytes") //nolint:staticcheck // Serf's words

// EncodeTags returns tags as a node's meta for the given version of Serf's protocol (Serf reference 1.7). Keys
// are sorted, so that equal tags are equal bytes: memberlist announces an update whenever the bytes differ.
// Version 2 carries the tag "role" alone. The error is ErrTagsTooLong.
func EncodeTags(tags map[string]string, protocol uint8) ([]byte, error) {
	var meta []byte
	if protocol < 3 {
		meta = []byte(tags["role"])
	} else {
		if tags == nil {
			tags = map[string]string{}
		}
		meta = appendStringMap([]byte{tagsMagic}, tags)
	}
	if len(meta) > TagsLimit {
		return nil, ErrTagsTooLong
	}
	return meta, nil
}

// DecodeTags returns the tags in a node's meta, never nil. If they are damaged the map is empty.
func DecodeTags(meta []byte) (map[string]string, error) {
	if len(meta) == 0 || meta[0] != tagsMagic {
		return map[string]string{"role": string(meta)}, nil
	}
	r := reader{buf: meta[1:]}
	tags := r.stringMap()
	if r.err != nil {
		return map[string]string{}, fmt.Errorf("damaged tags: %w", r.err)
	}
	if tags == nil {
		tags = map[string]string{}
	}
	return tags, nil
}
