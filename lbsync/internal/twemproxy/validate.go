package twemproxy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is what a file of pools says, as far as it matters here.
type File struct{ Pools []Pool } // in the order of the file

// Pool is a pool of a file.
type Pool struct {
	Name    string
	Network string // tcp or unix
	Listen  string // host:port, or a path
	Servers []Server
}

// Server is a server of a pool.
type Server struct {
	Name, Addr string
	Port       int // 0 for a socket
	Weight     int
}

var hashes = []string{"one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32",
	"hsieh", "murmur", "jenkins"}

var distributions = []string{"ketama", "modula", "random"}

// directives are the keys of a pool, each with what is wrong with a value; "" if nothing is.
var directives = map[string]func(value string) string{
	"listen":               func(v string) string { _, _, why := parseListen(v); return why },
	"hash":                 oneOf(hashes),
	"hash_tag":             func(v string) string { return unless(len(v) == 2, "must be two characters") },
	"distribution":         oneOf(distributions),
	"timeout":              number,
	"backlog":              number,
	"client_connections":   number,
	"redis":                boolean,
	"tcpkeepalive":         boolean,
	"redis_auth":           func(string) string { return "" },
	"redis_db":             number,
	"preconnect":           boolean,
	"auto_eject_hosts":     boolean,
	"server_connections":   func(v string) string { return unless(number(v) == "" && atoi(v) > 0, "must be a number above 0") },
	"server_retry_timeout": number,
	"server_failure_limit": number,
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func oneOf(words []string) func(string) string {
	return func(v string) string {
		return unless(slices.Contains(words, v), "must be one of "+strings.Join(words, ", "))
	}
}

func boolean(v string) string { return unless(v == "true" || v == "false", "must be true or false") }

func number(v string) string { return unless(atoi(v) >= 0, "must be a whole number, not below 0") }

// atoi reads decimal digits and nothing else; -1 if it is no such number.
func atoi(v string) int {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// Parse reads a file as nutcracker does, and says by line and pool what nutcracker would refuse: nutcracker itself
// says no more than that the syntax is invalid.
func Parse(text []byte) (File, error) {
	for i, line := range bytes.Split(text, []byte("\n")) {
		for _, mark := range []string{"---", "...", "%"} {
			if bytes.HasPrefix(line, []byte(mark)) {
				return File{}, fmt.Errorf("line %d: nutcracker takes no %q line", i+1, mark)
			}
		}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return File{}, err // says "yaml: line N: what"
	}
	if doc.Kind == 0 {
		return File{}, errors.New("there are no pools")
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return File{}, at(root, "want pools, each as \"name:\" with its settings indented below")
	}
	if err := plain(root); err != nil {
		return File{}, err
	}
	var f File
	for i := 0; i < len(root.Content); i += 2 {
		p, err := parsePool(root.Content[i], root.Content[i+1])
		if err != nil {
			return File{}, err
		}
		for _, o := range f.Pools {
			if o.Name == p.Name {
				return File{}, at(root.Content[i], "pool %q is there twice", p.Name)
			}
			if o.Listen == p.Listen {
				return File{}, at(root.Content[i], "pools %q and %q have the same listen address %s", o.Name, p.Name, p.Listen)
			}
		}
		f.Pools = append(f.Pools, p)
	}
	if len(f.Pools) == 0 {
		return File{}, errors.New("there are no pools")
	}
	return f, nil
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{n.Line}, args...)...)
}

// plain refuses the forms of YAML that nutcracker does not read.
func plain(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return at(n, "nutcracker takes no anchors and aliases")
	case n.Style&yaml.TaggedStyle != 0:
		return at(n, "nutcracker takes no tags such as %s", n.Tag)
	case n.Style&yaml.FlowStyle != 0:
		return at(n, "nutcracker takes no [ ] and { }; write lists and settings one a line, and quote text with brackets")
	case n.Kind == yaml.ScalarNode && n.Value == "":
		return at(n, "a name or value is empty")
	}
	for _, c := range n.Content {
		if err := plain(c); err != nil {
			return err
		}
	}
	return nil
}

