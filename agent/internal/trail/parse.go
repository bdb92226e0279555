package trail

import "strings"

// pattern is a line of memberlist's log (version 0.7) that tells of a member. What stands between the parts of line is
// the member's name, if named, and then details.
type pattern struct {
	head  string // what the line begins with, after the level
	tail  string // what follows the name
	named bool
	kind  Kind
	text  func(details string) string
}

func fixed(text string) func(string) string { return func(string) string { return text } }

func prefixed(text string) func(string) string { return func(d string) string { return text + d } }

// patterns are all the lines that matter. Those without a name are about ourselves.
var patterns = []pattern{
	{"Failed UDP ping: ", " (timeout reached)", true, Probe, fixed("no answer to our UDP probe, asking others to probe it")},
	{"Was able to connect to ", " over TCP but UDP probes failed", true, TCPOnly, fixed("it answers by TCP but not by UDP: is UDP blocked on the way?")},
	{"Suspect ", " has failed, no acks received", true, Suspect, fixed("no answer to probes by us and by others for us; it has time to object")},
	{"Marking ", " as failed, suspect timeout reached ", true, Marked, func(d string) string {
		n, _, _ := strings.Cut(strings.TrimPrefix(d, "("), " ")
		return "nobody objected to the suspicion in time; others who confirmed it: " + n
	}},
	{"Refuting a suspect message (from: ", ")", false, Refuted, prefixed("suspected by ")},
	{"Refuting a dead message (from: ", ")", false, Refuted, prefixed("declared failed by ")},
	{"Refuting an alive message for '", "'", false, Refuted, fixed("another agent said other things of us, perhaps of our name: ")},
	{"Updating address for left or failed node ", " from ", true, Address, prefixed("from ")},
	{"Conflicting address for ", ". Mine: ", true, Conflict, prefixed("known at ")},
	{"Push/Pull with ", " failed: ", true, Exchange, prefixed("")},
}

// parse reads a line such as "[INFO] memberlist: Suspect web-1 has failed, no acks received". The name is "" if the line
// is about ourselves. Names may hold anything, so what follows one is looked for from the end.
func parse(line string) (name string, kind Kind, text string, ok bool) {
	_, line, ok = strings.Cut(strings.TrimRight(line, "\n"), "] memberlist: ")
	if !ok {
		return "", "", "", false
	}
	for _, p := range patterns {
		rest, ok := strings.CutPrefix(line, p.head)
		if !ok {
			continue
		}
		at := strings.LastIndex(rest, p.tail)
		if at < 0 {
			continue
		}
		between, details := rest[:at], rest[at+len(p.tail):]
		if !p.named {
			return "", p.kind, p.text(between), true
		}
		return between, p.kind, p.text(details), true
	}
	return "", "", "", false
}
