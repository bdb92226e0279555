package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// tlsScheme begins addresses that are reached through TLS.
const tlsScheme = "tls://"

// UsesTLS reports whether an address that [ParseAddress] returned is reached through TLS.
func UsesTLS(addr string) bool { return strings.HasPrefix(addr, tlsScheme) }

// TLS says how to speak TLS with what stands before the agent. All of it is PEM; each part may be nil.
type TLS struct {
	CA         []byte // certificates to trust in place of the system's
	Cert, Key  []byte // what to show; both or neither
	ServerName string // to expect in place of the host of the address
	Insecure   bool   // take any certificate
}

// Errors of [TLS.Config], which are about one part of it.
var (
	ErrCA   = errors.New("there is no PEM certificate in it")
	ErrCert = errors.New("certificate and key do not fit")
)

// Config makes the settings for a connection.
func (t TLS) Config() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName,
		InsecureSkipVerify: t.Insecure, //nolint:gosec // only if the user says so, who is warned
	}
	if t.CA != nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, ErrCA
		}
	}
	if t.Cert != nil || t.Key != nil {
		pair, err := tls.X509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCert, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// endpoint splits an address into what the client dials, and how; nil means its own way.
func (c Config) endpoint(addr string) (string, func(context.Context, string, string) (net.Conn, error)) {
	host, ok := strings.CutPrefix(addr, tlsScheme)
	if !ok {
		return addr, nil
	}
	return host, func(ctx context.Context, network, host string) (net.Conn, error) {
		plain, err := new(net.Dialer).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		cfg := c.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName, _, _ = net.SplitHostPort(host) // ParseAddress made it
		}
		secure := tls.Client(plain, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = plain.Close() // the reason to close matters more
			return nil, handshakeError{err}
		}
		return secure, nil
	}
}

// handshakeError marks a failure while agreeing on TLS.
type handshakeError struct{ error }

func (e handshakeError) Error() string { return "TLS: " + e.error.Error() }
func (e handshakeError) Unwrap() error { return e.error }

// isTLS reports whether a failure is about TLS, and whether asking again would not change it.
func isTLS(err error) (yes, final bool) {
	var (
		handshake   handshakeError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       *net.OpError
	)
	final = errors.As(err, &certificate) || errors.As(err, &record) ||
		errors.As(err, &alert) && alert.Op == "remote error" // how crypto/tls hands on what the other side complains of
	return final || errors.As(err, &handshake), final
}
