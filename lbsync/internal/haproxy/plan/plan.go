// Package plan works out which commands bring the servers of a running HAProxy to what its configuration file
// says, and what cannot be done without a reload. It is pure, and knows no time: what the file says, what
// HAProxy reports and what was learned about it are arguments. What a server is going through is read from
// HAProxy itself, so that a plan that was cut short is taken up where it ended.
//
// Steps come in an order that never leaves clients without servers for longer than need be: weights, addresses
// and servers that return, then servers that are new, then removals.
package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/conf"
)

// Backend is what a backend should be.
type Backend struct {
	Name string
	// Fixed backends have the same servers always (slots): one that is not used is disabled. The servers of
	// others come and go.
	Fixed bool
	// Static says that the algorithm takes no server and no weight but 0 and the initial one at run time.
	Static bool
	// Probation lets a checked server take traffic only once its check passed.
	Probation bool
	// Force ends the sessions that a server still has when it is removed.
	Force   bool
	Servers []conf.Server
}

// Known is what is known of the running HAProxy besides its servers. All but Version is learned from replies,
// and forgotten with the process.
type Known struct {
	Version cli.Version
	// Refused are options that were refused for added servers.
	Refused map[string]bool
	// Closed are backends that took no servers, because of their algorithm.
	Closed map[string]bool
	// Pinned are servers that could not be deleted, because something in the configuration points to them.
	Pinned map[cli.Ref]bool
	// Busy are servers that a moment ago could not be deleted, because of connections, or were told to end them.
	Busy map[cli.Ref]bool
	// Failed are steps that failed in a way that is not understood, so often that only a reload is left.
	Failed map[Attempt]bool
	// Weights are those that were set last, where they were: another one was set by hand.
	Weights map[cli.Ref]int
	// KeepWeights leaves a weight set by hand until the wanted one changes, KeepStates a server taken out.
	KeepWeights, KeepStates bool
	// Parked are the servers that we took out: bringing them back is no interference.
	Parked map[cli.Ref]bool
}

// Attempt is a kind of step for a server.
type Attempt struct {
	cli.Ref
	Kind Kind
}

// Dynamic tells whether servers can be added with checks, and deleted.
func (k Known) Dynamic() bool { return k.Version.AtLeast(2, 6) }

// pools tells whether added servers keep idle connections by themselves. Before, they make one connection for
// each request unless told otherwise.
func (k Known) pools() bool { return k.Version.AtLeast(3, 0) }

// waits tells whether there is a command that waits until a server can be deleted.
func (k Known) waits() bool { return k.Version.AtLeast(3, 0) }

// Server is what HAProxy reports of a server.
type Server struct {
	cli.ServerState
	Backup bool
	Used   int // sessions, and connections that serve one
}

// Actual is what HAProxy reports, by backend and server. A backend that it does not know is not there.
type Actual map[string]map[string]Server

// Kind is what a step does.
type Kind string

// The kinds of steps, in the order in which they are done.
const (
	Weight Kind = "weight"
	Move   Kind = "move"   // to another address
	Return Kind = "return" // from maintenance or draining
	Add    Kind = "add"
	Park   Kind = "park" // into maintenance: nothing new, what runs goes on
	Kill   Kind = "kill" // end its sessions
	Delete Kind = "remove"
	Tidy   Kind = "tidy" // the address of a slot that is not used
)

// Step is a change of one server by one line of commands.
type Step struct {
	Attempt
	Commands []cli.Command
	Detail   string // for people
	Weight   int    // that the server is to have, of Weight and Add
}

// Plan is what to do now.
type Plan struct {
	Steps []Step
	// Reload says what only a reload can bring, as clauses; empty if nothing.
	Reload []string
	// Remains are servers that are out and cannot be deleted yet, as clauses.
	Remains []string
	// Soon is set if some of them are worth another look soon.
	Soon bool
	// Kept are differences that were made by hand and are left alone, as clauses.
	Kept []string
}

// Make makes a plan.
func Make(want []Backend, have Actual, known Known) Plan {
	m := maker{known: known}
	for _, b := range want {
		servers, ok := have[b.Name]
		if !ok {
			m.reload("backend %s is new", b.Name)
			continue
		}
		m.backend(b, servers)
	}
	slices.SortStableFunc(m.Steps, func(a, b Step) int { return rank[a.Kind] - rank[b.Kind] })
	return m.Plan
}

