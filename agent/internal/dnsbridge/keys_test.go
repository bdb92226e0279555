package dnsbridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
)

// TestPrepare: keys and contacts are exchanged while the bridge runs, all of them or none.
func TestPrepare(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newKey := func(zone string) string {
		k, err := dnssec.Generate(zone, dnssec.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		file, err := k.Save(dir)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	one, two, foreign := newKey("gossip"), newKey("gossip"), newKey("example")
	tsigFile := filepath.Join(dir, "tsig.key")
	write := func(names ...string) {
		t.Helper()
		var text strings.Builder
		for _, n := range names {
			text.WriteString("key " + n + ` { algorithm hmac-sha256; secret "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISE/Pz8="; };` + "\n")
		}
		if err := os.WriteFile(tsigFile, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBridge(t, view.NewStore("a"), nil)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	take := func(cfg Config) error {
		commit, err := b.Prepare(cfg)
		if err == nil {
			commit()
		}
		return err
	}
	state := func() string {
		t.Helper()
		a, err := dnsclient.Lookup(t.Context(), b.Addr(), "gossip", "DNSKEY")
		if err != nil {
			t.Fatal(err)
		}
		var tags []string
		for _, r := range b.signer.Load().Keys() {
			tags = append(tags, strings.Fields(r)[0])
		}
		if len(a.Records) != len(tags) {
			t.Errorf("%d keys served, of %v", len(a.Records), tags)
		}
		stats := b.Stats()
		_, transfers := stats["transfers_full"]
		_, notifies := stats["notifies_sent"]
		text := strings.Join(tags, " ") + " " + strings.Join(b.out.keys.Load().Names(), " ")
		if transfers {
			text += " transfers"
		}
		if notifies {
			text += " notifies"
		}
		return strings.TrimSpace(text)
	}
	tag := func(file string) string {
		k, err := dnssec.LoadPublic(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(k.String())[0]
	}
	write("x")
	full := Config{SigningKeys: []string{one}, Outward: Outward{
		Keys: tsigFile, Transfer: []string{"127.0.0.1 key=x"}, Notify: []string{"127.0.0.1:9 key=x"},
	}}
	if err := take(full); err != nil {
		t.Fatal(err)
	}
	want := tag(one) + " x. transfers notifies"
	if got := state(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	signer := b.signer.Load()
	if err := take(full); err != nil || b.signer.Load() != signer {
		t.Errorf("the same again: %v, or the signatures were forgotten", err)
	}
	for text, spoil := range map[string]func(*Config){
		"no such file":                 func(c *Config) { c.SigningKeys = []string{two, filepath.Join(dir, "none")} },
		"is for the zone example.":     func(c *Config) { c.SigningKeys = []string{foreign} },
		"no key \"y.\"":                func(c *Config) { c.Outward.Transfer = []string{"key=y"} },
		"dns_notify":                   func(c *Config) { c.Outward.Notify = []string{"127.0.0.1:9 key=y"} },
		"dns_tsig_keys names no file":  func(c *Config) { c.Outward.Keys = "" },
		"secrets of dns cookies":       func(c *Config) { c.Server.CookieFile = tsigFile },
		"dns_update_key: there is no ": func(c *Config) { c.Outward.Server, c.Outward.Key = "127.0.0.1", "y" },
	} {
		bad := full
		spoil(&bad)
		if err := take(bad); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v", text, err)
		}
		if got := state(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	write("y")
	if err := take(Config{SigningKeys: []string{two}, Outward: Outward{Keys: tsigFile}}); err != nil {
		t.Fatal(err)
	}
	if got, want := state(), tag(two)+" y."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := take(Config{}); err != nil || state() != "" {
		t.Errorf("none: %v, %s", err, state())
	}
}
