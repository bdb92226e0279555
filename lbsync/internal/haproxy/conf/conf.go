// Package conf reads as much of HAProxy's configuration files as gossip-lbsync must understand: sections, the
// words of lines, and the servers of backends. The file that gossip-lbsync wrote, by a built-in form or an operator's
// template, is read back with it, so that what is pushed at run time comes from the very text that HAProxy
// will load at its next start, and the two cannot differ. It is pure.
package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Section is a section of a configuration.
type Section struct {
	Kind string // global, defaults, frontend, backend, listen ...
	Name string
	From string // the defaults section that it names
	// Lines are those below its heading that say something.
	Lines []Line
}

// Line is a directive.
type Line struct {
	Number  int      // in its file, from 1
	Words   []string // without quotes; at least one
	Opaque  bool     // it uses an environment variable: the words are not what HAProxy sees
	Comment string   // what follows # on the same line, trimmed
}

// Is tells whether the line begins with the words.
func (l Line) Is(words ...string) bool {
	return len(l.Words) >= len(words) && slices.Equal(l.Words[:len(words)], words)
}

// kinds are the keywords that begin a section.
var kinds = map[string]bool{
	"global": true, "defaults": true, "frontend": true, "backend": true, "listen": true, "userlist": true,
	"peers": true, "mailers": true, "resolvers": true, "cache": true, "ring": true, "program": true,
	"fcgi-app": true, "http-errors": true, "log-forward": true, "crt-store": true, "traces": true,
	"log-profile": true, "acme": true,
}

