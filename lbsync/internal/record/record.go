// Package record keeps in the state folder what must outlive the process: the last good set of each service,
// so that a restart begins from it and not from nothing; and for each target what was written and what the
// balancer has verifiably loaded, so that a failed reload is never mistaken for "file unchanged, nothing to
// do". One process owns the folder at a time.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

// ErrLocked means that another process owns the state folder.
var ErrLocked = errors.New("in use by another gossip-lbsync")

// Store is a state folder.
type Store struct {
	dir  string
	lock *os.File // nil if opened for reading
}

// Target is what is known about one target.
type Target struct {
	// Written are the hashes of what we last put into the file, and of what we were about to put there when
	// we stopped. They tell our file from a foreign one.
	Written []string `json:"written,omitempty"`
	// Loaded is the hash of what the balancer has loaded; empty if not known.
	Loaded string `json:"loaded,omitempty"`
}

// Open takes the folder for this process, and makes it if need be. The error is ErrLocked if another process
// has it.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("state folder: %w; set state_dir to one that this user may write", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := lockFile(path)
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("state folder %s: %w; stop that one, or give this one a state_dir of its own", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w; set state_dir to one that this user may write", err)
	}
	return &Store{dir: dir, lock: f}, nil
}

// Peek opens the folder for reading, whoever owns it. It need not exist.
func Peek(dir string) *Store { return &Store{dir: dir} }

// Close gives the folder back.
func (s *Store) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// Service returns the last good set of a service, and false if there is none.
func (s *Store) Service(name string) (desired.Service, bool, error) {
	var set desired.Service
	ok, err := s.load("service-"+name, &set)
	return set, ok, err
}

// SaveService keeps the set as the service's last good one.
func (s *Store) SaveService(set desired.Service) error { return s.save("service-"+set.Name, set) }

// Target returns what is known of a target by its KIND/NAME; nothing is no error.
func (s *Store) Target(id string) (Target, error) {
	var t Target
	_, err := s.load(targetFile(id), &t)
	return t, err
}

// SaveTarget keeps what is known of a target.
func (s *Store) SaveTarget(id string, t Target) error { return s.save(targetFile(id), t) }

// Memory keeps one value for the target's adapter.
func (s *Store) Memory(id string) *Memory {
	return &Memory{s, "adapter-" + strings.Replace(id, "/", "-", 1)}
}

// Memory is one value in the state folder; it implements adapter.Memory.
type Memory struct {
	store *Store
	name  string
}

// Load fills v and returns false if nothing was saved.
func (m *Memory) Load(v any) (bool, error) { return m.store.load(m.name, v) }

// Save replaces what was saved.
func (m *Memory) Save(v any) error { return m.store.save(m.name, v) }

// targetFile cannot clash: a kind has no dash.
func targetFile(id string) string { return "target-" + strings.Replace(id, "/", "-", 1) }

func (s *Store) load(name string, v any) (bool, error) {
	path := filepath.Join(s.dir, name+".json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("state: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("state: %s cannot be read: %w; if it is damaged, remove it", path, err)
	}
	return true, nil
}

func (s *Store) save(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(s.dir, name+".json"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}
