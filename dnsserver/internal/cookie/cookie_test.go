package cookie

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	secretA = "e5e973e5a6b2a43f48e7dc849e37bfcf"
	secretB = "445536bcd2513298075a5d379663c962"
	secretC = "dd3bdf9344b678b185a6f5cb60fca715"
)

func jar(t testing.TB, secrets string) *Jar {
	t.Helper()
	s, err := ParseSecrets(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return NewJar(s...)
}

// TestVectors has the examples of RFC 9018 appendix A.
func TestVectors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, secrets, addr string
		checked, made       int64 // when, in seconds since 1970
		option              string
		status              Status
		reply               string
	}{
		{"learn a cookie", secretA, "198.51.100.100", 1559731985, 1559731985, "2464c4abcf10c957", ClientOnly,
			"2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
		{"renew", secretA, "198.51.100.100", 1559734385, 1559734385, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", Good,
			"2464c4abcf10c957010000005cf7a871d4a564a1442aca77"},
		{"reserved octets in use", secretA, "203.0.113.203", 1559727985, 1559734700, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", Good,
			"fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
		{"IPv6, after the secret was replaced", secretB + "\n" + secretC, "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961, 1559741961,
			"22681ab97d52c298010000005cf7c57926556bd0934c72f8", Good, "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
	}
	for _, tt := range tests {
		j, addr := jar(t, tt.secrets), netip.MustParseAddr(tt.addr)
		option := unhex(t, tt.option)
		if got := j.Check(option, addr, time.Unix(tt.checked, 0)); got != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.status)
		}
		if got := j.Make([8]byte(option), addr, time.Unix(tt.made, 0)); hex.EncodeToString(got[:]) != tt.reply {
			t.Errorf("%s: made %x, want %s", tt.name, got, tt.reply)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	j := jar(t, "# ours\n"+secretA+"\n\n")
	addr, made := netip.MustParseAddr("192.0.2.1"), time.Unix(1<<32-100, 0) // the count of seconds runs over soon
	c := j.Make([8]byte{1, 2, 3, 4, 5, 6, 7, 8}, addr, made)
	edit := func(f func(b []byte)) []byte {
		b := append([]byte(nil), c[:]...)
		f(b)
		return b
	}
	tests := []struct {
		name   string
		option []byte
		addr   string
		after  time.Duration
		want   Status
	}{
		{"as made", c[:], "192.0.2.1", 0, Good},
		{"mapped address", c[:], "::ffff:192.0.2.1", 0, Good},
		{"an hour old", c[:], "192.0.2.1", time.Hour, Good},
		{"older", c[:], "192.0.2.1", time.Hour + time.Second, Bad},
		{"a clock behind by five minutes", c[:], "192.0.2.1", -5 * time.Minute, Good},
		{"by more", c[:], "192.0.2.1", -5*time.Minute - time.Second, Bad},
		{"another address", c[:], "192.0.2.2", 0, Bad},
		{"another client's half", edit(func(b []byte) { b[0]++ }), "192.0.2.1", 0, Bad},
		{"another time", edit(func(b []byte) { b[15]++ }), "192.0.2.1", 0, Bad},
		{"another hash", edit(func(b []byte) { b[23]++ }), "192.0.2.1", 0, Bad},
		{"another version", edit(func(b []byte) { b[8]++ }), "192.0.2.1", 0, Bad},
		{"another server's", make([]byte, 16), "192.0.2.1", 0, Bad},
		{"the longest", make([]byte, 40), "192.0.2.1", 0, Bad},
		{"half", c[:8], "192.0.2.1", 0, ClientOnly},
		{"nothing", nil, "192.0.2.1", 0, Malformed},
		{"7 octets", c[:7], "192.0.2.1", 0, Malformed},
		{"15 octets", c[:15], "192.0.2.1", 0, Malformed},
		{"41 octets", make([]byte, 41), "192.0.2.1", 0, Malformed},
	}
	for _, tt := range tests {
		if got := j.Check(tt.option, netip.MustParseAddr(tt.addr), made.Add(tt.after)); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A cookie outlives one change of the secret, and not two.
func TestRoll(t *testing.T) {
	t.Parallel()
	j, addr, now := NewJar(Random()), netip.MustParseAddr("2001:db8::1"), time.Unix(1e9, 0)
	c := j.Make([8]byte{1}, addr, now)
	for i, want := range []Status{Good, Bad} {
		j.Roll(Random())
		if got := j.Check(c[:], addr, now); got != want {
			t.Errorf("after %d changes: %d, want %d", i+1, got, want)
		}
	}
}

func TestParseSecrets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", secretA + "00", secretA[:30], "x" + secretA[1:]} {
		if _, err := ParseSecrets(text); err == nil || strings.Contains(err.Error(), secretA[1:16]) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	if s, err := ParseSecrets(secretA + "\r\n  " + secretB + "\n"); err != nil || len(s) != 2 || hex.EncodeToString(s[1][:]) != secretB {
		t.Errorf("got %x, %v", s, err)
	}
}

func BenchmarkCheck(b *testing.B) {
	j, addr, now := NewJar(Random()), netip.MustParseAddr("192.0.2.1"), time.Unix(1e9, 0)
	c := j.Make([8]byte{1}, addr, now)
	b.ReportAllocs()
	for b.Loop() {
		if j.Check(c[:], addr, now) != Good {
			b.Fatal("bad")
		}
		c = j.Make([8]byte(c[:8]), addr, now)
	}
}
