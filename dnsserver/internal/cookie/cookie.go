// Package cookie makes and checks DNS cookies (RFC 7873) in the form that all servers of one name can share (RFC 9018):
// the server's half is a keyed hash over the client's half, the time and the client's address, so nothing is
// remembered about any client. Whoever sends a good one has received packets at its address, and is no victim whose
// address somebody else writes into queries.
//
// It is pure but for the secrets, which may be exchanged while others read; times are handed in.
package cookie

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dchest/siphash"
)

// Sizes in octets, RFC 7873 section 4 and RFC 9018 section 4.
const (
	ClientSize = 8                       // the client's half
	serverSize = 16                      // our half
	Size       = ClientSize + serverSize // what a reply carries
	minServer  = 8                       // another server's half, which a client may bring along
	maxServer  = 32
	SecretSize = 16
)

// How old a cookie may be, how far ahead of our clock, and from which age on a client gets a fresh one: RFC 9018
// section 4.3. Here every reply carries a fresh one, which costs the same.
const (
	maxAge   = 3600 // seconds
	maxAhead = 300
)

// MaxAge is how long a cookie is good, and so how long a secret must be accepted after it was replaced.
const MaxAge = maxAge * time.Second

// version of the form of our half, RFC 9018 section 4.1.
const version = 1

// Status is what a query's cookie is worth.
type Status uint8

// The statuses.
const (
	Malformed  Status = iota // of a length that no cookie has
	ClientOnly               // the client's half alone: it has not talked to us lately
	Bad                      // with a server's half that is not ours, or not from this address, or too old
	Good
)

// Secret is what cookies are made with.
type Secret [SecretSize]byte

// Random returns a new secret.
func Random() (s Secret) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

// ParseSecrets reads secrets as they stand in a file: 32 hexadecimal digits a line, the one in use first, with empty
// lines and those that begin with # left out. Errors never show a secret.
func ParseSecrets(text string) ([]Secret, error) {
	var secrets []Secret
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		raw, err := hex.DecodeString(line)
		if err != nil || len(raw) != SecretSize {
			return nil, fmt.Errorf("line %d is not a secret of %d hexadecimal digits", i+1, 2*SecretSize)
		}
		secrets = append(secrets, Secret(raw))
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("there is no secret of %d hexadecimal digits", 2*SecretSize)
	}
	return secrets, nil
}

// key is a secret as the hash takes it.
type key struct{ k0, k1 uint64 }

// Jar makes and checks cookies. Its methods are safe for concurrent use; Make and Check neither lock nor allocate.
type Jar struct {
	keys atomic.Pointer[[]key] // the first makes cookies, all are accepted
	mu   sync.Mutex            // serialises changes
}

// NewJar returns a jar with these secrets, as Set takes them.
func NewJar(secrets ...Secret) *Jar {
	j := new(Jar)
	j.Set(secrets)
	return j
}

// Set exchanges the secrets: the first makes cookies from now on, and cookies made with any of them are accepted. So a
// new secret is first added behind on all servers, then moved to the front, and the old one dropped after MaxAge (RFC
// 9018 section 5). There must be at least one.
func (j *Jar) Set(secrets []Secret) {
	j.mu.Lock()
	defer j.mu.Unlock()
	keys := make([]key, len(secrets))
	for i, s := range secrets {
		keys[i] = key{binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])}
	}
	j.keys.Store(&keys)
}

// Roll puts a new secret in front and keeps the one that it replaces.
func (j *Jar) Roll(s Secret) {
	j.mu.Lock()
	defer j.mu.Unlock()
	old := *j.keys.Load()
	keys := []key{{binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])}, old[0]}
	j.keys.Store(&keys)
}

// Make returns both halves for a client, given its half.
func (j *Jar) Make(client [ClientSize]byte, addr netip.Addr, now time.Time) (c [Size]byte) {
	copy(c[:], client[:])
	c[ClientSize] = version
	binary.BigEndian.PutUint32(c[12:], uint32(now.Unix()))
	sum := (*j.keys.Load())[0].sum(c[:16], addr)
	binary.LittleEndian.PutUint64(c[16:], sum)
	return c
}

// Check says what the cookie of a query is worth, given the content of its option.
func (j *Jar) Check(option []byte, addr netip.Addr, now time.Time) Status {
	switch size := len(option); {
	case size == ClientSize:
		return ClientOnly
	case size < ClientSize+minServer || size > ClientSize+maxServer:
		return Malformed
	case size != Size || option[ClientSize] != version:
		return Bad
	}
	// Serial arithmetic (RFC 1982), for the time when 32 bits of seconds run over.
	age := int32(uint32(now.Unix()) - binary.BigEndian.Uint32(option[12:]))
	if age > maxAge || age < -maxAhead {
		return Bad
	}
	sum := binary.LittleEndian.Uint64(option[16:])
	for _, k := range *j.keys.Load() {
		if k.sum(option[:16], addr) == sum {
			return Good
		}
	}
	return Bad
}

// sum hashes the client's half, what comes before the hash in ours, and the address.
func (k key) sum(head []byte, addr netip.Addr) uint64 {
	var buf [16 + 16]byte
	n := copy(buf[:], head)
	if addr = addr.Unmap(); addr.Is4() {
		ip := addr.As4()
		n += copy(buf[n:], ip[:])
	} else {
		ip := addr.As16()
		n += copy(buf[n:], ip[:])
	}
	return siphash.Hash(k.k0, k.k1, buf[:n])
}
