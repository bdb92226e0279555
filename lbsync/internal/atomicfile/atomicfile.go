// Package atomicfile replaces a file so that a reader, or a crash, finds either the old content or the new,
// never a part. The new content is staged beside the file first, so that a program can check exactly the
// bytes that will be installed.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Staged is content that lies beside the file it will replace.
type Staged struct {
	dest string // what is replaced, symbolic links resolved
	temp string
	done bool
}

// Stage writes data to a new file beside dest. Its name begins with a dot, so that include patterns such as
// conf.d/*.conf pass over it. mode 0 takes the mode of the file that is there, or 0644; its owner is kept
// where the process may. If dest is a symbolic link, what it points to is replaced. The caller must call
// Commit or Discard.
func Stage(dest string, data []byte, mode fs.FileMode) (*Staged, error) {
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
	if mode == 0 {
		mode = 0o644
		if old != nil {
			mode = old.Mode().Perm()
		}
	}

	// CreateTemp opens with O_EXCL and mode 0600: nobody reads the content before its mode and owner are set.
	f, err := os.CreateTemp(filepath.Dir(dest), "."+filepath.Base(dest)+".*.tmp")
	if err != nil {
		return nil, err
	}
	s := &Staged{dest: dest, temp: f.Name()}
	if err := fill(f, data, mode, old); err != nil {
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

func fill(f *os.File, data []byte, mode fs.FileMode, old fs.FileInfo) error {
	if old != nil {
		if err := keepOwner(f, old); err != nil {
			return fmt.Errorf("cannot keep the owner of the file: %w", err)
		}
	}
	if err := f.Chmod(mode); err != nil && !noFileModes(err) {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
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
	return syncDir(filepath.Dir(s.dest))
}

// Rename puts the staged content in place. If the machine crashes soon after, the old content may be back.
func (s *Staged) Rename() error {
	if err := os.Rename(s.temp, s.dest); err != nil {
		s.Discard()
		return err
	}
	s.done = true
	return nil
}

// Discard removes the staged content unless it was committed. It may be called at any time.
func (s *Staged) Discard() {
	if !s.done {
		s.done = true
		_ = os.Remove(s.temp) // nothing can be done about a leftover; it is never read
	}
}

// Write stages and commits in one step.
func Write(dest string, data []byte, mode fs.FileMode) error {
	s, err := Stage(dest, data, mode)
	if err != nil {
		return err
	}
	return s.Commit()
}
