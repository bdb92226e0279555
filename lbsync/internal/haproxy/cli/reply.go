package cli

import (
	"fmt"
	"regexp"
	"strings"
)

// Kind is what a reply to a command means. HAProxy has no status codes: success is silence or a known
// sentence, and sentences differ between versions.
type Kind string

// The kinds of replies. All but OK are failures.
const (
	OK             Kind = "ok"
	NoSuchServer   Kind = "no such server"
	NoSuchBackend  Kind = "no such backend"
	Exists         Kind = "exists"
	NotInMaint     Kind = "not in maintenance" // must be, to be deleted
	Busy           Kind = "busy"               // has connections and cannot be deleted yet
	Referenced     Kind = "referenced"         // something in the configuration points to it
	StaticWeight   Kind = "static weight"      // the algorithm takes only 0% and 100%
	StaticBackend  Kind = "static backend"     // the algorithm takes no servers at run time
	KeywordRefused Kind = "keyword refused"    // an option that this version takes only from a file
	BadValue       Kind = "bad value"
	Denied         Kind = "denied"
	UnknownCommand Kind = "unknown command"
	Unknown        Kind = "unknown" // a reply that is not in the table: treated as a failure
)

// sentence is how a reply begins, and what it means.
type sentence struct {
	kind  Kind
	begin string
}

// sentences are in the order in which they are tried.
var sentences = []sentence{
	{OK, "New server registered."},
	{OK, "Server deleted."},
	{OK, "nothing changed"}, // to an address, by 3.x
	{NoSuchServer, "No such server."},
	{NoSuchBackend, "No such backend."},
	{NoSuchBackend, "Can't find backend."},
	{NoSuchBackend, "No such proxy."},
	{Exists, "Already exists a server with the same name in backend."},
	{NotInMaint, "Only servers in maintenance mode can be deleted."},
	{Busy, "Server still has connections attached to it"},
	{Referenced, "This server cannot be removed at runtime due to other configuration elements pointing to it."},
	{StaticWeight, "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'."},
	{StaticBackend, "Backend must use a dynamic load balancing to support dynamic servers."},
	{StaticBackend, "Backend does not support dynamic servers : "}, // 3.4
	{Denied, "Permission denied"},
	{UnknownCommand, "Unknown command"},
	{BadValue, "Invalid addr '"},
	{BadValue, "Absolute weight can only be between 0 and 256 inclusive."},
	{BadValue, "Require 'backend/server'."},
	{BadValue, "'set server <srv> state' expects "},
	{BadValue, "'id' : custom id has to be > 0."},
	{BadValue, "character '"},
}

var (
	// addrSet is success of an address change; 3.x drops the halves that say what did not change.
	addrSet = regexp.MustCompile(`^[^;]*(changed from '|no need to change the )[^;]*by 'stats socket command'$`)
	// refusedKeyword finds the option that a server added at run time cannot have.
	refusedKeyword = regexp.MustCompile(`^'([^' ]+)' option is not accepted for dynamic server`)
	badAddr        = regexp.MustCompile(`problem converting port|port map|unable to use [^ ]+ for tracking`)
)

// Classify tells what the reply to one command means.
func Classify(reply string) Kind {
	reply = strings.TrimSpace(reply)
	if reply == "" {
		return OK
	}
	for _, s := range sentences {
		if strings.HasPrefix(reply, s.begin) {
			return s.kind
		}
	}
	switch {
	case refusedKeyword.MatchString(reply):
		return KeywordRefused
	case badAddr.MatchString(reply):
		return BadValue
	case addrSet.MatchString(reply):
		return OK
	}
	return Unknown
}

// RefusedError is a command that HAProxy did not do.
type RefusedError struct {
	Command Command
	Kind    Kind
	Reply   string // as it came
}

func (r *RefusedError) Error() string {
	return fmt.Sprintf("haproxy answered to %q: %s", r.Command.String(), r.said())
}

// said is the reply on one line, cut.
func (r *RefusedError) said() string {
	text := strings.Join(strings.FieldsFunc(r.Reply, func(c rune) bool { return c <= ' ' || c == 0x7f }), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + " ..."
	}
	return text
}

// Is makes a RefusedError of kind Denied an ErrDenied.
func (r *RefusedError) Is(target error) bool { return target == ErrDenied && r.Kind == Denied }

// Keyword returns the option that was refused, if Kind is KeywordRefused.
func (r *RefusedError) Keyword() string {
	if m := refusedKeyword.FindStringSubmatch(strings.TrimSpace(r.Reply)); m != nil {
		return m[1]
	}
	return ""
}
