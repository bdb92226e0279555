// Package keyid names gossip keys without giving them away: by a fingerprint that state, plans and messages may
// hold. It is pure and imports the standard library alone.
package keyid

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrNotAKey is in every error about a text that is no key. Its texts never show the text.
var ErrNotAKey = errors.New("not a gossip key")

// Of returns the fingerprint of a key in standard base64: 32 hexadecimal digits. Users keep it in their state, so its
// form must never change.
func Of(key string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return "", fmt.Errorf("%w: it is not standard base64", ErrNotAKey)
	}
	switch len(raw) {
	case 16, 24, 32:
	default:
		return "", fmt.Errorf("%w: it has %d bytes, and a key has 16, 24 or 32", ErrNotAKey, len(raw))
	}
	sum := sha256.Sum256(append([]byte("gossip-key-id\x00"), raw...))
	return hex.EncodeToString(sum[:16]), nil
}

// New returns a random key of length bytes, 16, 24 or 32, in standard base64.
func New(length int) string {
	raw := make([]byte, length)
	_, _ = rand.Read(raw) // it never fails
	return base64.StdEncoding.EncodeToString(raw)
}

// Check reports whether a text has the form of a fingerprint.
func Check(id string) error {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || strings.ToLower(id) != id {
		return fmt.Errorf("%q is no fingerprint of a gossip key: these have 32 hexadecimal digits in lower case", id)
	}
	return nil
}