func parsePool(key, body *yaml.Node) (Pool, error) {
	p := Pool{Name: key.Value}
	if key.Kind != yaml.ScalarNode || body.Kind != yaml.MappingNode {
		return p, at(key, "want a pool: a name, a colon, and settings indented below")
	}
	seen := map[string]bool{}
	for i := 0; i < len(body.Content); i += 2 {
		k, v := body.Content[i], body.Content[i+1]
		fail := func(format string, args ...any) error {
			return at(k, "pool %q: %s: "+format, append([]any{p.Name, k.Value}, args...)...)
		}
		if k.Kind != yaml.ScalarNode {
			return p, at(k, "pool %q: a setting must have a plain name", p.Name)
		}
		if seen[k.Value] {
			return p, fail("is there twice")
		}
		seen[k.Value] = true
		if k.Value == "servers" {
			var err error
			if p.Servers, err = parseServers(p.Name, k, v); err != nil {
				return p, err
			}
			continue
		}
		check, ok := directives[k.Value]
		if !ok {
			return p, fail("there is no such setting")
		}
		if v.Kind != yaml.ScalarNode {
			return p, fail("must have one value")
		}
		if why := check(v.Value); why != "" {
			return p, fail("is %q; it %s", v.Value, why)
		}
		if k.Value == "listen" {
			p.Network, p.Listen, _ = parseListen(v.Value)
		}
	}
	switch {
	case p.Listen == "":
		return p, at(key, "pool %q has no listen address", p.Name)
	case len(p.Servers) == 0:
		return p, at(key, "pool %q has no servers", p.Name)
	}
	return p, nil
}

func parseServers(pool string, key, list *yaml.Node) ([]Server, error) {
	if list.Kind != yaml.SequenceNode {
		return nil, at(key, "pool %q: servers: want a list, one \"- host:port:weight name\" a line", pool)
	}
	var all []Server
	seen := map[string]bool{}
	for _, n := range list.Content {
		if n.Kind != yaml.ScalarNode {
			return nil, at(n, "pool %q: servers: want \"host:port:weight name\"; a colon and a space must be in quotes", pool)
		}
		s, why := parseServer(n.Value)
		if why != "" {
			return nil, at(n, "pool %q: server %q %s", pool, n.Value, why)
		}
		if seen[s.Name] {
			return nil, at(n, "pool %q: a second server is called %q", pool, s.Name)
		}
		seen[s.Name] = true
		all = append(all, s)
	}
	return all, nil
}

// parseListen reads "host:port" or "/path [mode]", from the end.
func parseListen(v string) (network, addr, why string) {
	if strings.HasPrefix(v, "/") {
		path, mode, found := cutLast(v, ' ')
		if !found {
			path = v
		} else if n, err := strconv.ParseUint(mode, 8, 16); err != nil || n > 0o777 {
			return "", "", "must be a path and at most a mode such as 0660 behind it"
		}
		if len(path) > 107 {
			return "", "", "is too long: the path of a socket has at most 107 bytes"
		}
		return "unix", path, ""
	}
	host, port, found := cutLast(v, ':')
	switch {
	case !found || host == "":
		return "", "", "must be host:port or the path of a socket"
	case !validPort(port):
		return "", "", "must have a port from 1 to 65535"
	case strings.ContainsAny(host, "[] "):
		return "", "", "must have an IPv6 address without brackets, such as ::1:22121"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "tcp", host + ":" + port, ""
}

// parseServer reads "host:port:weight name" or "/path:weight name", from the end.
func parseServer(v string) (s Server, why string) {
	rest, name, named := cutLast(v, ' ')
	if !named {
		rest = v
	}
	rest, weight, found := cutLast(rest, ':')
	if !found {
		return s, "must be host:port:weight name"
	}
	if s.Weight = atoi(weight); s.Weight < 1 {
		return s, "must have a whole number above 0 as its weight, as in host:port:weight"
	}
	s.Name, s.Addr = name, rest
	if !strings.HasPrefix(v, "/") {
		host, port, found := cutLast(rest, ':')
		if !found || !validPort(port) {
			return s, "must have a port from 1 to 65535, as in host:port:weight"
		}
		s.Addr, s.Port = host, atoi(port)
	}
	if s.Addr == "" {
		return s, "has no address"
	}
	if !named { // the ring of libmemcached leaves the well-known port out
		s.Name = rest
		if s.Port == 11211 {
			s.Name = s.Addr
		}
	}
	return s, ""
}

func validPort(port string) bool {
	n := atoi(port)
	return n >= 1 && n <= 65535
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
