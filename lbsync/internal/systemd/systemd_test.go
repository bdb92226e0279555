package systemd_test

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/systemd"
)

func TestNotify(t *testing.T) {
	if err := systemd.Notify(systemd.Ready); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	path := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skip("no datagram sockets:", err)
	}
	defer func() { _ = conn.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := systemd.Notify(systemd.Ready); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", path+"none")
	if err := systemd.Notify(systemd.Ready); err == nil {
		t.Error("nobody listens, and there is no error")
	}
}

func TestWatchdogInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "x": 0, "-1": 0, "30000000": 15 * time.Second} {
		t.Setenv("WATCHDOG_USEC", text)
		if got := systemd.WatchdogInterval(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
