// Package record keeps in the state folder what must outlive the process: the last good set of each service
// with the history of each server, so that a restart begins from it and not from nothing; and for each target what was written and what the
// balancer has verifiably loaded, so that a failed reload is never mistaken for "file unchanged, nothing to
// do". One process owns the folder at a time.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// ErrLocked means that another process owns the state folder.
var ErrLocked = errors.New("in use by another gossip-lbsync")

// Store is a state folder.
type Store struct {
	dir     string
	mu      sync.Mutex          // for lock
	lock    *os.File            // nil if opened for reading
	held    map[string]*os.File // of Lock, by the file with symbolic links resolved
	damaged []string
}

// Target is what is known about one target. Hashes are of all its files together.
type Target struct {
	// Written are the hashes of what we last put into the files; two if we stopped, or may have, between the older and the
	// newer. They tell our files from foreign ones.
	Written []string `json:"written,omitempty"`
	// WroteAt is when the files were in place; zero if that is not known.
	WroteAt time.Time `json:"wrote_at,omitzero"`
	// Structure is the hash of adapter.Rendered.Structure of what was written.
	Structure string `json:"structure,omitempty"`

	// Loaded and LoadedStructure are the hashes of what the balancer's Instance verifiably does; empty if not known.
	Loaded          string `json:"loaded,omitempty"`
	LoadedStructure string `json:"loaded_structure,omitempty"`
	Instance        string `json:"instance,omitempty"`

	// Fallback tells that there is content to go back to if the balancer refuses what is in the files.
	Fallback bool `json:"fallback,omitempty"`
}

// Equal tells whether both say the same.
func (t Target) Equal(o Target) bool {
	return slices.Equal(t.Written, o.Written) && t.WroteAt.Equal(o.WroteAt) && t.Structure == o.Structure && t.Loaded == o.Loaded &&
		t.LoadedStructure == o.LoadedStructure && t.Instance == o.Instance && t.Fallback == o.Fallback
}

// Open takes the folder for this process, and makes it if need be. The error is ErrLocked if another process
// has it.
func Open(dir string) (*Store, error) {
	f, err := own(dir)
	for range 10 { // whoever looks at it has it for a moment, see Owned
		if !errors.Is(err, ErrLocked) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		f, err = own(dir)
	}
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("state folder %s: %w; stop that one, or give this one a state_dir of its own", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w; set state_dir to one that this user may write", err)
	}
	s := &Store{dir: dir, lock: f, held: map[string]*os.File{}}
	if err := s.salvage(); err != nil {
		return nil, errors.Join(fmt.Errorf("state folder: %w", err), s.Close())
	}
	return s, nil
}

// own locks the folder, and makes it if need be: for this user alone, for what it keeps of a file may be a secret.
func own(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return lockFile(filepath.Join(dir, lockName))
}

const lockName = "lock"

// Owned tells whether a process has the folder.
func Owned(dir string) bool {
	path := filepath.Join(dir, lockName)
	if _, err := os.Stat(path); err != nil {
		return false
	}
	f, err := lockFile(path)
	if err == nil {
		_ = release(f) // it only gives back the lock
	}
	return errors.Is(err, ErrLocked)
}

// keep makes the folder anew, and takes it, if somebody removed it. What it held is found out anew or lost.
func (s *Store) keep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return errors.New("it was opened for reading")
	}
	mine, err := s.lock.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(filepath.Join(s.dir, lockName)); err == nil && os.SameFile(mine, now) {
		return nil
	}
	f, err := own(s.dir)
	if err != nil {
		return fmt.Errorf("the folder was removed: %w", err)
	}
	_ = release(s.lock) // nobody can see it any more
	s.lock = f
	return nil
}

// salvage puts aside the records that cannot be read, as they may be after the machine lost its power. What is not known is
// found out anew, with care; a process that does not start would help nobody.
func (s *Store) salvage() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		kind, _, _ := strings.Cut(name, "-")
		var v any
		switch kind {
		case "service":
			v = &service{}
		case "target":
			v = &Target{}
		case "fallback":
			v = &[][]byte{}
		case "overrides":
			v = &override.List{}
		default:
			v = &json.RawMessage{}
		}
		var unreadable *unreadableError
		if _, err := s.load(name, v); !errors.As(err, &unreadable) {
			continue // whoever needs it will tell what else is wrong
		}
		path := filepath.Join(s.dir, e.Name())
		if err := os.Rename(path, path+".damaged"); err != nil {
			return err
		}
		s.damaged = append(s.damaged, path)
	}
	return nil
}

// Damaged returns the records that Open could not read and put aside, as PATH.damaged. What they said is not known any more.
func (s *Store) Damaged() []string { return s.damaged }

// Peek opens the folder for reading, whoever owns it. It need not exist.
func Peek(dir string) *Store { return &Store{dir: dir} }

// Close gives the folder back.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	for _, f := range s.held {
		_ = release(f) // it only gives back the lock
	}
	return release(s.lock)
}

