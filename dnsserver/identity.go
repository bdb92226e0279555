package dnsserver

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
)

// Material is what a server proves itself with and checks others by. All of it can be given anew while the server runs. The
// fields mean what they mean in Config.
type Material struct {
	TLSCert, TLSKey string
	CookieFile      string
	Keys            *tsig.Keyring
	Signer          *dnssec.Signer
}

// identity is the part of it that replies are made with. It is replaced as a whole, and each message is served with the one
// that there was when it came: so is a transfer that takes long.
type identity struct {
	keys   *tsig.Keyring
	signer *dnssec.Signer // nil: nothing is signed
}

// identityRef holds the one in use. The nil pointer holds an empty one.
type identityRef struct{ p atomic.Pointer[identity] }

var nobody identity

func (r *identityRef) load() *identity {
	if r == nil {
		return &nobody
	}
	return r.p.Load()
}

func newIdentityRef(id identity) *identityRef {
	r := new(identityRef)
	r.p.Store(&id)
	return r
}

// Prepare reads the files of new material, and returns what puts it in use. Until that is called, and if there is an error,
// nothing changes. Queries and transfers under way are not disturbed. What the server was started without, TLS or cookies,
// it does not take up.
func (s *Server) Prepare(m Material) (commit func(), err error) {
	secrets, err := s.readSecrets(m.CookieFile)
	if err != nil {
		return nil, err
	}
	takeCertificate := func() {}
	if s.cert != nil {
		if takeCertificate, err = s.cert.Prepare(m.TLSCert, m.TLSKey); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTLS, err)
		}
	}
	return func() {
		takeCertificate()
		if secrets != nil {
			s.policy.cookies.Set(secrets)
		}
		s.ownSecrets.Store(m.CookieFile == "")
		s.policy.identity.p.Store(&identity{m.Keys, m.Signer})
	}, nil
}

// readSecrets returns what cookies are to be made with. That is nothing if it stays as it is.
func (s *Server) readSecrets(file string) ([]cookie.Secret, error) {
	switch {
	case s.policy.cookies == nil:
		return nil, nil
	case file == "" && s.ownSecrets.Load():
		return nil, nil
	case file == "":
		return []cookie.Secret{cookie.Random()}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("secrets of dns cookies: %w", err)
	}
	secrets, err := cookie.ParseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("secrets of dns cookies: %s: %w", file, err)
	}
	return secrets, nil
}
