//go:build !windows && !plan9

package syslog

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// TestDaemon speaks to a socket of the kind that syslog daemons open.
func TestDaemon(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := dial("unixgram", path, "local3")
	if err != nil {
		t.Fatal(err)
	}
	f.Line(hclog.Warn, "serf: watch out")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1024)
	n, err := l.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	// Facility LOCAL3 is 19, severity warning 4 (RFC 5424 section 6.2.1): 19*8 + 4.
	if want := regexp.MustCompile(`^<156>.* serf\[\d+\]: serf: watch out\n$`); !want.Match(buf[:n]) {
		t.Errorf("got %q, want %s", buf[:n], want)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	if _, err := Open("LOCAL8"); err == nil || !strings.Contains(err.Error(), "LOCAL8") {
		t.Errorf("facility: got %v", err)
	}
	if _, err := dial("unixgram", filepath.Join(t.TempDir(), "none"), "LOCAL0"); err == nil || !strings.Contains(err.Error(), "daemon") {
		t.Errorf("no daemon: got %v", err)
	}
}
