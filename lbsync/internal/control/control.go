// Package control is how one gossip-lbsync speaks with another that runs: HTTP over a socket in the state folder, which only
// its owner may use. And it is what monitoring asks over TCP: metrics, health and status, read only.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/metrics"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
)

// ErrNobody means that no gossip-lbsync runs with this state folder.
var ErrNobody = errors.New("no gossip-lbsync runs with this state folder")

// The limits of a request.
const (
	timeout = 10 * time.Second
	maxBody = 64 << 10
)

// Daemon is the running loop. Its methods may be called from any goroutine.
type Daemon interface {
	Status() reconcile.Status
	Why(service, member string) (decide.Why, bool)
	Override(override.Override) error
	Resume(service, member, target string) (int, error)
	Resync()
	Ready() string
	Alive() bool
}

// Server serves until closed.
type Server struct {
	http *http.Server
	wg   sync.WaitGroup
	addr string
}

func serve(listener net.Listener, handler http.Handler) *Server {
	s := &Server{addr: listener.Addr().String(), http: &http.Server{Handler: handler, ReadTimeout: timeout, WriteTimeout: timeout, MaxHeaderBytes: 16 << 10}}
	s.wg.Go(func() { _ = s.http.Serve(listener) }) // it ends with Close
	return s
}

// Addr returns where it listens.
func (s *Server) Addr() string { return s.addr }

// Close ends it and waits.
func (s *Server) Close() {
	_ = s.http.Close() // what is open is cut
	s.wg.Wait()
}

// SocketName is the socket's name in the state folder.
const SocketName = "control.sock"

func path(stateDir string) string { return filepath.Join(stateDir, SocketName) }

// Listen serves orders in the state folder, which the caller owns.
func Listen(stateDir string, d Daemon) (*Server, error) {
	sock := path(stateDir)
	if err := os.Remove(sock); err != nil && !errors.Is(err, os.ErrNotExist) { // of a process that was killed
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", sock)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w; a state_dir with a shorter path may help", err)
	}
	if err := os.Chmod(sock, 0o600); err != nil {
		_ = l.Close() // the first error is the one to report
		return nil, fmt.Errorf("control socket: %w", err)
	}
	mux := http.NewServeMux()
	reading(mux, d)
	mux.HandleFunc("GET /why", func(w http.ResponseWriter, r *http.Request) {
		why, ok := d.Why(r.FormValue("service"), r.FormValue("member"))
		if !ok {
			fail(w, http.StatusNotFound, fmt.Errorf("there is no service %q", r.FormValue("service")))
			return
		}
		answer(w, why)
	})
	mux.HandleFunc("POST /override", func(w http.ResponseWriter, r *http.Request) {
		var o override.Override
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&o)
		if err == nil {
			err = d.Override(o)
		}
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		answer(w, o)
	})
	mux.HandleFunc("POST /resume", func(w http.ResponseWriter, r *http.Request) {
		n, err := d.Resume(r.FormValue("service"), r.FormValue("member"), r.FormValue("target"))
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		answer(w, n)
	})
	return serve(l, mux), nil
}

// ListenTCP serves monitoring at the address: /metrics, /healthz, /readyz and /status.
func ListenTCP(addr string, d Daemon, registry *metrics.Registry) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http: %w; choose another address with http", err)
	}
	mux := http.NewServeMux()
	reading(mux, d)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", metrics.ContentType)
		_, _ = registry.WriteTo(w) // the reader may be gone
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !d.Alive() {
			fail(w, http.StatusServiceUnavailable, errors.New("the loop has not turned for three resync periods"))
			return
		}
		_, _ = io.WriteString(w, "ok\n") // the reader may be gone
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := d.Ready(); why != "" {
			fail(w, http.StatusServiceUnavailable, errors.New(why))
			return
		}
		_, _ = io.WriteString(w, "ok\n") // the reader may be gone
	})
	return serve(l, mux), nil
}

func reading(mux *http.ServeMux, d Daemon) {
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.Status()) })
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the reader may be gone
}

func fail(w http.ResponseWriter, code int, err error) { http.Error(w, err.Error(), code) }

// Client speaks with the gossip-lbsync that runs with a state folder. Its errors are ErrNobody, by errors.Is, if none does.
type Client struct{ http http.Client }

// NewClient returns a client. It does nothing yet.
func NewClient(stateDir string) *Client {
	sock := path(stateDir)
	return &Client{http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", sock)
			if err != nil && !errors.Is(err, os.ErrPermission) && ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", ErrNobody, err)
			}
			return conn, err
		}}}}
}

// Status returns how everything stands.
func (c *Client) Status(ctx context.Context) (reconcile.Status, error) {
	var s reconcile.Status
	err := c.do(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Why explains a member of a service.
func (c *Client) Why(ctx context.Context, service, member string) (decide.Why, error) {
	var w decide.Why
	err := c.do(ctx, http.MethodGet, "/why?"+url.Values{"service": {service}, "member": {member}}.Encode(), nil, &w)
	return w, err
}

// Override gives an order.
func (c *Client) Override(ctx context.Context, o override.Override) error {
	return c.do(ctx, http.MethodPost, "/override", o, &o)
}

// Resume ends orders and returns how many.
func (c *Client) Resume(ctx context.Context, service, member, target string) (int, error) {
	var n int
	err := c.do(ctx, http.MethodPost, "/resume?"+url.Values{"service": {service}, "member": {member}, "target": {target}}.Encode(), nil, &n)
	return n, err
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://lbsync"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // the status says enough
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