// Parse cuts the text of a configuration into sections. Lines before the first are left out.
func Parse(text string) []Section {
	var all []Section
	number := 0
	var pending string // of lines that are continued
	for raw := range strings.Lines(text) {
		number++
		raw = strings.TrimRight(raw, "\r\n")
		if head, ok := strings.CutSuffix(raw, `\`); ok && !strings.HasSuffix(head, `\`) {
			pending += head + " "
			continue
		}
		line := split(pending + raw)
		pending = ""
		line.Number = number
		if len(line.Words) == 0 {
			continue
		}
		if kinds[line.Words[0]] && !indented(raw, line.Words[0]) {
			s := Section{Kind: line.Words[0]}
			rest := line.Words[1:]
			if len(rest) > 0 && rest[0] != "from" {
				s.Name, rest = rest[0], rest[1:]
			}
			if len(rest) > 1 && rest[0] == "from" {
				s.From = rest[1]
			}
			all = append(all, s)
			continue
		}
		if len(all) > 0 {
			last := &all[len(all)-1]
			last.Lines = append(last.Lines, line)
		}
	}
	return all
}

// indented tells a directive that has the name of a section, as `cache` in a rule, from a section. HAProxy
// goes by the word alone; those words begin no directive but these.
func indented(raw, word string) bool {
	return (word == "cache" || word == "ring" || word == "acme") && raw != "" && (raw[0] == ' ' || raw[0] == '\t')
}

// split cuts a line into words as HAProxy does: blanks separate; single quotes, double quotes and backslashes
// join; # begins a comment.
func split(raw string) Line {
	var line Line
	var word strings.Builder
	inWord, double := false, false
	flush := func() {
		if inWord {
			line.Words = append(line.Words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '\\' && i+1 < len(raw):
			i++
			word.WriteByte(raw[i])
			inWord = true
		case c == '"':
			double = !double
			inWord = true
		case c == '$' && double:
			line.Opaque = true
			word.WriteByte(c)
		case double:
			word.WriteByte(c)
		case c == '\'':
			inWord = true
			for i++; i < len(raw) && raw[i] != '\''; i++ {
				word.WriteByte(raw[i])
			}
		case c == '#':
			flush()
			line.Comment = strings.TrimSpace(raw[i+1:])
			return line
		case c == ' ' || c == '\t':
			flush()
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	flush()
	return line
}

// Server is a server line, with what a backend's default-server says filled in.
type Server struct {
	Name     string
	Addr     netip.AddrPort // the zero value if it is no IP address with a port
	ID       uint32         // 0 if it has none
	Weight   int
	Disabled bool
	Backup   bool
	Options  []string // all other words
	Comment  string
	Opaque   bool // cannot be compared: it has variables or no IP address
}

// Checked tells whether the server's health is checked.
func (s Server) Checked() bool {
	on := false
	for _, o := range s.Options {
		switch o {
		case "check":
			on = true
		case "no-check":
			on = false
		}
	}
	return on
}

// Servers returns the servers of a backend. inherited are the words of a default-server that the backend
// gets from its defaults section.
func Servers(backend Section, inherited []string) []Server {
	defaults := slices.Clone(inherited)
	var all []Server
	for _, l := range backend.Lines {
		switch {
		case l.Is("default-server"):
			defaults = append(defaults, l.Words[1:]...)
		case l.Is("server") && len(l.Words) >= 3:
			all = append(all, server(l, defaults))
		}
	}
	return all
}

// flags are options of one word; any other is taken as it is, and its value as the next word, which makes no
// difference to anything here.
func server(l Line, defaults []string) Server {
	s := Server{Name: l.Words[1], Weight: 1, Comment: l.Comment, Opaque: l.Opaque}
	addr, err := netip.ParseAddrPort(l.Words[2])
	if err != nil || addr.Port() == 0 {
		s.Opaque = true
	} else {
		s.Addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	}
	words := append(slices.Clone(defaults), l.Words[3:]...)
	for i := 0; i < len(words); i++ {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch words[i] {
		case "id":
			id, err := strconv.ParseUint(next, 10, 31)
			s.ID, s.Opaque = uint32(id), s.Opaque || err != nil
			i++
		case "weight":
			weight, err := strconv.Atoi(next)
			s.Weight, s.Opaque = weight, s.Opaque || err != nil
			i++
		case "disabled":
			s.Disabled = true
		case "enabled":
			s.Disabled = false
		case "backup":
			s.Backup = true
		case "no-backup":
			s.Backup = false
		default:
			s.Options = append(s.Options, words[i])
		}
	}
	return s
}

// DefaultServer returns the words of default-server that a backend in a file read after this configuration
// gets: those of the last defaults section.
func DefaultServer(sections []Section) []string {
	var words []string
	for _, s := range sections {
		if s.Kind != "defaults" {
			continue
		}
		words = nil
		for _, l := range s.Lines {
			if l.Is("default-server") {
				words = append(words, l.Words[1:]...)
			}
		}
	}
	return words
}

// Keep says how much of a server line counts as structure.
type Keep int

// How much counts.
const (
	KeepAll     Keep = iota // everything: a change is a reload
	KeepOptions             // servers come, go and change at run time; only which options there are counts
	KeepNames               // servers change at run time, but there are always the same
)

// Managed says how the servers of a backend are counted.
type Managed struct {
	Keep Keep
	// Options are those that servers get by configuration: they count although there may be no server now.
	Options []string
}

// Structure returns a hash of all in the configuration that cannot be changed at run time: everything but the
// servers of the managed backends, and of comments and blanks.
func Structure(sections []Section, managed map[string]Managed) string {
	h := sha256.New()
	for _, s := range sections {
		_, _ = fmt.Fprintf(h, "%q %q %q\n", s.Kind, s.Name, s.From) // a hash takes everything
		var how Managed
		if s.Kind == "backend" || s.Kind == "listen" {
			how = managed[s.Name]
		}
		options := []string{fmt.Sprintf("%q", how.Options)}
		for _, l := range s.Lines {
			if !l.Is("server") || how.Keep == KeepAll || len(l.Words) < 3 {
				_, _ = fmt.Fprintf(h, " %q\n", l.Words)
				continue
			}
			options = append(options, structure(l, how.Keep))
		}
		slices.Sort(options)
		for _, o := range slices.Compact(options) {
			_, _ = fmt.Fprintf(h, " servers %s\n", o)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// structure is what of a server line can only change by a reload.
func structure(l Line, keep Keep) string {
	s := server(l, nil)
	switch {
	case s.Opaque:
		return fmt.Sprintf("%q", l.Words)
	case keep == KeepNames:
		return fmt.Sprintf("%q %d %v %q", s.Name, s.ID, s.Backup, s.Options)
	default:
		return fmt.Sprintf("%q", s.Options)
	}
}