var rank = map[Kind]int{Weight: 0, Move: 0, Return: 0, Add: 1, Park: 2, Kill: 3, Delete: 4, Tidy: 5}

type maker struct {
	Plan
	known Known
}

// maxClauses bounds how many reasons or remains are told.
const maxClauses = 5

func tell(list *[]string, format string, args ...any) {
	if len(*list) < maxClauses {
		*list = append(*list, fmt.Sprintf(format, args...))
	}
}

func (m *maker) reload(format string, args ...any) { tell(&m.Reload, format, args...) }

// step plans a step, or a reload if it failed too often.
func (m *maker) step(kind Kind, ref cli.Ref, weight int, detail string, commands ...cli.Command) {
	a := Attempt{ref, kind}
	if m.known.Failed[a] {
		m.reload("haproxy does not %s %s as it was told", kind, ref)
		return
	}
	m.Steps = append(m.Steps, Step{Attempt: a, Commands: commands, Detail: detail, Weight: weight})
}

func (m *maker) backend(b Backend, have map[string]Server) {
	wanted := make(map[string]bool, len(b.Servers))
	for _, want := range b.Servers {
		wanted[want.Name] = true
		ref := cli.Ref{Backend: b.Name, Server: want.Name}
		got, ok := have[want.Name]
		switch {
		case want.Opaque:
			if !ok {
				m.reload("%s is no plain address", ref)
			}
		case !ok:
			m.add(b, ref, want)
		case got.ID != want.ID && want.ID != 0:
			m.reload("%s has id %d, not %d", ref, got.ID, want.ID)
		case got.Backup != want.Backup:
			m.reload("%s changes between server and backup", ref)
		case want.Disabled:
			m.retire(b, ref, want, got)
		default:
			m.keep(b, ref, want, got)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if wanted[name] {
			continue
		}
		ref := cli.Ref{Backend: b.Name, Server: name}
		if b.Fixed {
			m.reload("%s is one too many", ref)
			continue
		}
		m.remove(b, ref, have[name])
	}
}

// add registers a new server.
func (m *maker) add(b Backend, ref cli.Ref, want conf.Server) {
	if why := m.cannotAdd(b, want); why != "" {
		m.reload("%s: %s", ref, why)
		return
	}
	if want.Disabled {
		return // nothing is missing
	}
	options := []string{}
	if want.ID != 0 {
		options = append(options, "id", fmt.Sprint(want.ID))
	}
	options = append(options, "weight", fmt.Sprint(want.Weight))
	options = append(options, want.Options...)
	if want.Backup {
		options = append(options, "backup")
	}
	if !m.known.pools() {
		// Of what a file's servers have, an added one has 0.
		for _, o := range [][2]string{{"pool-purge-delay", "5s"}, {"pool-max-conn", "-1"}} {
			if !slices.Contains(options, o[0]) {
				options = append(options, o[:]...)
			}
		}
	}
	commands := []cli.Command{cli.AddServer(ref, want.Addr, options)}
	if want.Checked() {
		commands = append(commands, cli.EnableHealth(ref)) // else its check stays idle
	}
	commands = append(commands, cli.EnableServer(ref))
	if b.Probation && want.Checked() {
		commands = append(commands, cli.HealthDown(ref))
	}
	m.step(Add, ref, want.Weight, fmt.Sprintf("%s w=%d", want.Addr, want.Weight), commands...)
}

// cannotAdd says why a server can only be added by a reload; empty if it can be now.
func (m *maker) cannotAdd(b Backend, want conf.Server) string {
	switch {
	case b.Fixed:
		return "there are too few slots"
	case b.Static || m.known.Closed[b.Name]:
		return "the balance algorithm takes no servers at run time"
	case !m.known.Dynamic():
		return "this version of haproxy takes no servers at run time"
	}
	for _, word := range want.Options {
		if m.known.Refused[word] {
			return fmt.Sprintf("option %q is refused at run time", word)
		}
		if !cli.Word(word) {
			return fmt.Sprintf("option %q cannot be said at run time", word)
		}
	}
	if !cli.Name(want.Name) {
		return "its name cannot be said at run time"
	}
	return ""
}

// keep brings a server that is wanted to its address, weight and state.
func (m *maker) keep(b Backend, ref cli.Ref, want conf.Server, got Server) {
	if got.Weight != want.Weight {
		last, ok := m.known.Weights[ref]
		if !ok {
			last = got.Initial
		}
		if m.known.KeepWeights && last == want.Weight {
			tell(&m.Kept, "%s has weight %d by hand, not %d", ref, got.Weight, want.Weight)
		} else {
			m.weigh(b, ref, want, got)
		}
	}
	out := got.Admin&(cli.AdminMaint|cli.AdminDrain) != 0
	if out && m.known.KeepStates && !m.known.Parked[ref] && !b.Fixed {
		tell(&m.Kept, "%s is taken out by hand", ref)
		out = false
	}
	moves := got.Addr != want.Addr
	var commands []cli.Command
	kind, detail := Move, fmt.Sprintf("%s -> %s", got.Addr, want.Addr)
	if moves {
		commands = append(commands, cli.SetAddr(ref, want.Addr))
	}
	if want.Checked() && !got.Watched() && (out || !m.known.KeepStates) {
		// Somebody stopped its checks, or it was added and what should have followed was lost.
		commands = append(commands, cli.EnableHealth(ref))
		kind, detail = Return, want.Addr.String()
	}
	if out {
		commands = append(commands, cli.SetState(ref, cli.Ready))
		kind, detail = Return, want.Addr.String()
	}
	if len(commands) == 0 {
		return
	}
	// Leaving maintenance counts a server as up, whatever it was; and of another address nothing is known.
	if b.Probation && want.Checked() && (moves || got.InMaint()) && (out || !got.InMaint()) {
		commands = append(commands, cli.HealthDown(ref))
	}
	m.step(kind, ref, want.Weight, detail, commands...)
}

func (m *maker) weigh(b Backend, ref cli.Ref, want conf.Server, got Server) {
	command := cli.SetWeight(ref, want.Weight)
	if b.Static {
		if want.Weight != 0 && want.Weight != got.Initial {
			m.reload("%s: the balance algorithm takes no weight %d at run time", ref, want.Weight)
			return
		}
		command = cli.SetShare(ref, want.Weight != 0)
	}
	m.step(Weight, ref, want.Weight, fmt.Sprintf("%d -> %d", got.Weight, want.Weight), command)
}

// retire takes a server out that stays where it is, as an empty slot.
func (m *maker) retire(b Backend, ref cli.Ref, want conf.Server, got Server) {
	if !got.InMaint() {
		m.step(Park, ref, 0, "", cli.SetState(ref, cli.Maint))
	}
	if got.Used > 0 {
		m.remains(b, ref, got)
		return
	}
	if got.Addr != want.Addr {
		m.step(Tidy, ref, 0, want.Addr.String(), cli.SetAddr(ref, want.Addr))
	}
}

// remove deletes a server. Its time to drain is over.
func (m *maker) remove(b Backend, ref cli.Ref, got Server) {
	if !got.InMaint() {
		m.step(Park, ref, 0, "", cli.SetState(ref, cli.Maint))
	}
	switch {
	case got.Used > 0:
		m.remains(b, ref, got)
		return
	case !m.known.Dynamic(), m.known.Pinned[ref]:
		tell(&m.Remains, "%s stays in maintenance until the next reload", ref)
		return
	case m.known.Busy[ref]:
		tell(&m.Remains, "%s: idle connections", ref)
		m.Soon = true
		return
	}
	commands := []cli.Command{cli.DelServer(ref)}
	if m.known.waits() {
		commands = slices.Insert(commands, 0, cli.WaitRemovable(ref, 100))
	}
	m.step(Delete, ref, 0, "", commands...)
}

// remains is for a server that still has sessions.
func (m *maker) remains(b Backend, ref cli.Ref, got Server) {
	if b.Force && !m.known.Busy[ref] {
		m.step(Kill, ref, 0, fmt.Sprintf("%d sessions", got.Used), cli.ShutdownSessions(ref))
	}
	tell(&m.Remains, "%s: %d sessions", ref, got.Used)
	m.Soon = true
}

// Dynamic tells whether HAProxy takes servers and weights at run time with the algorithm, as said by the
// words of the directives balance and hash-type.
func Dynamic(balance, hashType []string) bool {
	if len(balance) == 0 {
		return true // round robin
	}
	algorithm, _, _ := strings.Cut(balance[0], "(")
	switch algorithm {
	case "roundrobin", "leastconn", "random", "first":
		return true
	case "static-rr":
		return false
	default: // source, uri, url_param, hdr, rdp-cookie, hash: by hash-type
		return len(hashType) > 0 && hashType[0] == "consistent"
	}
}
