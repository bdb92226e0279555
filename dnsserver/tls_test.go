package dnsserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// writeCert writes a certificate of its own for a name, and its key, into dir, and returns the files.
func writeCert(t testing.TB, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// nameOf connects and returns the name in the certificate that the server shows.
func nameOf(t *testing.T, addr string) string {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // any certificate: it is looked at here
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTLS(t *testing.T) {
	t.Parallel()
	z := testZone(t, 100, zone.OrderRandom)
	certFile, keyFile := writeCert(t, t.TempDir(), "first.example")
	s := start(t, Config{Addr: "127.0.0.1:0", TLSAddr: "127.0.0.1:0", TLSCert: certFile, TLSKey: keyFile, Source: func() *zone.Zone { return z }})
	roots := x509.NewCertPool()
	text, err := os.ReadFile(certFile)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal("no certificate", err)
	}
	config := &tls.Config{RootCAs: roots, ServerName: "first.example", NextProtos: []string{"dot"}}
	client := &dns.Client{Net: "tcp-tls", TLSConfig: config, Timeout: 30 * time.Second}
	conn, err := client.Dial(s.TLSAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if alpn := conn.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; alpn != "dot" {
		t.Errorf("ALPN %q", alpn)
	}
	for range 3 {
		got, _, err := client.ExchangeWithConn(new(dns.Msg).SetQuestion("many.service.gossip.", dns.TypeA), conn)
		if err != nil || len(got.Answer) != 100 || got.Truncated {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	// What is no TLS is turned away, and harms nobody.
	plain, err := net.Dial("tcp", s.TLSAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	if _, err := plain.Write(framed(query(t, "web1.node.gossip.", dns.TypeA))); err != nil {
		t.Fatal(err)
	}
	_ = plain.SetReadDeadline(time.Now().Add(30 * time.Second))
	for err == nil {
		_, err = plain.Read(make([]byte, 100)) // an alert at most
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection without TLS stays open")
	}
	if got := s.Stats(); got.TLS != 3 || got.TCP != 0 || got.TLSFailed != 1 {
		t.Errorf("stats %+v", got)
	}
}

// TestCertificateIsReadAgain: on a reload at once, and by itself when a client comes after it changed; nonsense changes nothing.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := writeCert(t, dir, "first.example")
	var reports atomic.Int32
	s := start(t, Config{
		Addr: "127.0.0.1:0", TLSAddr: "127.0.0.1:0", TLSCert: certFile, TLSKey: keyFile, Source: func() *zone.Zone { return nil },
		Report: func(err error) {
			if strings.Contains(err.Error(), certFile) {
				reports.Add(1)
			}
		},
	})
	// becomes asks until the condition holds: files are looked at once a second.
	becomes := func(what string, cond func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	if got := nameOf(t, s.TLSAddr()); got != "first.example" {
		t.Fatalf("got %s", got)
	}
	writeCert(t, dir, "second.example")
	files := Material{TLSCert: certFile, TLSKey: keyFile}
	if err := reload(s, files); err != nil {
		t.Fatal(err)
	}
	if got := nameOf(t, s.TLSAddr()); got != "second.example" {
		t.Errorf("after a reload: %s", got)
	}
	writeCert(t, dir, "a-longer-name.example")
	becomes("the new certificate is not served", func() bool { return nameOf(t, s.TLSAddr()) == "a-longer-name.example" })
	if err := os.WriteFile(certFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	becomes("nobody was told", func() bool { nameOf(t, s.TLSAddr()); return reports.Load() > 0 })
	if got := nameOf(t, s.TLSAddr()); got != "a-longer-name.example" {
		t.Errorf("with a broken file: %s", got)
	}
	if err := reload(s, files); !errors.Is(err, ErrTLS) || !strings.Contains(err.Error(), certFile) {
		t.Errorf("reload: %v", err)
	}
	elsewhere, key := writeCert(t, t.TempDir(), "elsewhere.example")
	if err := reload(s, Material{TLSCert: elsewhere, TLSKey: key}); err != nil {
		t.Error(err)
	}
	if got := nameOf(t, s.TLSAddr()); got != "elsewhere.example" {
		t.Errorf("with other files: %s", got)
	}
}

func TestTLSRefused(t *testing.T) {
	t.Parallel()
	source := func() *zone.Zone { return nil }
	certFile, keyFile := writeCert(t, t.TempDir(), "n.example")
	if _, err := New(Config{Addr: "127.0.0.1:0", TLSAddr: "127.0.0.1:0", TLSCert: certFile, Source: source}); err == nil {
		t.Error("no key, and no error")
	}
	if _, err := New(Config{Addr: "127.0.0.1:0", TLSAddr: "127.0.0.1:0", TLSCert: certFile, TLSKey: certFile, Source: source}); !errors.Is(err, ErrTLS) {
		t.Errorf("no key in the key's file: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	s, err := New(Config{Addr: "127.0.0.1:0", TLSAddr: taken.Addr().String(), TLSCert: certFile, TLSKey: keyFile, Source: source})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); !errors.Is(err, syscall.EADDRINUSE) || !errors.Is(err, ErrTLS) || s.Addr() != "" {
		t.Errorf("got %v, listening on %q", err, s.Addr())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestCookieFile: secrets come from the file, come anew with a reload, and are not lost to a broken file.
func TestCookieFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secrets")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	z := testZone(t, 0, zone.OrderRandom)
	cfg := Config{Addr: "127.0.0.1:0", CookieFile: file, Cookies: CookiesRequire, Source: func() *zone.Zone { return z }}
	if _, err := New(cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write("0123456789abcdef")
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "0123") {
		t.Errorf("half a secret: %v", err)
	}
	one, two := strings.Repeat("11", 16), strings.Repeat("22", 16)
	write(one)
	first, second := start(t, cfg), start(t, cfg)
	ask := func(s *Server, cookie string) (rcode int, fresh string) {
		t.Helper()
		m := new(dns.Msg).SetQuestion("web1.node.gossip.", dns.TypeA).SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
		reply, _, err := (&dns.Client{Timeout: 30 * time.Second}).Exchange(m, s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return reply.Rcode, option(reply, dns.EDNS0COOKIE)
	}
	rcode, fresh := ask(first, "0102030405060708")
	if rcode != dns.RcodeBadCookie {
		t.Errorf("without a cookie: %d", rcode)
	}
	if rcode, _ := ask(second, fresh); rcode != 0 {
		t.Errorf("a cookie of the other server: %d", rcode)
	}
	for _, step := range []struct {
		text  string
		ok    bool
		rcode int
	}{
		{two + "\n" + one, true, 0},
		{"nonsense", false, 0},
		{two, true, dns.RcodeBadCookie},
	} {
		write(step.text)
		if err := reload(second, Material{CookieFile: file}); (err == nil) != step.ok {
			t.Errorf("%q: %v", step.text, err)
		}
		if rcode, _ := ask(second, fresh); rcode != step.rcode {
			t.Errorf("after %q: %d, want %d", step.text, rcode, step.rcode)
		}
	}
	if good := second.Stats().CookiesGood; good != 3 {
		t.Errorf("%d good cookies, want 3", good)
	}
	// Without a file the secret is random again, and stays the same until its day is over.
	if err := reload(second, Material{}); err != nil {
		t.Error(err)
	}
	rcode, fresh = ask(second, fresh)
	if rcode != dns.RcodeBadCookie {
		t.Errorf("without the file: %d", rcode)
	}
	if err := reload(second, Material{}); err != nil {
		t.Error(err)
	}
	if rcode, _ = ask(second, fresh); rcode != 0 {
		t.Errorf("without a file as before: %d", rcode)
	}
}
