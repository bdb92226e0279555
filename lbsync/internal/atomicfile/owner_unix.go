//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// own gives f the owner and group of the options, or else of the old file, if they differ from what it has.
func own(f *os.File, opts Options, old fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	have, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	uid, gid := int(have.Uid), int(have.Gid)
	if old != nil {
		if was, ok := old.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(was.Uid), int(was.Gid)
		}
	}
	if uid, gid, err = opts.owner(uid, gid); err != nil {
		return err
	}
	if uid == int(have.Uid) && gid == int(have.Gid) {
		return nil
	}
	return f.Chown(uid, gid)
}

// owner returns the owner and group of the options, or else those given.
func (o Options) owner(uid, gid int) (int, int, error) {
	var err error
	if o.User != "" {
		if uid, err = id(o.User, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return 0, 0, err
		}
	}
	if o.Group != "" {
		if gid, err = id(o.Group, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return 0, 0, err
		}
	}
	return uid, gid, nil
}

// id returns the number of a user or group that is given by name or number.
func id(text string, lookup func(string) (string, error)) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return int(n), nil
	}
	number, err := lookup(text)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(number)
}

func noFileModes(error) bool { return false }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // opened for reading only
	return d.Sync()
}
