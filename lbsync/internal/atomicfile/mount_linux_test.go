package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
)

// apart runs the function on a thread with mounts of its own, which is no more used after it.
func apart(t *testing.T, run func()) {
	t.Helper()
	problem := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNS)
		if err == nil {
			err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		}
		if err == nil {
			run()
		}
		problem <- err
	}()
	if err := <-problem; err != nil {
		t.Skipf("no mounts of our own here: %v", err)
	}
}

func mount(t *testing.T, source, dir, kind string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, dir, kind, flags, data); err != nil {
		t.Errorf("mount %s: %v", dir, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestFullAndReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	apart(t, func() {
		mount(t, "none", dir, "tmpfs", 0, "size=16k")
		write(t, path, "old")
		if err := atomicfile.Write(path, make([]byte, 64<<10), atomicfile.Options{}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("full: %v", err)
		}
		content(t, path, "old")
		mount(t, "none", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
		if err := atomicfile.Write(path, []byte("new"), atomicfile.Options{}); !errors.Is(err, syscall.EROFS) {
			t.Errorf("read-only: %v", err)
		}
		content(t, path, "old")
		if got := names(t, dir); got != "f" {
			t.Errorf("the folder holds %s", got)
		}
	})
}

func TestMountPoint(t *testing.T) {
	t.Parallel()
	dir, source := t.TempDir(), filepath.Join(t.TempDir(), "source")
	path := filepath.Join(dir, "f")
	write(t, path, "below")
	write(t, source, "a longer old text")
	apart(t, func() {
		mount(t, source, path, "", syscall.MS_BIND, "")
		err := atomicfile.Write(path, []byte("new"), atomicfile.Options{})
		if !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "allow_inplace") {
			t.Errorf("got %v", err)
		}
		content(t, path, "a longer old text")
		if err := atomicfile.Write(path, []byte("new"), atomicfile.Options{InPlace: true, Backups: 1}); err != nil {
			t.Error(err)
		}
		content(t, path, "new")
		content(t, path+".1", "a longer old text")
		if got := names(t, dir); got != "f f.1" {
			t.Errorf("the folder holds %s", got)
		}
	})
	content(t, source, "new")
	content(t, path, "below")
}

func TestUnwritableFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "old")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) }) // so that it can be removed
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // as above
		if os.Getuid() == 0 {  // who may write anywhere
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0) // tells nothing
		}
		done <- atomicfile.Write(path, []byte("new"), atomicfile.Options{})
	}()
	if err := <-done; !errors.Is(err, syscall.EACCES) {
		t.Errorf("got %v", err)
	}
	content(t, path, "old")
	if got := names(t, dir); got != "f" {
		t.Errorf("the folder holds %s", got)
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	path := filepath.Join(t.TempDir(), "f")
	owner := func(want uint32, wantGroup uint32) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != want || st.Gid != wantGroup {
			t.Errorf("owner %d:%d, want %d:%d", st.Uid, st.Gid, want, wantGroup)
		}
	}
	for _, tt := range []struct {
		opts        atomicfile.Options
		user, group uint32
	}{
		{atomicfile.Options{}, 0, 0},
		{atomicfile.Options{User: "12345", Group: "54321"}, 12345, 54321},
		{atomicfile.Options{}, 12345, 54321}, // kept
		{atomicfile.Options{User: "root"}, 0, 54321},
		{atomicfile.Options{Group: "root"}, 0, 0},
	} {
		if err := atomicfile.Write(path, []byte("x"), tt.opts); err != nil {
			t.Fatal(err)
		}
		owner(tt.user, tt.group)
	}
	if err := atomicfile.Write(path, []byte("y"), atomicfile.Options{User: "nobody-is-called-so"}); err == nil || !strings.Contains(err.Error(), "nobody-is-called-so") {
		t.Errorf("got %v", err)
	}
	content(t, path, "x")
}
