package snapshot

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"
)

var errDiskFull = errors.New("no space left on device")

// disk is a file system in memory whose operations can be made to fail.
type disk struct {
	mu     sync.Mutex
	files  map[string]*bytes.Buffer
	synced map[string]string // content at the last sync
	fail   map[string]bool   // by operation: open append create rename write sync
	stall  chan struct{}     // if set, writes wait until it is closed
	errors int               // operations that failed
}

func newDisk() *disk {
	return &disk{files: make(map[string]*bytes.Buffer), synced: make(map[string]string), fail: make(map[string]bool)}
}

func (d *disk) set(fail bool, operations ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, op := range operations {
		d.fail[op] = fail
	}
}

func (d *disk) failures() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.errors
}

// check returns an error if the operation is to fail. The caller holds mu.
func (d *disk) check(operation string) error {
	if d.fail[operation] {
		d.errors++
		return errDiskFull
	}
	return nil
}

func (d *disk) put(path, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[path] = bytes.NewBufferString(text)
}

func (d *disk) text(path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[path]; f != nil {
		return f.String()
	}
	return "no file"
}

func (d *disk) durable(path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.synced[path]
}

func (d *disk) Open(path string) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check("open"); err != nil {
		return nil, err
	}
	f := d.files[path]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(f.Bytes()))), nil
}

func (d *disk) Append(path string, size int64) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check("append"); err != nil {
		return nil, err
	}
	if d.files[path] == nil {
		d.files[path] = &bytes.Buffer{}
	}
	if int64(d.files[path].Len()) > size {
		d.files[path].Truncate(int(size))
	}
	return &diskFile{disk: d, path: path, buf: d.files[path]}, nil
}

func (d *disk) Create(path string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check("create"); err != nil {
		return nil, err
	}
	d.files[path] = &bytes.Buffer{}
	return &diskFile{disk: d, path: path, buf: d.files[path]}, nil
}

func (d *disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check("rename"); err != nil {
		return err
	}
	d.files[to], d.synced[to] = d.files[from], d.synced[from]
	delete(d.files, from)
	return nil
}

type diskFile struct {
	disk   *disk
	path   string
	buf    *bytes.Buffer
	closed bool
}

func (f *diskFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	stall := f.disk.stall
	f.disk.mu.Unlock()
	if stall != nil {
		<-stall
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if err := f.disk.check("write"); err != nil {
		n := len(p) / 2
		f.buf.Write(p[:n])
		return n, err
	}
	return f.buf.Write(p)
}

func (f *diskFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	if err := f.disk.check("sync"); err != nil {
		return err
	}
	f.disk.synced[f.path] = f.buf.String()
	return nil
}

func (f *diskFile) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}
