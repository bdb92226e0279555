package gossip

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/seed-645ce708/gossip/agent/internal/atomicfile"
)

// Keyring is the set of gossip keys, the first of which encrypts; all of them decrypt. Changes are written
// to the file, if there is one, before they are reported as done. Safe for concurrent use.
type Keyring struct {
	mu   sync.Mutex // serialises changes together with the write of the file
	ring *memberlist.Keyring
	path string // "" keeps the keys in memory only
}

// NewKeyring returns a keyring with one key of 16, 24 or 32 bytes, kept in memory only.
func NewKeyring(key []byte) (*Keyring, error) {
	ring, err := memberlist.NewKeyring(nil, key)
	if err != nil {
		return nil, err
	}
	return &Keyring{ring: ring}, nil
}

// LoadKeyring reads a keyring file: a JSON array of keys in base64, the primary first (Serf reference 2.10).
// Errors name the file and never a key.
func LoadKeyring(path string) (*Keyring, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read keyring file: %w", err)
	}
	var texts []string
	if err := json.Unmarshal(data, &texts); err != nil {
		return nil, fmt.Errorf("keyring file %s: want a JSON array of base64 keys: %w", path, withoutValue(err))
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("keyring file %s contains no keys", path)
	}
	keys := make([][]byte, len(texts))
	for i, text := range texts {
		if keys[i], err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, fmt.Errorf("keyring file %s: key %d: %w", path, i+1, err)
		}
		if err := memberlist.ValidateKey(keys[i]); err != nil {
			return nil, fmt.Errorf("keyring file %s: key %d: %w", path, i+1, err)
		}
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("keyring file %s: %w", path, err)
	}
	return &Keyring{ring: ring, path: path}, nil
}

// withoutValue drops from a JSON error what might quote the content of a file of secrets.
func withoutValue(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("syntax error at byte %d", syntax.Offset)
	}
	return errors.New("an element is not a string")
}

// Keys returns all keys, the primary first.
func (k *Keyring) Keys() [][]byte { return k.ring.GetKeys() }

// Primary returns the key that encrypts.
func (k *Keyring) Primary() []byte { return k.ring.GetPrimaryKey() }

// Install adds a key; one that is there already is no error.
func (k *Keyring) Install(key []byte) error {
	return k.change(func() error { return k.ring.AddKey(key) })
}

// Use makes an installed key the one that encrypts.
func (k *Keyring) Use(key []byte) error {
	return k.change(func() error { return k.ring.UseKey(key) })
}

// Remove drops a key; one that is not there is no error. The primary cannot be removed.
func (k *Keyring) Remove(key []byte) error {
	return k.change(func() error { return k.ring.RemoveKey(key) })
}

func (k *Keyring) change(do func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	return k.save()
}

// save replaces the file in one step, so that a crash leaves the old keys or the new ones, never half a file.
func (k *Keyring) save() error {
	if k.path == "" {
		return nil
	}
	keys := k.ring.GetKeys()
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = base64.StdEncoding.EncodeToString(key)
	}
	data, err := json.MarshalIndent(texts, "", "  ")
	if err != nil {
		return fmt.Errorf("encode keyring: %w", err)
	}
	return atomicfile.Write(k.path, data, 0o600)
}
