package config

import (
	"reflect"
	"strings"
	"testing"
)

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"node_name": "a", "tags": {"a": "b"}, "mdns": {"disable_ipv4": true}, "protocol": 4.5}`))
	f.Add([]byte(`{"start_join": ["a"], "retry_interval": "3s"} trailing`))
	f.Add([]byte(`{"a": {"b": [1, null, {}]}}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, src []byte) { checkFile(t, "x.json", src) })
}

func FuzzHCL(f *testing.F) {
	f.Add([]byte("node_name = \"a\"\ntags { a = \"b\" }\nmdns {\n disable_ipv4 = true\n}\nprotocol = 4"))
	f.Add([]byte("start_join = [\"${1}\", <<E\nx\nE\n]"))
	f.Add([]byte("/* c */ event_handlers = [\"echo $${X:-\\\"y\\\"} \\u00e9\", \"b\",] // d\nmdns = {} # e"))
	f.Add([]byte("retry_max_attempts = 0x1F, protocol = -0.4e+1 bind = <<-E\r\n x\r\n E\r\n"))
	f.Add([]byte("tags {a = [{b = [[1] true]}]} tags \"l\" {} \"a\" ="))
	f.Fuzz(func(t *testing.T, src []byte) { checkFile(t, "x.hcl", src) })
}

// checkFile checks that whatever is read either is refused on one line and changes nothing, or can be completed
// or refused.
func checkFile(t *testing.T, name string, src []byte) {
	c := Default()
	c.NodeName = "n"
	before := c.Clone()
	if err := loadFile(&c, name, src); err != nil {
		if !strings.HasPrefix(err.Error(), "error decoding '"+name+"': ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("unclear error: %v", err)
		}
		if !reflect.DeepEqual(c, before) {
			t.Errorf("an error changed the configuration: %v", err)
		}
		return
	}
	_, _ = c.Complete() // must not panic; either outcome is right
}
