package haproxy

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/conf"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/plan"
)

// lint gives advice about the main configuration and the target's settings, a sentence each: what costs clients
// errors although both are valid.
func lint(main []conf.Section, cfg config.Target) []string {
	l := linter{main: main, cfg: cfg}
	l.socket()
	l.reloads()
	l.stateFile()
	l.backends()
	return l.advice
}

type linter struct {
	main   []conf.Section
	cfg    config.Target
	advice []string
}

func (l *linter) say(format string, args ...any) {
	l.advice = append(l.advice, fmt.Sprintf(format, args...))
}

// lines returns the lines of all sections of a kind that begin with the words.
func (l *linter) lines(kind string, words ...string) []conf.Line {
	var out []conf.Line
	for _, s := range l.main {
		if s.Kind != kind {
			continue
		}
		for _, line := range s.Lines {
			if line.Is(words...) {
				out = append(out, line)
			}
		}
	}
	return out
}

// socket looks at the Runtime API.
func (l *linter) socket() {
	at := l.cfg.HAProxy.Runtime.Socket
	sockets := l.lines("global", "stats", "socket")
	if at == "" {
		if l.cfg.Reload.Master != "" || len(l.cfg.Reload.Command) > 0 || l.cfg.Reload.PIDFile != "" {
			l.say("there is no runtime block, so every change of members is a reload; add `runtime { socket = \"...\" }` with the path of a `stats socket ... level admin`")
		}
		return
	}
	var here []conf.Line
	for _, s := range sockets {
		if len(s.Words) > 2 && sameSocket(s.Words[2], at) {
			here = append(here, s)
		}
	}
	switch {
	case len(here) == 0:
		l.say("the global section has no `stats socket %s level admin`, which runtime.socket names", at)
	case !slices.ContainsFunc(here, func(s conf.Line) bool { return hasPair(s.Words, "level", "admin") }):
		l.say("line %d: `stats socket %s` lacks `level admin`, without which nothing can be changed over it", here[0].Number, at)
	}
}

// sameSocket compares addresses of a socket as HAProxy and we write them. Abstract ones and those with variables are
// taken for the same.
func sameSocket(theirs, ours string) bool {
	for _, prefix := range []string{"unix@", "ipv4@", "ipv6@"} {
		theirs = strings.TrimPrefix(theirs, prefix)
	}
	ours = strings.TrimPrefix(ours, "unix://")
	return theirs == ours || strings.ContainsAny(theirs, "$@") || filepath.Clean(theirs) == filepath.Clean(ours)
}

func hasPair(words []string, key, value string) bool {
	for i := range len(words) - 1 {
		if words[i] == key && words[i+1] == value {
			return true
		}
	}
	return false
}

// reloads looks at what makes reloads go unnoticed.
func (l *linter) reloads() {
	r := l.cfg.Reload
	if r.Master == "" && len(r.Command) == 0 && r.PIDFile == "" {
		return
	}
	if len(l.lines("global", "hard-stop-after")) == 0 {
		l.say("the global section has no `hard-stop-after`, such as 1m: after a reload the old worker stays as long as its longest connection")
	}
	if l.http() && !l.anywhere("option", "idle-close-on-response") {
		l.say("there is no `option idle-close-on-response` in defaults: a reload cuts clients that keep their connection")
	}
	exposed := slices.ContainsFunc(l.lines("global", "stats", "socket"), func(s conf.Line) bool { return hasPair(s.Words, "expose-fd", "listeners") })
	if r.Master == "" && !exposed && len(l.lines("global", "master-worker")) == 0 {
		l.say("no `stats socket` has `expose-fd listeners`: unless HAProxy runs in master-worker mode, a reload refuses connections for a moment")
	}
}

// http tells whether some backend of ours is HTTP.
func (l *linter) http() bool {
	return slices.ContainsFunc(l.cfg.HAProxy.Backends, func(b config.Backend) bool { return b.Mode == "http" })
}

// anywhere tells whether a directive is in some defaults, frontend or listen section.
func (l *linter) anywhere(words ...string) bool {
	for _, kind := range []string{"defaults", "frontend", "listen"} {
		if len(l.lines(kind, words...)) > 0 {
			return true
		}
	}
	return false
}

// stateFile looks at a server-state-file: a stale one sends traffic to where servers once were.
func (l *linter) stateFile() {
	global := l.lines("global", "server-state-file")
	loads := l.lines("defaults", "load-server-state-from-file")
	switch ours := l.cfg.HAProxy.StateFile; {
	case ours != "" && len(global) == 0:
		l.say("state_file is set, but the global section has no `server-state-file %s`", ours)
	case ours != "" && len(loads) == 0:
		l.say("state_file is set, but defaults has no `load-server-state-from-file global`")
	case ours == "" && len(global) > 0 && len(loads) > 0:
		l.say("line %d: HAProxy believes a port in `server-state-file` more than its configuration; set state_file to the same path, so that it is never stale, or remove it", global[0].Number)
	}
}

// backends looks at combinations that HAProxy refuses at run time.
func (l *linter) backends() {
	for _, b := range l.cfg.HAProxy.Backends {
		var hashType []string
		sections := conf.Parse("backend x\n" + strings.Join(b.Lines, "\n") + "\n")
		if len(sections) > 0 {
			hashType = directive(sections[0], "hash-type")
		}
		if b.Servers == config.ServersNamed && !plan.Dynamic(strings.Fields(b.Balance), hashType) {
			l.say("backend %s: `balance %s` takes no servers at run time, so each new member is a reload; set servers = %q, or add the line `hash-type consistent` where it is a hash", b.Name, b.Balance, config.ServersSlots)
		}
		words := strings.Fields(b.Options)
		if !slices.Contains(words, "check") {
			l.say("backend %s: its options have no `check`, so HAProxy finds out about a dead server only by failed requests, and there is no probation", b.Name)
		}
		for _, o := range words {
			if b.Servers == config.ServersNamed && (o == "cookie" || o == "resolvers" || o == "track") {
				l.say("backend %s: HAProxy before 3.0 takes no `%s` for servers that are added at run time, so each new member is a reload", b.Name, o)
			}
		}
		for _, s := range l.main {
			if (s.Kind == "backend" || s.Kind == "listen") && s.Name == b.Name {
				l.say("the main configuration has a %s %s, too; remove it there, it is written by gossip-lbsync", s.Kind, b.Name)
			}
		}
	}
}
