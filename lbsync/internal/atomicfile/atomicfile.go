// Package atomicfile replaces a file so that a reader, or a crash, finds either the old content or the new,
// never a part. The new content is staged beside the file first, so that a program can check exactly the
// bytes that will be installed.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Options say how a file is replaced. The zero value keeps what the old file has.
type Options struct {
	Mode        fs.FileMode // 0 takes that of the old file, or 0644
	User, Group string      // names or numbers; empty keeps those of the old file, where the process may
	Backups     int         // how many earlier versions are kept as DEST.1, the newest, to DEST.N
	// InPlace overwrites a file that cannot be replaced because it is a mount point, as a file that is mounted into a
	// container is. A reader, or a crash, may then find a part.
	InPlace bool
}

// reached is called before each step that changes anything on disk. Tests end the process there, as it were.
var reached = func(string) {}

// Staged is content that lies beside the file it will replace.
type Staged struct {
	dest string // what is replaced, symbolic links resolved
	temp string
	data []byte
	opts Options
	done bool
}

// Stage writes data to a new file beside dest. Its name begins with a dot, so that include patterns such as
// conf.d/*.conf pass over it. If dest is a symbolic link, what it points to is replaced. What a process that crashed
// left of the same file is removed: only one at a time may stage it. The caller must call Commit or Discard.
func Stage(dest string, data []byte, opts Options) (*Staged, error) {
	if resolved, err := filepath.EvalSymlinks(dest); err == nil {
		dest = resolved
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot follow %s: %w", dest, err)
	}
	old, err := os.Stat(dest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return nil, err
	case !old.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", dest)
	}
	if opts.Mode == 0 {
		opts.Mode = 0o644
		if old != nil {
			opts.Mode = old.Mode().Perm()
		}
	}
	removeLeftovers(dest)

	// CreateTemp opens with O_EXCL and mode 0600: nobody reads the content before its mode and owner are set.
	reached("create")
	f, err := os.CreateTemp(filepath.Dir(dest), "."+filepath.Base(dest)+".*.tmp")
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) { // the name of the temporary file says nothing to anybody
			err = cause.Err
		}
		return nil, fmt.Errorf("cannot make a file beside %s: %w", dest, err)
	}
	s := &Staged{dest: dest, temp: f.Name(), data: data, opts: opts}
	if err := fill(f, data, opts, old); err != nil {
		_ = f.Close() // the first error is the one to report
		s.Discard()
		return nil, err
	}
	if err := f.Close(); err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// Obstacle tells without changing anything what would keep everybody from replacing dest: that there is no such folder, or no such user
// or group.
func Obstacle(dest string, opts Options) error {
	if _, _, err := opts.owner(0, 0); err != nil {
		return fmt.Errorf("cannot set the owner of %s: %w", dest, err)
	}
	if info, err := os.Stat(filepath.Dir(dest)); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return fmt.Errorf("there is no folder %s for %s", filepath.Dir(dest), filepath.Base(dest))
	}
	return nil
}

// removeLeftovers removes what earlier processes staged for dest and neither committed nor discarded.
func removeLeftovers(dest string) {
	entries, err := os.ReadDir(filepath.Dir(dest))
	if err != nil {
		return // staging will say so
	}
	for _, e := range entries {
		middle, isTemp := strings.CutPrefix(e.Name(), "."+filepath.Base(dest)+".")
		middle, ends := strings.CutSuffix(middle, ".tmp")
		if isTemp && ends && middle != "" && strings.Trim(middle, "0123456789") == "" {
			_ = os.Remove(filepath.Join(filepath.Dir(dest), e.Name())) // a leftover is never read
		}
	}
}

func fill(f *os.File, data []byte, opts Options, old fs.FileInfo) error {
	reached("own")
	if err := own(f, opts, old); err != nil {
		return fmt.Errorf("cannot set the owner of the file: %w", err)
	}
	reached("mode")
	if err := f.Chmod(opts.Mode); err != nil && !noFileModes(err) {
		return err
	}
	reached("write")
	if _, err := f.Write(data); err != nil {
		return err
	}
	reached("sync")
	return f.Sync()
}

// Path is where the staged content lies until Commit.
func (s *Staged) Path() string { return s.temp }

// Commit puts the staged content in place and makes that durable. On error the old file is still there,
// unless only the last step, making the rename durable, failed.
func (s *Staged) Commit() error {
	if err := s.Rename(); err != nil {
		return err
	}
	reached("sync folder")
	return syncDir(filepath.Dir(s.dest))
}

// Rename puts the staged content in place. If the machine crashes soon after, the old content may be back.
func (s *Staged) Rename() error {
	if err := s.backup(); err != nil {
		s.Discard()
		return fmt.Errorf("cannot keep a backup: %w", err)
	}
	reached("rename")
	err := os.Rename(s.temp, s.dest)
	if errors.Is(err, syscall.EBUSY) {
		if err = fmt.Errorf("%w: it is a mount point; mount its folder instead, or set allow_inplace = true", err); s.opts.InPlace {
			err = s.overwrite()
		}
		s.Discard()
		return err
	}
	if err != nil {
		s.Discard()
		return err
	}
	s.done = true
	return nil
}

// overwrite writes the content into the old file.
func (s *Staged) overwrite() error {
	f, err := os.OpenFile(s.dest, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = fill(f, s.data, s.opts, nil)
	if err == nil {
		err = f.Truncate(int64(len(s.data)))
	}
	return errors.Join(err, f.Close())
}

// backup makes the present file the first backup, and each backup the next.
func (s *Staged) backup() error {
	if s.opts.Backups == 0 {
		return nil
	}
	if _, err := os.Stat(s.dest); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	name := func(i int) string { return fmt.Sprintf("%s.%d", s.dest, i) }
	for i := s.opts.Backups; i > 1; i-- {
		reached("shift backup")
		if err := os.Rename(name(i-1), name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	reached("keep backup")
	if err := os.Remove(name(1)); err != nil && !errors.Is(err, fs.ErrNotExist) { // there is one if only one is kept
		return err
	}
	if os.Link(s.dest, name(1)) == nil {
		return nil
	}
	return copyFile(s.dest, name(1)) // where there are no links, or the file is a mount point
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // opened for reading only
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Discard removes the staged content unless it was committed. It may be called at any time.
func (s *Staged) Discard() {
	if !s.done {
		s.done = true
		_ = os.Remove(s.temp) // nothing can be done about a leftover; it is never read
	}
}

// Write stages and commits in one step.
func Write(dest string, data []byte, opts Options) error {
	s, err := Stage(dest, data, opts)
	if err != nil {
		return err
	}
	return s.Commit()
}
