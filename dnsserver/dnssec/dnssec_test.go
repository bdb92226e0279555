package dnssec

import (
	"crypto"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func generate(t testing.TB, zone string, a Algorithm) *Key {
	t.Helper()
	k, err := Generate(zone, a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSigner(t testing.TB, keys ...*Key) *Signer {
	t.Helper()
	s, err := NewSigner(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{ECDSAP256, Ed25519} {
		t.Run(a.String(), func(t *testing.T) {
			t.Parallel()
			k := generate(t, "Fleet.Example", a)
			base, err := k.Save(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(base + ".private"); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Fatalf("the private file: %v, %v", info.Mode(), err)
			}
			if _, err := k.Save(filepath.Dir(base)); err == nil {
				t.Error("a key was written over another")
			}
			for _, path := range []string{base, base + ".key", base + ".private"} {
				got, err := Load(path)
				if err != nil {
					t.Fatal(err)
				}
				if got.String() != k.String() || got.DS() != k.DS() || got.Zone() != "fleet.example." {
					t.Errorf("read %v, wrote %v", got, k)
				}
				newSigner(t, got)
			}
			public, err := LoadPublic(base)
			if err != nil || public.Anchor() != k.Anchor() {
				t.Errorf("%v, %v", public, err)
			}
			if _, err := NewSigner([]*Key{public}); err == nil || !strings.Contains(err.Error(), "no private half") {
				t.Errorf("a signer without a private key: %v", err)
			}
			if _, err := NewSigner([]*Key{k, k}); err == nil {
				t.Error("the same key twice")
			}
			private, err := os.ReadFile(base + ".private")
			if err != nil {
				t.Fatal(err)
			}
			secret := strings.Fields(string(private))
			if text := k.String() + k.DNSKEY() + k.DS() + k.Anchor(); strings.Contains(text, secret[len(secret)-1]) {
				t.Error("the key tells its private half")
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	good, other := generate(t, "gossip", ECDSAP256), generate(t, "gossip", ECDSAP256)
	ed := generate(t, "gossip", Ed25519)
	private := func(k *Key) string { return k.dnskey.PrivateKeyString(k.signer) }
	for _, tt := range []struct {
		name, public, private string
		mode                  os.FileMode
		want                  string
	}{
		{"good", good.DNSKEY(), private(good), 0o640, ""},
		{"world", good.DNSKEY(), private(good), 0o644, "chmod 600"},
		{"another", good.DNSKEY(), private(other), 0o600, "does not belong to"},
		{"another algorithm", good.DNSKEY(), private(ed), 0o600, "does not belong to"},
		{"no private key", good.DNSKEY(), "Private-key-format: v1.3\nAlgorithm: 13\n", 0o600, "does not belong to"},
		{"rubbish", good.DNSKEY(), "secret rubbish", 0o600, "not a private key"},
		{"no record", "; nothing", private(good), 0o600, "no DNSKEY"},
		{"another record", "gossip. 5 IN A 10.0.0.1", private(good), 0o600, "no DNSKEY"},
		{"RSA", "gossip. IN DNSKEY 257 3 8 AwEAAc==", private(good), 0o600, "algorithm 8 is not"},
		{"not of a zone", strings.Replace(good.DNSKEY(), "257 3", "0 3", 1), private(good), 0o600, "does not sign a zone"},
		{"root", strings.Replace(good.DNSKEY(), "gossip.", ".", 1), private(good), 0o600, "the root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := filepath.Join(t.TempDir(), "K")
			for ext, text := range map[string]string{".key": tt.public, ".private": tt.private} {
				if err := os.WriteFile(base+ext, []byte(text), tt.mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(base+ext, tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Load(base)
			switch {
			case tt.want == "" && err == nil:
			case tt.name == "world" && runtime.GOOS == "windows":
			case err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v, want %q in it", err, tt.want)
			case strings.Contains(err.Error(), "secret"):
				t.Errorf("the error tells what is in the file: %v", err)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there")
	}
}

func addresses(owner string, last ...byte) []dns.RR {
	var set []dns.RR
	for _, n := range last {
		set = append(set, &dns.A{
			Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.IPv4(10, 0, 0, n),
		})
	}
	return set
}

func TestSign(t *testing.T) {
	t.Parallel()
	keys := []*Key{generate(t, "gossip", ECDSAP256), generate(t, "gossip", Ed25519)}
	s := newSigner(t, append(keys, generate(t, "10.in-addr.arpa", Ed25519))...)
	if got := s.Zones(); !slices.Equal(got, []string{"10.in-addr.arpa.", "gossip."}) {
		t.Errorf("zones are %q", got)
	}
	sigs, err := s.Sign(now, "gossip.", addresses("wEb.gossip.", 1, 2, 3))
	if err != nil || len(sigs) != 2 {
		t.Fatalf("%d signatures, %v", len(sigs), err)
	}
	for i, rr := range sigs {
		sig, ok := rr.(*dns.RRSIG)
		if !ok {
			t.Fatalf("%v", rr)
		}
		if err := sig.Verify(keys[i].dnskey, addresses("web.gossip.", 3, 1, 2)); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
		if !sig.ValidityPeriod(now) || !sig.ValidityPeriod(now.Add(-59*time.Minute)) || sig.ValidityPeriod(now.Add(validity)) {
			t.Errorf("%v holds at the wrong times", sig)
		}
		if sig.Hdr.Name != "wEb.gossip." || sig.Hdr.Ttl != 5 || sig.OrigTtl != 5 {
			t.Errorf("owner or TTL: %v", sig)
		}
		n, err := dns.PackRR(sig, make([]byte, 512), 0, nil, false)
		if size := n - len("web.gossip.") - 1 + 2; err != nil || len(keys)*size != s.Size("gossip.") {
			t.Errorf("%d octets, Size says %d for both (%v)", size, s.Size("gossip."), err)
		}
	}
	again, err := s.Sign(now.Add(time.Hour), "gossip.", addresses("WEB.gossip.", 2, 3, 1))
	if err != nil || again[0].Header().Name != "WEB.gossip." || !dns.IsDuplicate(again[0], sigs[0]) {
		t.Errorf("the same set in another order is signed anew, or %v", err)
	}
	for what, set := range map[string][]dns.RR{"a set with one record less": addresses("web.gossip.", 1, 2), "another name": addresses("w.gossip.", 1, 2, 3)} {
		other, err := s.Sign(now, "gossip.", set)
		if err != nil || dns.IsDuplicate(other[0], sigs[0]) {
			t.Errorf("%s has the same signature, or %v", what, err)
		}
	}
	late := now.Add(validity - renew)
	renewed, err := s.Sign(late, "gossip.", addresses("web.gossip.", 1, 2, 3))
	if err != nil || dns.IsDuplicate(renewed[0], sigs[0]) {
		t.Errorf("a signature near its end is given on, or %v", err)
	}
	if _, err := s.Sign(now, "other.", addresses("web.other.", 1)); err == nil {
		t.Error("a zone without a key was signed")
	}
	var none *Signer
	if none.Signs("gossip.") || s.Signs("other.") || !s.Signs("gossip.") {
		t.Error("Signs")
	}
}

// TestJitter: signatures that are made at once do not end at once.
func TestJitter(t *testing.T) {
	t.Parallel()
	s := newSigner(t, generate(t, "gossip", Ed25519))
	ends := map[uint32]bool{}
	for i := range byte(20) {
		sigs, err := s.SignOnce(now, "gossip.", addresses("web.gossip.", i))
		if err != nil {
			t.Fatal(err)
		}
		if sig, ok := sigs[0].(*dns.RRSIG); ok {
			ends[sig.Expiration] = true
		}
	}
	if len(ends) < 10 {
		t.Errorf("20 signatures have %d ends", len(ends))
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c cache
	sig := []*dns.RRSIG{{Expiration: uint32(now.Add(validity).Unix())}}
	for i := range 5 * cacheSize {
		c.put(id{byte(i), byte(i >> 8), byte(i >> 16)}, sig)
		if _, ok := c.get(id{}, now); !ok && i > 0 {
			t.Fatal("what is asked for again and again was dropped")
		}
	}
	if n := len(c.young) + len(c.old); n > 2*cacheSize {
		t.Errorf("%d sets are kept", n)
	}
}

func TestApex(t *testing.T) {
	t.Parallel()
	k := generate(t, "gossip", ECDSAP256)
	s := newSigner(t, k)
	for _, typ := range ApexTypes() {
		if set := s.Apex("gossip.", typ); len(set) != 1 || set[0].Header().Rrtype != typ || set[0].Header().Ttl != keyTTL {
			t.Errorf("%s: %v", dns.Type(typ), set)
		}
	}
	if set := s.Apex("gossip.", dns.TypeA); set != nil {
		t.Errorf("A: %v", set)
	}
}

func TestDeny(t *testing.T) {
	t.Parallel()
	nsec, err := Deny("wEb.gossip.", []uint16{dns.TypeSRV, dns.TypeA}, 2)
	if err != nil || nsec.String() != "wEb.gossip.\t2\tIN\tNSEC\t\\000.web.gossip. A SRV RRSIG NSEC" {
		t.Errorf("%v, %v", nsec, err)
	}
	nsec, err = Deny("x.gossip.", Nonexistent(), 2)
	if err != nil || !slices.Equal(nsec.TypeBitMap, []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}) {
		t.Errorf("%v, %v", nsec, err)
	}
}

func TestNextName(t *testing.T) {
	t.Parallel()
	l := func(n int) string { return strings.Repeat("a", n) }
	rest := strings.Join([]string{l(63), l(63), l(62)}, ".") + "." // 192 octets with the root
	for _, tt := range []struct{ name, want string }{
		{"gossip.", `\000.gossip.`},
		{"WEB.gossip.", `\000.web.gossip.`},
		{`a\.b\200.gossip.`, `\000.a\.b\200.gossip.`},
		{l(60) + "." + rest, `\000.` + l(60) + "." + rest}, // 253
		{l(61) + "." + rest, l(60) + "b." + rest},          // 254
		{l(61) + "@." + rest, l(61) + "[." + rest},         // capitals count as small letters
		{l(60) + `\255\255.` + rest, l(59) + "b." + rest},  // 255
	} {
		got, err := nextName(tt.name)
		if err != nil || got != tt.want {
			t.Errorf("after %s\ncomes %s (%v)\nnot   %s", tt.name, got, err, tt.want)
		}
	}
}

// FuzzNextName: what comes after a name does, in canonical order, and is no longer than a name may be.
func FuzzNextName(f *testing.F) {
	f.Add([]byte("\x03web\x06gossip\x00"))
	f.Add([]byte("\x01@\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		name, n, err := dns.UnpackDomainName(wire, 0)
		if err != nil || n != len(wire) {
			return
		}
		next, err := nextName(name)
		if err != nil {
			return
		}
		var buf [maxName]byte
		end, err := dns.PackDomainName(next, buf[:], 0, nil, false)
		if err != nil {
			t.Fatalf("after %s comes %s: %v", name, next, err)
		}
		if compare(wire, buf[:end]) >= 0 {
			t.Errorf("after %s comes %s", name, next)
		}
	})
}

// compare orders names on the wire as RFC 4034 section 6.1 does.
func compare(a, b []byte) int {
	labels := func(wire []byte) (list []string) {
		for wire[0] > 0 {
			list = append([]string{strings.ToLower(string(wire[1 : 1+wire[0]]))}, list...)
			wire = wire[1+wire[0]:]
		}
		return list
	}
	return slices.Compare(labels(a), labels(b))
}

// FuzzParseKeys: no content of a key file does harm.
func FuzzParseKeys(f *testing.F) {
	k, err := Generate("gossip", ECDSAP256)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.DNSKEY(), k.dnskey.PrivateKeyString(k.signer))
	f.Add("$INCLUDE /etc/passwd\n", "Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: AA==\n")
	f.Fuzz(func(t *testing.T, public, private string) {
		k, err := parsePublic(public)
		if err != nil {
			return
		}
		key, err := k.dnskey.NewPrivateKey(private)
		if signer, ok := key.(crypto.Signer); ok && err == nil {
			matches(signer, k.dnskey)
		}
	})
}
