package size_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/size"
)

// The size is that of what agents really encode.
func TestTags(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 20 {
		many[strings.Repeat("k", i)] = "v"
	}
	for name, tags := range map[string]map[string]string{
		"none": {}, "one": {"role": "web"}, "long": {"a": strings.Repeat("x", 31), "b": strings.Repeat("x", 32), "c": strings.Repeat("x", 300)}, "many": many,
	} {
		var encoded []byte
		if err := codec.NewEncoderBytes(&encoded, &codec.MsgpackHandle{}).Encode(tags); err != nil {
			t.Fatal(err)
		}
		if got, want := size.Tags(tags), 1+len(encoded); got != want {
			t.Errorf("%s: Tags() = %d, and they are encoded in %d bytes", name, got, want)
		}
	}
}
