// Package certfile serves a TLS certificate from two files that others replace while the program runs, as ACME clients
// and secret stores do.
package certfile

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// checkInterval is how often the files are looked at, at most; they are looked at when a client comes.
const checkInterval = time.Second

// Pair is a certificate and its key. It is safe for concurrent use.
type Pair struct {
	certFile, keyFile string
	report            func(error)

	mu      sync.Mutex
	cert    *tls.Certificate
	version [2]stamp  // of the files that cert was read from, or that could not be used
	checked time.Time // when version was last compared
}

// stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// Load reads the files: PEM, the certificate first and then those it needs to be trusted. Later failures to read them
// anew go to report, once for each version of the files, and leave the last good certificate in use.
func Load(certFile, keyFile string, report func(error)) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, report: report}
	return p, p.Reload()
}

// Reload reads the files again, changed or not.
func (p *Pair) Reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version, _ = p.stamps() // that they cannot be read shows next
	return p.load()
}

// Certificate returns the certificate of the files as they are now, as tls.Config.GetCertificate wants it.
func (p *Pair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.checked) >= checkInterval {
		p.checked = now
		if version, ok := p.stamps(); ok && version != p.version {
			p.version = version
			if err := p.load(); err != nil {
				p.report(err)
			}
		}
	}
	return p.cert, nil
}

func (p *Pair) load() error {
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", p.certFile, p.keyFile, err)
	}
	p.cert = &cert
	return nil
}

// stamps returns the versions of both files; ok is false while one of them is missing.
func (p *Pair) stamps() (version [2]stamp, ok bool) {
	for i, name := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return version, false
		}
		version[i] = stamp{info.ModTime(), info.Size()}
	}
	return version, true
}
