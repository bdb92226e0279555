package cli

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Command is one command. It can only be made by the functions here, which admit no word that could end it
// or add another: `;`, a newline, a quote or a backslash. What is wrong with a word is said when the command
// is sent.
type Command struct {
	verb string
	text string
	err  error
}

// String returns the command as it is sent.
func (c Command) String() string { return c.text }

// Verb returns the words of the command that say what it does, for counting.
func (c Command) Verb() string { return c.verb }

// Ref names a server of a backend.
type Ref struct{ Backend, Server string }

func (r Ref) String() string { return r.Backend + "/" + r.Server }

// State is an administrative state that a server can be put into.
type State string

// The states.
const (
	Ready State = "ready"
	Drain State = "drain" // only sessions that stick to it go on
	Maint State = "maint" // nothing new, no checks
)

// AddServer registers a server, which gets nothing before EnableServer. Options are words as in a
// configuration file.
func AddServer(r Ref, at netip.AddrPort, options []string) Command {
	return build("add server", []string{r.ref()}, append([]string{at.String()}, options...)...)
}

// DelServer removes a server that is in maintenance and has no connection. Nothing may follow it on its
// line: its reply does not end like others.
func DelServer(r Ref) Command { return build("del server", []string{r.ref()}) }

// EnableHealth starts the checks of an added server.
func EnableHealth(r Ref) Command { return build("enable health", []string{r.ref()}) }

// EnableServer lets an added server take traffic.
func EnableServer(r Ref) Command { return build("enable server", []string{r.ref()}) }

// HealthDown makes a server that is checked count as down until its checks say otherwise. It must follow
// EnableServer or SetState Ready on the same line, which would undo it, and with it the server gets no request
// in between.
func HealthDown(r Ref) Command { return build("set server", []string{r.ref()}, "health", "down") }

// SetAddr moves a server. HAProxy itself would take any port, 99999 for 34463.
func SetAddr(r Ref, at netip.AddrPort) Command {
	return build("set server", []string{r.ref()}, "addr", at.Addr().String(), "port", strconv.Itoa(int(at.Port())))
}

// SetState puts a server into the state.
func SetState(r Ref, s State) Command {
	return build("set server", []string{r.ref()}, "state", string(s))
}

// SetWeight sets a weight from 0 to 256. Backends with a static algorithm refuse it.
func SetWeight(r Ref, weight int) Command {
	return build("set server", []string{r.ref()}, "weight", strconv.Itoa(weight))
}

// SetShare sets a weight to 0 or 100 percent of the initial one, which also static algorithms can do.
func SetShare(r Ref, full bool) Command {
	share := "0%"
	if full {
		share = "100%"
	}
	return build("set server", []string{r.ref()}, "weight", share)
}

// ShutdownSessions ends all sessions of a server.
func ShutdownSessions(r Ref) Command { return build("shutdown sessions server", []string{r.ref()}) }

const verbWait = "wait"

// WaitRemovable waits at most that many milliseconds until a server can be deleted (HAProxy 3.0 and later).
func WaitRemovable(r Ref, ms int) Command {
	return build(verbWait, nil, strconv.Itoa(ms)+"ms", "srv-removable", r.String())
}

// ShowInfo asks for the process, and with float for when it started to more than the second.
func ShowInfo() Command { return build("show info float", nil) }

// ShowState asks for the servers of a backend, or of all if it is empty.
func ShowState(backend string) Command { return build("show servers state", names(backend)) }

// ShowConn asks for the connections of the servers of a backend.
func ShowConn(backend string) Command { return build("show servers conn", names(backend)) }

// ShowStat asks for the statistics of the servers of a backend by its number: a frontend may have its name.
func ShowStat(backend int) Command { return build("show stat", nil, strconv.Itoa(backend), "4", "-1") }

// ShowProcesses asks a master for its workers.
func ShowProcesses() Command { return build("show proc", nil) }

// ShowWorkerInfo asks a master for the ShowInfo of its newest worker.
func ShowWorkerInfo() Command { return build("@1 show info float", nil) }

// Reload makes a master load its configuration anew.
func Reload() Command { return build("reload", nil) }

func names(name string) []string {
	if name == "" {
		return nil
	}
	return []string{checked(name)}
}

// ref returns BACKEND/SERVER, or a word that no command can carry if either is no name.
func (r Ref) ref() string { return checked(r.Backend) + "/" + checked(r.Server) }

func checked(name string) string {
	if !Name(name) {
		return "\x00"
	}
	return name
}

func build(verb string, names []string, words ...string) Command {
	c := Command{verb: verb}
	for _, n := range names {
		if strings.Contains(n, "\x00") {
			c.err = fmt.Errorf("%s: a name has characters other than letters, digits and _ . : -", verb)
		}
	}
	for _, w := range words {
		if !Word(w) {
			c.err = fmt.Errorf("%s: %q cannot be said over haproxy's socket", verb, w)
		}
	}
	c.text = strings.Join(append(append([]string{verb}, names...), words...), " ")
	return c
}

// Name tells whether the text may be the name of a backend or server: letters, digits and _ . : -
func Name(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		case c == '_', c == '.', c == ':', c == '-':
		default:
			return false
		}
	}
	return text != ""
}

// Word tells whether the text is one word to HAProxy, whatever stands around it: printable ASCII without
// blanks and without what begins a quotation, an escape, a comment, another command or a payload.
func Word(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || strings.IndexByte(";\\\"'#<$", c) >= 0 {
			return false
		}
	}
	return text != ""
}

// join makes one line of the commands.
func join(commands []Command) (string, error) {
	var texts []string
	for _, c := range commands {
		if c.err != nil {
			return "", c.err
		}
		if c.text == "" {
			return "", fmt.Errorf("an empty command for haproxy")
		}
		texts = append(texts, c.text)
	}
	line := strings.Join(texts, ";")
	if len(line) > maxLine || line == "" {
		return "", fmt.Errorf("a line of %d bytes for haproxy; the limit is %d", len(line), maxLine)
	}
	return line, nil
}
