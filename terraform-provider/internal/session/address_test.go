package session

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"127.0.0.1:7373":          "127.0.0.1:7373",
		"tcp://127.0.0.1:7373":    "127.0.0.1:7373",
		"tcp://agent.internal:1/": "agent.internal:1",
		"[::1]:7373":              "[::1]:7373",
		"tls://[::1]:7373/":       "tls://[::1]:7373",
		"unix:///run/gossip.sock": "unix:///run/gossip.sock",
	}
	for text, want := range good {
		if got, err := ParseAddress(text); got != want || err != nil {
			t.Errorf("ParseAddress(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	bad := map[string]string{
		"":                    "is not host:port",
		"127.0.0.1":           "is not host:port",
		"::1:7373":            "is not host:port",
		":7373":               "names no host",
		"a b:7373":            "names no host",
		"127.0.0.1:0":         "is not a number from 1 to 65535",
		"127.0.0.1:65536":     "is not a number from 1 to 65535",
		"127.0.0.1:rpc":       "is not a number from 1 to 65535",
		"tls://127.0.0.1":     "is not host:port",
		"http://127.0.0.1:1":  "unknown scheme",
		"unix://gossip.sock":  "must be absolute",
		"tcp://host:1/folder": "is not a number from 1 to 65535",
	}
	for text, want := range bad {
		if got, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAddress(%q) = %q, %v, want an error that says %q", text, got, err, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{"127.0.0.1:7373", "tcp://[::1]:1/", "unix:///x", "tls://", "tls://a:1", ":", "[%]:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(addr); err != nil || again != addr {
			t.Errorf("%q gives %q, which gives %q and %v", text, addr, again, err)
		}
	})
}

func TestIsSelf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		peer, self string
		want       bool
	}{
		{"10.0.0.1:7946", "10.0.0.1:7946", true},
		{"10.0.0.1", "10.0.0.1:7946", true},
		{"10.0.0.1", "10.0.0.1:7947", false},
		{"[::ffff:10.0.0.1]:7946", "10.0.0.1:7946", true},
		{"::1", "[::1]:7946", true},
		{"[::1]", "[::1]:7946", true},
		{"[::1]:7946", "[::1]:7946", true},
		{"10.0.0.2:7946", "10.0.0.1:7946", false},
		{"localhost:7946", "127.0.0.1:7946", false}, // never looked up
	}
	for _, tt := range tests {
		if got := isSelf(tt.peer, netip.MustParseAddrPort(tt.self)); got != tt.want {
			t.Errorf("isSelf(%q, %s) = %v, want %v", tt.peer, tt.self, got, tt.want)
		}
	}
}

func TestFirstLine(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"1 error occurred:\n\t* Failed to join 10.0.0.2: connection refused\n\n": "Failed to join 10.0.0.2: connection refused",
		"plain":   "plain",
		"a\nb":    "a",
		"":        `""`,
		"\n * \n": `"\n * \n"`,
	}
	for text, want := range tests {
		if got := firstLine(text); got != want {
			t.Errorf("firstLine(%q) = %q, want %q", text, got, want)
		}
	}
}
