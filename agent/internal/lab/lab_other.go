//go:build !linux

// Package lab is a network of test hosts on one machine. It needs Linux: see lab_linux.go.
package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"
)

// ErrNotAllowed is what everything fails with.
var ErrNotAllowed = errors.New("needs Linux")

// Net is a network that cannot be.
type Net struct{}

// New fails.
func New(int) (*Net, error) { return nil, ErrNotAllowed }

// Addr is never called.
func (*Net) Addr(int) netip.Addr { return netip.Addr{} }

// Lose is never called.
func (*Net) Lose(float64) {}

// Start is never called.
func (*Net) Start(int, *exec.Cmd) error { return ErrNotAllowed }

// Dial is never called.
func (*Net) Dial(context.Context, int, netip.AddrPort) (net.Conn, error) { return nil, ErrNotAllowed }

// Close is never called.
func (*Net) Close() {}

// Freeze fails.
func Freeze(*os.Process, time.Duration) error { return ErrNotAllowed }

// Bytes counts nothing.
type Bytes struct{}

// CountBytes fails.
func CountBytes(uint16) (*Bytes, error) { return nil, ErrNotAllowed }

// Stop is never called.
func (*Bytes) Stop() uint64 { return 0 }
