package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestNoRights uses a socket that this user may not write to.
func TestNoRights(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // nobody connects
	go func() {
		if conn, err := l.Accept(); err == nil { // it should not come to that
			_, _ = io.WriteString(conn, "\n")
			_ = conn.Close()
		}
	}()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
		if os.Getuid() == 0 {  // who may write anywhere
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0) // tells nothing
		}
		_, err := New(path, 10*time.Second).Query(context.Background(), ShowInfo())
		done <- err
	}()
	if err := <-done; !errors.Is(err, ErrDenied) || errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v", err)
	}
}
