package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// fileMode is that of a new snapshot, as in Serf.
const fileMode fs.FileMode = 0o644

// FS is what a Writer asks of the file system. A nil FS in a Config is the real one; tests put a faulty one
// in its place.
type FS interface {
	// Open opens a file for reading. The error is fs.ErrNotExist, by errors.Is, if there is none.
	Open(path string) (io.ReadCloser, error)
	// Append opens a file for appending, making it if there is none, after cutting it to size bytes.
	Append(path string, size int64) (File, error)
	// Create opens a file for writing, making it or emptying it.
	Create(path string) (File, error)
	// Rename gives a file another name and replaces what had it.
	Rename(from, to string) error
}

// File is an open file to write to.
type File interface {
	io.WriteCloser
	Sync() error
}

type osFS struct{}

func (osFS) Open(path string) (io.ReadCloser, error) { return os.Open(path) }

func (osFS) Append(path string, size int64) (File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > size {
		err = f.Truncate(size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (osFS) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fileMode)
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
