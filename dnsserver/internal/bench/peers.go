//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// server is a program that can serve the zone.
type server struct {
	name    string
	path    string
	version string
	// command writes what configuration it needs into a directory, and returns the arguments to run it in the
	// foreground on 127.0.0.1 at a port with so many workers.
	command func(dir, zone string, port, workers int, m *mix) ([]string, error)
	env     func(workers int) []string
}

const oursName = "gossip"

func ours(procs int) server {
	return server{
		name: oursName,
		path: "/proc/self/exe",
		command: func(_, _ string, port, _ int, _ *mix) ([]string, error) {
			return []string{"serve", "-addr", fmt.Sprintf("127.0.0.1:%d", port)}, nil
		},
		env: func(int) []string {
			if procs == 0 {
				return nil
			}
			return []string{fmt.Sprintf("GOMAXPROCS=%d", procs)}
		},
	}
}

func findPeer(ctx context.Context, name, dir string) (server, error) {
	switch name {
	case "nsd":
		return installed(ctx, "nsd", "nsd", "-v", nsd)
	case "knot":
		return installed(ctx, "knot", "knotd", "-V", knot)
	case "bind":
		return installed(ctx, "bind", "named", "-v", bind)
	case "coredns":
		path, err := buildCoreDNS(ctx)
		if err != nil {
			return server{}, err
		}
		return server{
			name: name, path: path, version: "CoreDNS " + coreDNSVersion + ", file with cache", command: coreDNS,
			env: func(workers int) []string { return []string{fmt.Sprintf("GOMAXPROCS=%d", workers)} },
		}, nil
	}
	return server{}, errors.New("not a server that this knows; there are nsd, knot, bind and coredns")
}

func installed(ctx context.Context, name, program, versionFlag string, command func(dir, zone string, port, workers int, m *mix) ([]string, error)) (server, error) {
	path, err := exec.LookPath(program)
	if err != nil { // Debian keeps it where a plain user does not look
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", program)); err != nil {
			return server{}, err
		}
	}
	out, _ := exec.CommandContext(ctx, path, versionFlag).CombinedOutput() // NSD says it with an error
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return server{name: name, path: path, version: version, command: command}, nil
}

var oldNSD = regexp.MustCompile(`NSD version 4\.[0-7]\.`)

func nsd(dir, zone string, port, workers int, m *mix) ([]string, error) {
	minimal := "yes"
	if m.name == "SRV" { // or the addresses would be missing
		minimal = "no"
	}
	conf := fmt.Sprintf(`server:
  ip-address: 127.0.0.1@%d
  server-count: %d
  reuseport: yes
  username: ""
  chroot: ""
  zonesdir: "%s"
  pidfile: "%s/nsd.pid"
  xfrdfile: "%[4]s/xfrd.state"
  zonelistfile: "%[4]s/zone.list"
  xfrdir: "%[4]s"
  logfile: "%[4]s/nsd.log"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  minimal-responses: %[5]s
  ipv4-edns-size: %[6]d
`, port, workers, zone, dir, minimal, ednsSize)
	if out, _ := exec.Command("nsd", "-v").CombinedOutput(); oldNSD.Match(out) { // later ones keep none
		conf += "  database: \"\"\n"
	}
	conf += "remote-control:\n  control-enable: no\nzone:\n  name: gossip\n  zonefile: " + zoneFile + "\n"
	file := filepath.Join(dir, "nsd.conf")
	return []string{"-d", "-c", file}, os.WriteFile(file, []byte(conf), 0o644)
}

func knot(dir, zone string, port, workers int, _ *mix) ([]string, error) {
	conf := fmt.Sprintf(`server:
  rundir: "%s"
  listen: 127.0.0.1@%d
  udp-workers: %d
  tcp-workers: 1
  background-workers: 1
  udp-max-payload: %d
database:
  storage: "%[1]s/db"
log:
  - target: stderr
    any: warning
zone:
  - domain: gossip
    file: "%[5]s/%[6]s"
    zonefile-sync: -1
    journal-content: none
`, dir, port, workers, ednsSize, zone, zoneFile)
	file := filepath.Join(dir, "knot.conf")
	return []string{"-c", file}, os.WriteFile(file, []byte(conf), 0o644)
}

func bind(dir, zone string, port, workers int, _ *mix) ([]string, error) {
	conf := fmt.Sprintf(`options {
  directory "%s"; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
  minimal-responses no-auth; pid-file "%[1]s/pid"; session-keyfile "%[1]s/key"; allow-query { any; };
  querylog no; dnssec-validation no; notify no; edns-udp-size %[3]d; max-udp-size %[3]d;
};
controls { };
logging { category default { null; }; };
zone "gossip" { type primary; file "%[4]s/%[5]s"; };
`, dir, port, ednsSize, zone, zoneFile)
	file := filepath.Join(dir, "named.conf")
	count := fmt.Sprint(workers)
	return []string{"-f", "-n", count, "-U", count, "-c", file}, os.WriteFile(file, []byte(conf), 0o644)
}

func coreDNS(dir, zone string, port, _ int, _ *mix) ([]string, error) {
	conf := fmt.Sprintf("gossip:%d {\n  bind 127.0.0.1\n  cache %d\n  file %s/%s\n}\n", port, ttl, zone, zoneFile)
	file := filepath.Join(dir, "Corefile")
	return []string{"-conf", file}, os.WriteFile(file, []byte(conf), 0o644)
}

const coreDNSVersion = "v1.14.7"

// coreDNSMain is CoreDNS with the plug-ins that the zone needs: the others take minutes to build and no part in answers.
const coreDNSMain = `package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/file"
)

func main() { coremain.Run() }
`

// buildCoreDNS returns the path of a CoreDNS, which it builds if need be.
func buildCoreDNS(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "gossip-bench", "coredns-"+coreDNSVersion)
	program := filepath.Join(dir, "coredns")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	fmt.Fprintln(os.Stderr, "bench: building CoreDNS", coreDNSVersion, "in", dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for name, text := range map[string]string{"main.go": coreDNSMain, "go.mod": "module coredns\n\ngo 1.26.0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	for _, args := range [][]string{
		{"get", "github.com/coredns/coredns@" + coreDNSVersion}, {"build", "-trimpath", "-o", program, "."},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w: %s", args[0], err, bytes.TrimSpace(out))
		}
	}
	return program, nil
}
