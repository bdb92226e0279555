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
	report func(error)

	mu      sync.Mutex
	files   [2]string // of the certificate and the key
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
	p := &Pair{report: report}
	commit, err := p.Prepare(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	commit()
	return p, nil
}

// Prepare reads these files, the same as before or others, and returns what puts them in use. Without that, and if there is
// an error, nothing changes.
func (p *Pair) Prepare(certFile, keyFile string) (commit func(), err error) {
	files := [2]string{certFile, keyFile}
	version, _ := stamps(files) // that they cannot be read shows next
	cert, err := load(files)
	if err != nil {
		return nil, err
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.files, p.version, p.cert = files, version, cert
	}, nil
}

// Certificate returns the certificate of the files as they are now, as tls.Config.GetCertificate wants it.
func (p *Pair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.checked) >= checkInterval {
		p.checked = now
		if version, ok := stamps(p.files); ok && version != p.version {
			p.version = version
			if cert, err := load(p.files); err == nil {
				p.cert = cert
			} else {
				p.report(err)
			}
		}
	}
	return p.cert, nil
}

func load(files [2]string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", files[0], files[1], err)
	}
	return &cert, nil
}

// stamps returns the versions of both files; ok is false while one of them is missing.
func stamps(files [2]string) (version [2]stamp, ok bool) {
	for i, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			return version, false
		}
		version[i] = stamp{info.ModTime(), info.Size()}
	}
	return version, true
}
