package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sync"
	"sync/atomic"

	"github.com/seed-645ce708/gossip/agent/internal/atomicfile"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// tagSet is our own tags: those of the configuration, and over them what was set and deleted at run time. Both
// are kept apart so that a reload of the configuration does not lose what was changed at run time.
type tagSet struct {
	mu         sync.Mutex // serialises changes, from the check to the announcement
	configured map[string]string
	set        map[string]string   // at run time
	deleted    map[string]struct{} // at run time
	path       string              // tags file; "" keeps changes in memory only

	// now is what current returns, for readers that must not wait for a change to be announced.
	now atomic.Pointer[map[string]string]
}

// newTagSet reads the tags file if there is one to read. With a tags file all tags are run-time tags.
func newTagSet(configured map[string]string, path string) (*tagSet, error) {
	t := &tagSet{configured: configured, set: map[string]string{}, deleted: map[string]struct{}{}, path: path}
	if err := t.load(); err != nil {
		return nil, err
	}
	tags := t.current()
	t.now.Store(&tags)
	return t, nil
}

func (t *tagSet) load() error {
	if t.path == "" {
		return nil
	}
	data, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to read tags file: %w", err)
	}
	if err := json.Unmarshal(data, &t.set); err != nil {
		return fmt.Errorf("failed to decode tags file %s: want a JSON object of strings: %w", t.path, err)
	}
	if t.set == nil { // the file holds null
		t.set = map[string]string{}
	}
	return nil
}

// current returns a copy of the tags in force. The caller holds mu, or has the set to itself.
func (t *tagSet) current() map[string]string {
	tags := maps.Clone(t.configured)
	if tags == nil {
		tags = map[string]string{}
	}
	for key := range t.deleted {
		delete(tags, key)
	}
	maps.Copy(tags, t.set)
	return tags
}

// with returns the set after a change, sharing nothing that is modified: deletes first, then sets. The caller
// holds mu.
func (t *tagSet) with(set map[string]string, del []string) *tagSet {
	next := &tagSet{configured: t.configured, set: maps.Clone(t.set), deleted: maps.Clone(t.deleted), path: t.path}
	for _, key := range del {
		delete(next.set, key)
		next.deleted[key] = struct{}{}
	}
	for key, value := range set {
		next.set[key] = value
		delete(next.deleted, key)
	}
	return next
}

// adopt takes over the tags of next. The caller holds mu.
func (t *tagSet) adopt(next *tagSet) {
	t.configured, t.set, t.deleted = next.configured, next.set, next.deleted
	tags := t.current()
	t.now.Store(&tags)
}

// save writes the tags file.
func (t *tagSet) save() error {
	if t.path == "" {
		return nil
	}
	data, err := json.MarshalIndent(t.current(), "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode tags: %w", err)
	}
	if err := atomicfile.Write(t.path, data, 0o600); err != nil {
		return fmt.Errorf("failed to write tags file: %w", err)
	}
	return nil
}

// UpdateTags changes our own tags, deletes first, then sets, and tells the cluster. Nothing changes if the tags
// no longer fit (512 bytes encoded) or the tags file cannot be written. It waits until the change is on its way, at
// most the broadcast timeout.
func (a *Agent) UpdateTags(_ context.Context, set map[string]string, del []string) error {
	a.tags.mu.Lock()
	defer a.tags.mu.Unlock()
	return a.announceTags(a.tags.with(set, del))
}

// reloadTags puts the tags of a new configuration under those changed at run time.
func (a *Agent) reloadTags(configured map[string]string) error {
	a.tags.mu.Lock()
	defer a.tags.mu.Unlock()
	if maps.Equal(configured, a.tags.configured) {
		return nil
	}
	next := a.tags.with(nil, nil)
	next.configured = configured
	return a.announceTags(next)
}

// announceTags makes next the tags in force. The caller holds the set's mutex, so that changes reach the cluster
// in the order in which they were made.
func (a *Agent) announceTags(next *tagSet) error {
	tags := next.current()
	for key := range tags {
		if key == "" {
			return errors.New("invalid tag: the key is empty")
		}
	}
	meta, err := wire.EncodeTags(tags, uint8(a.cfg.Protocol))
	if err != nil {
		return err
	}
	if err := next.save(); err != nil {
		return err
	}
	// Not the caller's context: once the file is written the change goes through.
	if err := a.core.Do(context.Background(), state.LocalTags{Tags: tags}, 0); err != nil {
		return err
	}
	a.tags.adopt(next)
	return a.gossip.UpdateMeta(meta, a.cfg.BroadcastTimeout)
}

// Tags returns our own tags, which must not be modified.
func (a *Agent) Tags() map[string]string { return *a.tags.now.Load() }
