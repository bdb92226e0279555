package tsig

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Key is a secret with a name. Printing it shows the name and the algorithm.
type Key struct {
	Name string // with its last dot, in lower case

	wire      []byte
	algorithm *algorithm
	secret    []byte
}

type algorithm struct {
	name string
	wire []byte
	make func() hash.Hash
	size int // octets of a signature
}

// algorithms are those of RFC 8945 section 6 that are worth using. MD5 and SHA-1 are left out.
var algorithms = []*algorithm{
	{"hmac-sha256", []byte("\x0bhmac-sha256\x00"), sha256.New, sha256.Size},
	{"hmac-sha384", []byte("\x0bhmac-sha384\x00"), sha512.New384, sha512.Size384},
	{"hmac-sha512", []byte("\x0bhmac-sha512\x00"), sha512.New, sha512.Size},
}

// minSecret is the shortest secret taken, in octets: less could be guessed.
const minSecret = 16

// NewKey makes a key from its secret in base64. The algorithm is hmac-sha256, hmac-sha384 or hmac-sha512. The error does
// not hold the secret.
func NewKey(name, algorithmName, secret string) (*Key, error) {
	if _, ok := dns.IsDomainName(name); !ok || strings.Trim(name, ".") == "" {
		return nil, fmt.Errorf("tsig key %q: the name is not a domain name", name)
	}
	k := &Key{Name: strings.ToLower(dns.Fqdn(name))}
	wire := make([]byte, maxName+1)
	n, err := dns.PackDomainName(k.Name, wire, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("tsig key %q: the name is not a domain name", name)
	}
	k.wire = wire[:n]
	want := strings.ToLower(strings.TrimSuffix(algorithmName, "."))
	i := slices.IndexFunc(algorithms, func(a *algorithm) bool { return a.name == want })
	if i < 0 {
		return nil, fmt.Errorf("tsig key %q: the algorithm %q is none of hmac-sha256, hmac-sha384 and hmac-sha512", name, algorithmName)
	}
	k.algorithm = algorithms[i]
	if k.secret, err = base64.StdEncoding.DecodeString(secret); err != nil {
		return nil, fmt.Errorf("tsig key %q: the secret is not base64", name)
	}
	if len(k.secret) < minSecret {
		return nil, fmt.Errorf("tsig key %q: the secret has %d octets, and %d are the least; make one with 'tsig-keygen %s'",
			name, len(k.secret), minSecret, strings.TrimSuffix(k.Name, "."))
	}
	return k, nil
}

// Equal reports whether two keys have the same name, algorithm and secret; nil equals nil alone.
func (k *Key) Equal(other *Key) bool {
	if k == nil || other == nil {
		return k == other
	}
	return k.Name == other.Name && k.algorithm == other.algorithm && hmac.Equal(k.secret, other.secret)
}

// String returns the name and the algorithm.
func (k *Key) String() string { return k.Name + " (" + k.algorithm.name + ")" }

// Format keeps the secret out of every form of printing.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

func (k *Key) mac() hash.Hash { return hmac.New(k.algorithm.make, k.secret) }

func (k *Key) overhead() int {
	return len(k.wire) + rrFixed + len(k.algorithm.wire) + 16 + k.algorithm.size
}

// Keyring is a set of keys. It is immutable, and safe for use by any number of goroutines; nil is an empty one.
type Keyring struct{ keys map[string]*Key }

// NewKeyring returns the set of these keys, whose names must differ.
func NewKeyring(keys ...*Key) (*Keyring, error) {
	r := &Keyring{keys: make(map[string]*Key, len(keys))}
	for _, k := range keys {
		if r.keys[k.Name] != nil {
			return nil, fmt.Errorf("tsig key %q is given twice", k.Name)
		}
		r.keys[k.Name] = k
	}
	return r, nil
}

// Load reads the keys of a file: see Parse. The errors name the file and never hold a secret.
func Load(file string) (*Keyring, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tsig keys: %w", err)
	}
	keys, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("tsig keys in %s: %w", file, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("tsig keys in %s: there is none; write one with 'tsig-keygen NAME > %s'", file, file)
	}
	r, err := NewKeyring(keys...)
	if err != nil {
		return nil, fmt.Errorf("tsig keys in %s: %w", file, err)
	}
	return r, nil
}

// Key returns the key of that name, written with or without its last dot and in any case.
func (r *Keyring) Key(name string) (*Key, bool) {
	if r == nil {
		return nil, false
	}
	k, ok := r.keys[strings.ToLower(dns.Fqdn(name))]
	return k, ok
}

// Equal reports whether two sets have equal keys.
func (r *Keyring) Equal(other *Keyring) bool {
	if r == nil || other == nil {
		return len(r.Names()) == len(other.Names())
	}
	return maps.EqualFunc(r.keys, other.keys, (*Key).Equal)
}

// Names lists the keys in order.
func (r *Keyring) Names() []string {
	if r == nil {
		return nil
	}
	var names []string
	for name := range r.keys {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// find returns the key that a message was signed with.
func (r *Keyring) find(rec *record) (*Key, bool) {
	k, ok := r.Key(rec.keyName())
	if !ok || string(k.algorithm.wire) != string(rec.algorithm) {
		return nil, false
	}
	return k, true
}
