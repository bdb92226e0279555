package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

// Service is a web server at an address that is known before it listens there, as a program that needs time to start.
type Service struct {
	Name string
	Addr string // host:port
	http *http.Server
}

// NewService returns a web server for a free port of the first loopback address; nil as the handler means Web.
func NewService(name string, handler http.Handler) (*Service, error) {
	addr, err := loopback.FreeAddr(Loopback(1))
	if handler == nil {
		handler = Web(name)
	}
	return &Service{Name: name, Addr: addr, http: &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}}, err
}

// Open begins to listen.
func (s *Service) Open() error {
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("web server %s: %w", s.Name, err)
	}
	go func() { _ = s.http.Serve(l) }() // until stopped
	return nil
}

// Stop ends the server when the requests under way are answered, or ctx has ended.
func (s *Service) Stop(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Kill ends the server and cuts what is under way.
func (s *Service) Kill() { _ = s.http.Close() } // an error would be of a connection that is gone anyway

// Tag is the agent's flag that announces the server as an instance of a service.
func (s *Service) Tag(service string) string {
	return fmt.Sprintf("-tag=svc:%s=%d", service, Port(s.Addr))
}

// Unpack puts files into the stage's directory, with text in them replaced: addresses that are right for one user of
// a machine by those that are free. Text that is in none of the files is an error.
func (s *Stage) Unpack(files fs.FS, replace map[string]string) error {
	missing := map[string]bool{}
	var pairs []string
	for from, to := range replace {
		missing[from] = true
		pairs = append(pairs, from, to)
	}
	replacer := strings.NewReplacer(pairs...)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		for from := range missing {
			if strings.Contains(string(text), from) {
				delete(missing, from)
			}
		}
		_, err = s.Write(name, replacer.Replace(string(text)))
		return err
	})
	for from := range missing {
		return fmt.Errorf("unpack: no file has %s", from)
	}
	return err
}

// InStep waits until the gossip-lbsync that runs with a configuration of the stage's directory says that all its targets
// are in step.
func (s *Stage) InStep(ctx context.Context, config string) error {
	return Eventually(ctx, func() error {
		r, err := s.Run(ctx, nil, "gossip-lbsync", "status", "-format=json", "-config", config)
		if err != nil {
			return err
		}
		var status struct {
			Running bool `json:"running"`
			Targets []struct {
				State string `json:"state"`
			} `json:"targets"`
		}
		if err := json.Unmarshal([]byte(r.Stdout), &status); err != nil || !status.Running {
			return fmt.Errorf("gossip-lbsync does not run yet: %w: %s", err, r.Stderr)
		}
		for _, t := range status.Targets {
			if t.State != "in step" {
				return fmt.Errorf("not in step yet: %s", r.Stdout)
			}
		}
		return nil
	})
}
