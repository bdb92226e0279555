package tsig

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const secret = "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISE/Pz8="

func ring(t testing.TB, names ...string) *Keyring {
	t.Helper()
	var keys []*Key
	for _, name := range names {
		name, algorithm, _ := strings.Cut(name, "/")
		if algorithm == "" {
			algorithm = "hmac-sha256"
		}
		k, err := NewKey(name, algorithm, secret)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	r, err := NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func query(t testing.TB) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion("Web.Service.gossip.", dns.TypeSOA)
	m.SetEdns0(1232, false)
	return m
}

func pack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the library signs we accept, and the other way round, for requests, answers and answers of several messages.
func TestAgainstLibrary(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			r := ring(t, "key.example/"+algorithm)
			m := query(t).SetTsig("KEY.example.", algorithm, 300, now.Unix())
			packet, mac, err := dns.TsigGenerate(m, secret, "", false)
			if err != nil {
				t.Fatal(err)
			}
			plain, x, err := r.Open(packet, now)
			if err != nil || x.KeyName() != "key.example." {
				t.Fatalf("open: %v", err)
			}
			if want := pack(t, m); !bytes.Equal(plain, want) {
				t.Errorf("plain: % x, want % x", plain, want)
			}
			for i := range 3 {
				answer := pack(t, new(dns.Msg).SetReply(m))
				sealed := x.Seal(answer, now)
				if len(sealed) > len(answer)+x.Overhead() {
					t.Errorf("overhead is %d, not %d", len(sealed)-len(answer), x.Overhead())
				}
				if err := dns.TsigVerify(append([]byte(nil), sealed...), secret, mac, i > 0); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
				back := new(dns.Msg)
				if err := back.Unpack(sealed); err != nil {
					t.Fatal(err)
				}
				mac = back.IsTsig().MAC
			}
			// The client's side.
			key, _ := r.Key("key.example")
			c := NewExchange(key)
			sealed := c.Seal(pack(t, query(t)), now)
			if err := dns.TsigVerify(append([]byte(nil), sealed...), secret, "", false); err != nil {
				t.Fatal(err)
			}
			back := new(dns.Msg)
			if err := back.Unpack(sealed); err != nil {
				t.Fatal(err)
			}
			mac = back.IsTsig().MAC
			for i := range 3 {
				m := new(dns.Msg).SetReply(query(t))
				m.SetTsig("key.example.", algorithm, 300, now.Unix())
				var packet []byte
				if packet, mac, err = dns.TsigGenerate(m, secret, mac, i > 0); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Verify(packet, now); err != nil || !c.Done() {
					t.Fatalf("answer %d: %v", i, err)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	server := ring(t, "a", "b/hmac-sha512")
	foreign, err := NewKey("a", "hmac-sha256", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := server.Key("a")
	unknown, _ := ring(t, "c").Key("c")
	otherAlgorithm, _ := ring(t, "b").Key("b")
	now := time.Unix(1_800_000_000, 0)
	for name, tt := range map[string]struct {
		key    *Key
		at     time.Time
		spoil  func([]byte)
		code   int
		signed bool // the refusal
	}{
		"fine":            {key: a, at: now},
		"fine, fast":      {key: a, at: now.Add(300 * time.Second)},
		"other secret":    {key: foreign, at: now, code: BadSig},
		"unknown key":     {key: unknown, at: now, code: BadKey},
		"other algorithm": {key: otherAlgorithm, at: now, code: BadKey},
		"slow":            {key: a, at: now.Add(-301 * time.Second), code: BadTime, signed: true},
		"fast":            {key: a, at: now.Add(301 * time.Second), code: BadTime, signed: true},
		"changed":         {key: a, at: now, spoil: func(b []byte) { b[15] ^= 1 }, code: BadSig},
		"flags changed":   {key: a, at: now, spoil: func(b []byte) { b[2] ^= 1 }, code: BadSig},
		"other ID":        {key: a, at: now, spoil: func(b []byte) { b[0] ^= 1 }}, // as a forwarder does
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := NewExchange(tt.key)
			packet := client.Seal(pack(t, query(t)), tt.at)
			if tt.spoil != nil {
				tt.spoil(packet)
			}
			_, x, err := server.Open(packet, now)
			var refused *Error
			if !errors.As(err, &refused) {
				if tt.code != 0 || err != nil || x == nil {
					t.Fatalf("got %v, want code %d", err, tt.code)
				}
				return
			}
			if refused.Code != tt.code {
				t.Fatalf("got %v, want code %d", err, tt.code)
			}
			reply := new(dns.Msg).SetRcode(query(t), dns.RcodeNotAuth)
			out := server.Refusal(pack(t, reply), packet, refused, now)
			back := new(dns.Msg)
			if err := back.Unpack(out); err != nil {
				t.Fatal(err)
			}
			rr := back.IsTsig()
			if rr == nil || int(rr.Error) != tt.code || (rr.MACSize > 0) != tt.signed {
				t.Fatalf("refusal: %v", back)
			}
			// The client learns what is wrong.
			_, err = client.Verify(out, tt.at)
			if !errors.As(err, &refused) || refused.Code != tt.code {
				t.Errorf("the client got %v, want code %d", err, tt.code)
			}
			if tt.code == BadTime && !strings.Contains(err.Error(), "clock") {
				t.Errorf("the client got %v", err)
			}
		})
	}
}

// Messages in the middle of a long answer may come without a signature; the next one covers them.
func TestUnsignedBetween(t *testing.T) {
	t.Parallel()
	r, now := ring(t, "a"), time.Unix(1_800_000_000, 0)
	key, _ := r.Key("a")
	for name, spoil := range map[string]bool{"as sent": false, "changed": true} {
		client := NewExchange(key)
		_, server, err := r.Open(client.Seal(pack(t, query(t)), now), now)
		if err != nil {
			t.Fatal(err)
		}
		message := pack(t, new(dns.Msg).SetReply(query(t)))
		if _, err := client.Verify(message, now); !errors.Is(err, ErrUnsigned) {
			t.Errorf("the first without a signature: %v", err)
		}
		if _, err := client.Verify(server.Seal(message, now), now); err != nil {
			t.Fatal(err)
		}
		// Sign by hand as the server: the two between, then the third.
		mac := key.mac()
		writePrior(mac, server.prior)
		mac.Write(message)
		mac.Write(message)
		last := record{name: key.wire, algorithm: key.algorithm.wire, time: unix(now), fudge: fudge}
		last.originalID = uint16(message[0])<<8 | uint16(message[1])
		mac.Write(message)
		mac.Write(last.timers())
		last.mac = mac.Sum(nil)
		between := bytes.Clone(message)
		if spoil {
			between[3] ^= 1
		}
		for _, m := range [][]byte{between, message} {
			if _, err := client.Verify(m, now); err != nil || client.Done() {
				t.Fatalf("%s: %v, done %v", name, err, client.Done())
			}
		}
		_, err = client.Verify(last.appendTo(message), now)
		if (err != nil) != spoil || client.Done() == spoil {
			t.Errorf("%s: %v, done %v", name, err, client.Done())
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good := `# from tsig-keygen
key "One.example" {
	algorithm hmac-sha256;
	secret "` + secret + `";
};
key two { secret ` + secret + `; /* any
order */ algorithm hmac-sha512; }; // the end`
	keys, err := Parse(good)
	if err != nil || len(keys) != 2 || keys[0].String() != "one.example. (hmac-sha256)" || keys[1].String() != "two. (hmac-sha512)" {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(form, keys[0]); strings.Contains(got, "c2Vj") || strings.Contains(got, "secret of") || strings.Contains(got, "736563") {
			t.Errorf("%s shows the secret: %s", form, got)
		}
	}
	for text, want := range map[string]string{
		"":                               "there is none",
		"zone x { };":                    "line 1: only key",
		"\nkey {};":                      "line 2: a name is missing",
		"key a {":                        "ends in the middle",
		"key a { algorithm":              "ends in the middle",
		"key a { algorithm hmac-sha256;": "ends in the middle",
		"key a { };":                     "must have an algorithm and a secret",
		"key a { algorithm hmac-sha256; secret \"" + secret + "\"; }":    "ends in the middle",
		"key a { algorithm hmac-md5; secret \"" + secret + "\"; };":      `"hmac-md5" is none of`,
		"key a { algorithm hmac-sha256; secret \"c2VjcmV0\"; };":         "6 octets, and 16 are the least",
		"key a { algorithm hmac-sha256; secret \"!!!!!!!!!!!!\"; };":     "not base64",
		"key a { algorithm hmac-sha256; algorithm hmac-sha256; };":       "twice",
		"key a { " + secret + " x; };":                                   "something else than",
		"key a.. { algorithm hmac-sha256; secret \"" + secret + "\"; };": "not a domain name",
		"key \"a { };": "string has no end",
		"/* ":          "comment has no end",
		strings.Repeat("key a { algorithm hmac-sha256; secret \""+secret+"\"; };", 2): "given twice",
		"key a { algorithm hmac-sha256; secret \"" + secret + "\" }":                  `";" is missing`,
	} {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "c2Vjcm")) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("key a { algorithm hmac-sha256; secret \"" + secret + "\"; };")
	f.Add("key \"a\" /* */ { } ; # x\n//")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := Parse(text)
		for _, k := range keys {
			if err == nil && (len(k.secret) < minSecret || k.Name == "") {
				t.Errorf("%v from %q", k, text)
			}
		}
	})
}

// Whatever comes is refused or accepted without a panic, and nothing that was not signed is accepted as signed.
func FuzzOpen(f *testing.F) {
	r := ring(f, "a")
	key, _ := r.Key("a")
	now := time.Unix(1_800_000_000, 0)
	signed := NewExchange(key).Seal(pack(f, query(f)), now)
	f.Add(signed)
	f.Add(signed[:40])
	f.Add(pack(f, query(f)))
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		plain, x, err := r.Open(packet, now)
		if !bytes.Equal(before, packet) {
			t.Error("the packet was changed")
		}
		var refused *Error
		switch {
		case errors.As(err, &refused):
			r.Refusal(packet[:headerSize:headerSize], packet, refused, now)
		case err == nil && x != nil:
			if _, err := split(plain); err != nil {
				t.Errorf("what is left is malformed: %v", err)
			}
		}
		_, _ = NewExchange(key).Verify(packet, now)
	})
}