// Lock takes the files of targets for this process until Close, so that two that have different state folders do not both write
// one: all of them, or with an error none that it did not have. The error is ErrLocked if another has one. Where a lock cannot be
// made it is done without.
func (s *Store) Lock(dests ...string) error {
	taken := map[string]*os.File{}
	for _, dest := range dests {
		real := resolve(dest)
		if s.held[real] != nil || taken[real] != nil {
			continue
		}
		f, err := lockFile(filepath.Join(filepath.Dir(real), "."+filepath.Base(real)+".lock"))
		if errors.Is(err, ErrLocked) {
			for _, f := range taken {
				_ = release(f) // it only gives back the lock
			}
			return fmt.Errorf("%s: %w; stop that one, or give this one another dest", dest, err)
		}
		if err == nil { // or the folder is not there yet; writing the file will tell
			taken[real] = f
		}
	}
	maps.Copy(s.held, taken)
	return nil
}

// Keep gives back what Lock took, except these files.
func (s *Store) Keep(dests ...string) {
	kept := map[string]bool{}
	for _, dest := range dests {
		kept[resolve(dest)] = true
	}
	for real, f := range s.held {
		if !kept[real] {
			_ = release(f) // it only gives back the lock
			delete(s.held, real)
		}
	}
}

// resolve follows symbolic links, as writing the file will.
func resolve(dest string) string {
	if real, err := filepath.EvalSymlinks(dest); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(dest)); err == nil {
		return filepath.Join(dir, filepath.Base(dest))
	}
	return dest
}

// service is what is kept of a service. Servers were kept by the first version, without histories.
type service struct {
	decide.Kept
	Servers []desired.Server `json:"servers,omitempty"`
}

// Service returns what was kept of a service, and false if nothing was.
func (s *Store) Service(name string) (decide.Kept, bool, error) {
	var last service
	ok, err := s.load("service-"+name, &last)
	for _, srv := range last.Servers {
		state := pool.Active
		if srv.Drain {
			state = pool.Draining
		}
		last.Instances = append(last.Instances, instance.Instance{Server: srv, State: state, Ask: instance.Wants})
	}
	return last.Kept, ok, err
}

// SaveService keeps a service.
func (s *Store) SaveService(name string, kept decide.Kept) error {
	return s.save("service-"+name, service{Kept: kept})
}

// Node returns the member beside the balancers as it was last; the zero value if it was never known.
func (s *Store) Node() (pool.Node, error) {
	var n pool.Node
	_, err := s.load("node", &n)
	return n, err
}

// SaveNode keeps the member beside the balancers.
func (s *Store) SaveNode(n pool.Node) error { return s.save("node", n) }

// Overrides returns those that were saved.
func (s *Store) Overrides() (override.List, error) {
	var list override.List
	_, err := s.load("overrides", &list)
	return list, err
}

// SaveOverrides keeps the overrides.
func (s *Store) SaveOverrides(list override.List) error { return s.save("overrides", list) }

// Target returns what is known of a target by its KIND/NAME; nothing is no error.
func (s *Store) Target(id string) (Target, error) {
	var t Target
	_, err := s.load(targetFile(id), &t)
	return t, err
}

// SaveTarget keeps what is known of a target.
func (s *Store) SaveTarget(id string, t Target) error { return s.save(targetFile(id), t) }

// Fallback returns the content of a target's files that SaveFallback kept; nil stands for a file that was not there.
func (s *Store) Fallback(id string) ([][]byte, error) {
	var files [][]byte
	name := "fallback-" + strings.Replace(id, "/", "-", 1)
	ok, err := s.load(name, &files)
	if err == nil && !ok {
		err = fmt.Errorf("state: %s.json is gone", filepath.Join(s.dir, name))
	}
	return files, err
}

// SaveFallback keeps the content of a target's files to go back to.
func (s *Store) SaveFallback(id string, files [][]byte) error {
	return s.saveAs("fallback-"+strings.Replace(id, "/", "-", 1), files, 0o600) // the files may be for few eyes
}

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
		return false, &unreadableError{path, err}
	}
	return true, nil
}

// unreadableError is a record that is no record.
type unreadableError struct {
	path string
	err  error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("state: %s cannot be read: %v; if it is damaged, remove it", e.path, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

func (s *Store) save(name string, v any) error { return s.saveAs(name, v, 0o644) }

func (s *Store) saveAs(name string, v any, mode fs.FileMode) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := s.keep(); err != nil {
		return fmt.Errorf("state folder %s: %w", s.dir, err)
	}
	staged, err := atomicfile.Stage(filepath.Join(s.dir, name+".json"), append(data, '\n'), atomicfile.Options{Mode: mode})
	if err == nil {
		// A crash of the machine that brings an old record back has taken the balancer with it, and the next one is
		// met as an unknown one. That is worth less than the time a server waits for this.
		err = staged.Rename()
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}
