package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// entry is one message on its way to the output.
type entry struct {
	time  time.Time
	level hclog.Level
	name  string // component; may be empty
	msg   string
	args  []any // alternating keys and values
}

// missingKey stands for the key of a last argument that has none, as in go-hclog.
const missingKey = hclog.MissingKey

// stamp returns what comes before the text of a line: time and level.
func (e *entry) stamp() string {
	t := e.time.Format("2006/01/02 15:04:05 ")
	if name, ok := levelNames[e.level]; ok {
		t += "[" + name + "] "
	}
	return t
}

// text returns the rest of the line: "component: message: key=value". A line feed within it becomes the two
// characters \n, so that an entry is always one line and nobody outside can forge another.
func (e *entry) text() string {
	var b strings.Builder
	if e.name != "" {
		b.WriteString(e.name)
		b.WriteString(": ")
	}
	b.WriteString(strings.TrimRight(e.msg, "\n"))
	for i := 0; i < len(e.args); i += 2 {
		if i == 0 {
			b.WriteByte(':')
		}
		key, value := e.arg(i)
		b.WriteByte(' ')
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(quoteIfNeeded(fmt.Sprint(value)))
	}
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(b.String())
}

// format returns the line with its line feed.
func (e *entry) format(f Format) []byte {
	if f == JSON {
		return e.json()
	}
	return []byte(e.stamp() + e.text() + "\n")
}

// json returns the entry under the keys that go-hclog uses.
func (e *entry) json() []byte {
	fields := make(map[string]any, 4+len(e.args)/2)
	for i := 0; i < len(e.args); i += 2 {
		key, value := e.arg(i)
		switch v := value.(type) {
		case nil, bool, string, int, int32, int64, uint, uint8, uint16, uint32, uint64, float64, []string:
			fields[key] = v
		default:
			fields[key] = fmt.Sprint(v)
		}
	}
	fields["@timestamp"] = e.time.Format("2006-01-02T15:04:05.000000Z07:00")
	fields["@message"] = strings.TrimRight(e.msg, "\n")
	if e.name != "" {
		fields["@module"] = e.name
	}
	if e.level != hclog.NoLevel {
		fields["@level"] = e.level.String()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil { // a float that is no number
		return fmt.Appendf(nil, `{"@message":%q,"@level":"error"}`+"\n", "log entry has no JSON form: "+err.Error())
	}
	return b.Bytes()
}

// arg returns the key and value at i; a value without a key gets missingKey, and the values whose plain form
// would mislead are put in words.
func (e *entry) arg(i int) (string, any) {
	if i+1 >= len(e.args) {
		return missingKey, plain(e.args[i])
	}
	key, ok := e.args[i].(string)
	if !ok {
		key = fmt.Sprint(e.args[i])
	}
	return key, plain(e.args[i+1])
}

func plain(v any) any {
	switch v := v.(type) {
	case hclog.Format:
		if len(v) == 0 {
			return ""
		}
		format, ok := v[0].(string)
		if !ok {
			return fmt.Sprint(v...)
		}
		return fmt.Sprintf(format, v[1:]...)
	case hclog.Hex:
		return "0x" + strconv.FormatUint(uint64(v), 16)
	case hclog.Octal:
		return "0" + strconv.FormatUint(uint64(v), 8)
	case hclog.Binary:
		return "0b" + strconv.FormatUint(uint64(v), 2)
	default:
		return v
	}
}

// quoteIfNeeded quotes a value in which a reader could not see where it ends.
func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\r\n\"=") {
		return strconv.Quote(s)
	}
	return s
}
