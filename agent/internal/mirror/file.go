package mirror

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

const (
	// poll is how often a file is looked at. To watch it would save next to nothing and miss file systems of other hosts.
	poll = time.Second
	// fresh is how old a file must be for its time to tell one writing from the next.
	fresh = 2 * time.Second
	// maxFile is the longest file that is read, in bytes: some 200,000 members with tags.
	maxFile = 64 << 20
)

// fileMember is one member of 'gossip members -format json', or of Serf's.
type fileMember struct {
	Name     string            `json:"name"`
	Addr     string            `json:"addr"`
	Tags     map[string]string `json:"tags"`
	Status   string            `json:"status"`
	Protocol struct {
		Max     uint8 `json:"max"`
		Min     uint8 `json:"min"`
		Version uint8 `json:"version"`
	} `json:"protocol"`
	Damped bool   `json:"damped"`
	Note   string `json:"note"`
}

// parse reads a list of members. One that is broken or empty is an error: a cluster has one member at least, and half a
// list must not pass for the whole.
func parse(text []byte) ([]api.Member, error) {
	var f struct {
		Members []fileMember `json:"members"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line := 1 + bytes.Count(text[:max(syntax.Offset-1, 0)], []byte("\n"))
			return nil, fmt.Errorf("line %d: it is not JSON: %w", line, err)
		}
		if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
			err = fmt.Errorf("no %s belongs at %s", kind.Value, cmp.Or(kind.Field, "its top"))
		}
		return nil, fmt.Errorf("it is not a list of members: %w; write it with 'gossip members -format json'", err)
	}
	if len(f.Members) == 0 {
		return nil, errors.New("it lists no members; write it with 'gossip members -format json'")
	}
	seen := make(map[string]bool, len(f.Members))
	list := make([]api.Member, 0, len(f.Members))
	for i, m := range f.Members {
		addr, err := address(m.Addr)
		switch {
		case m.Name == "":
			err = errors.New("it has no name")
		case seen[m.Name]:
			err = errors.New("the name comes twice")
		case m.Status == "":
			err = errors.New("it has no status")
		}
		if err != nil {
			return nil, fmt.Errorf("member %d (%q): %w", i+1, m.Name, err)
		}
		seen[m.Name] = true
		list = append(list, api.Member{
			Name: m.Name, Addr: addr.Addr().AsSlice(), Port: addr.Port(), Tags: m.Tags, Status: m.Status,
			DelegateMin: m.Protocol.Min, DelegateMax: m.Protocol.Max, DelegateCur: m.Protocol.Version,
			Damped: m.Damped, Note: m.Note,
		})
	}
	return list, nil
}

// address takes "10.0.0.1:7946", and an address without a port for lists that somebody wrote by hand.
func address(text string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("addr %q is not an IP address with a port, such as 10.0.0.1:7946", text)
	}
	return netip.AddrPortFrom(a, 0), nil
}

// File is a saved list of members that is read again when it changes. It is used by one goroutine.
type File struct {
	path string
	info os.FileInfo // at the last reading; nil if it could not be read
	read time.Time
	said string // the last complaint
}

// Open returns a file. It does not read it yet.
func Open(path string) *File { return &File{path: path} }

// changed tells whether the file may hold something else than at the last reading.
func (f *File) changed() bool {
	info, err := os.Stat(f.path)
	if err != nil || f.info == nil {
		return true
	}
	if !os.SameFile(info, f.info) || info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return true
	}
	return f.read.Sub(info.ModTime()) < fresh
}

// Read reads the file. The error of one that cannot be used says why.
func (f *File) Read() ([]api.Member, error) {
	in, err := os.Open(f.path)
	if err != nil {
		f.info = nil
		return nil, fmt.Errorf("members file: %w", err) // names the file
	}
	defer func() { _ = in.Close() }() // it was read only
	f.read = time.Now()
	if f.info, err = in.Stat(); err != nil {
		return nil, fmt.Errorf("members file: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("members file: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("members file %s: it has more than %d MiB", f.path, maxFile>>20)
	}
	list, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("members file %s: %w", f.path, err)
	}
	return list, nil
}

// Load shows the members of a file. After an error what was shown before stays.
func (m *Mirror) Load(f *File) error {
	list, err := f.Read()
	if err != nil {
		return err
	}
	m.Show(list) // who wrote it down trusted it, and time does not change it
	return nil
}

// Show shows a list, in any order, that is trusted. The list is the mirror's from then on.
func (m *Mirror) Show(list []api.Member) {
	sortMembers(list)
	m.now = time.Now()
	m.source = client.View{Members: list, Connected: true, Confidence: &api.Confidence{Synced: true, VisibleShare: 1}}
	m.publish(convert(list, m.store.Load().Members))
	m.ready.Store(true)
}

// FollowFile shows the members of a file, again whenever it changes, until ctx ends. Of content that is broken it says so
// once, and goes on with the last that was good.
func (m *Mirror) FollowFile(ctx context.Context, f *File) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if f.changed() {
			m.reload(f)
		}
	}
}

func (m *Mirror) reload(f *File) {
	rev := m.store.Load().Rev
	err := m.Load(f)
	switch {
	case err != nil && err.Error() != f.said:
		f.said = err.Error()
		m.log.Warn("the members file cannot be used; going on with the last one that could", "error", err)
	case err == nil && (f.said != "" || m.store.Load().Rev != rev):
		f.said = ""
		m.log.Info("read the members file", "members", len(m.source.Members))
	}
}
