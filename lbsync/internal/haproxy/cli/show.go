package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ErrFormat means that an answer has a form that is not known.
var ErrFormat = errors.New("haproxy's answer has an unknown form")

// Bits of ServerState.Admin. A server written `disabled` keeps the configured bit after it was made ready, so
// that states are told by bits and never by equality.
const (
	AdminMaint = 0x01 // put in maintenance
	AdminDrain = 0x08 // drained
	adminOther = 0x02 | 0x20 | 0x40
)

// ServerState is a row of `show servers state`.
type ServerState struct {
	Backend, Name string
	BackendID     int
	ID            uint32
	Addr          netip.AddrPort // the zero value if it has no IP address
	Op            int            // 0 down, 1 starting, 2 running, 3 stopping
	Admin         int
	Weight        int // in use
	Initial       int // configured
	// Check are bits of the state of its check, Verdict what the last one came to.
	Check, Verdict int
}

const (
	checkEnabled = 0x04 // of the bits of ServerState.Check
	checkFailed  = 2    // the first of ServerState.Verdict that says something
)

// Watched tells whether the server is checked.
func (s ServerState) Watched() bool { return s.Check&checkEnabled != 0 }

// Judged tells whether a check has said something about the server.
func (s ServerState) Judged() bool { return s.Watched() && s.Verdict >= checkFailed }

// Up tells whether the server takes traffic as far as its health goes.
func (s ServerState) Up() bool { return s.Op != 0 }

// InMaint tells whether it is in maintenance for whatever reason.
func (s ServerState) InMaint() bool { return s.Admin&(AdminMaint|adminOther) != 0 }

// Draining tells whether it is drained.
func (s ServerState) Draining() bool { return s.Admin&AdminDrain != 0 }

// table reads rows of blank-separated fields under a header line that begins with "# ".
type table struct{ column map[string]int }

func header(line, sep string) table {
	t := table{map[string]int{}}
	for i, name := range strings.Split(strings.TrimSpace(strings.TrimPrefix(line, "# ")), sep) {
		if _, ok := t.column[name]; !ok {
			t.column[name] = i
		}
	}
	return t
}

// has returns an error unless all the columns are there.
func (t table) has(names ...string) error {
	for _, n := range names {
		if _, ok := t.column[n]; !ok {
			return fmt.Errorf("%w: there is no column %s", ErrFormat, n)
		}
	}
	return nil
}

// get returns a field; a row may be shorter than its header.
func (t table) get(row []string, name string) string {
	if i, ok := t.column[name]; ok && i < len(row) {
		return row[i]
	}
	return ""
}

func (t table) number(row []string, name string) int {
	n, _ := strconv.Atoi(t.get(row, name)) // empty and "-" are 0
	return n
}

// ParseServersState reads `show servers state`, whose first line is the version of its form.
func ParseServersState(reply string) ([]ServerState, error) {
	version, rest, _ := strings.Cut(reply, "\n")
	if strings.TrimSpace(version) != "1" {
		if kind := Classify(version); kind == NoSuchBackend {
			return nil, &RefusedError{Command: ShowState(""), Kind: kind, Reply: version}
		}
		return nil, fmt.Errorf("%w: show servers state begins with %.40q", ErrFormat, version)
	}
	var t table
	var all []ServerState
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "#") {
			t = header(line, " ")
			if err := t.has("be_name", "srv_id", "be_id", "srv_name", "srv_addr", "srv_port", "srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight"); err != nil {
				return nil, err
			}
			continue
		}
		row := strings.Fields(line)
		if len(row) == 0 {
			continue
		}
		if t.column == nil {
			return nil, fmt.Errorf("%w: show servers state has no header", ErrFormat)
		}
		s := ServerState{
			Backend: t.get(row, "be_name"), Name: t.get(row, "srv_name"),
			BackendID: t.number(row, "be_id"), Op: t.number(row, "srv_op_state"), Admin: t.number(row, "srv_admin_state"),
			Weight: t.number(row, "srv_uweight"), Initial: t.number(row, "srv_iweight"),
			Check: t.number(row, "srv_check_state"), Verdict: t.number(row, "srv_check_result"),
		}
		id, err := strconv.ParseUint(t.get(row, "srv_id"), 10, 32)
		if err != nil || s.Name == "" {
			return nil, fmt.Errorf("%w: show servers state has the row %.80q", ErrFormat, line)
		}
		s.ID = uint32(id)
		if addr, err := netip.ParseAddr(t.get(row, "srv_addr")); err == nil {
			if port := t.number(row, "srv_port"); port >= 0 && port <= 65535 {
				s.Addr = netip.AddrPortFrom(addr.Unmap(), uint16(port))
			}
		}
		all = append(all, s)
	}
	if t.column == nil {
		return nil, fmt.Errorf("%w: show servers state has no header", ErrFormat)
	}
	return all, nil
}

// ServerConn is a row of `show servers conn`.
type ServerConn struct {
	Ref  Ref
	Used int // connections that serve a session now
	Idle int // kept connections
}

// ParseServersConn reads `show servers conn`. Rows of servers added at run time are shorter in 2.6.
func ParseServersConn(reply string) ([]ServerConn, error) {
	first, rest, _ := strings.Cut(reply, "\n")
	if !strings.HasPrefix(first, "#") {
		return nil, fmt.Errorf("%w: show servers conn begins with %.40q", ErrFormat, first)
	}
	t := header(first, " ")
	if err := t.has("bkname/svname", "used_cur"); err != nil {
		return nil, err
	}
	var all []ServerConn
	for line := range strings.Lines(rest) {
		row := strings.Fields(line)
		if len(row) == 0 {
			continue
		}
		backend, server, ok := strings.Cut(t.get(row, "bkname/svname"), "/")
		if _, err := strconv.Atoi(t.get(row, "used_cur")); !ok || err != nil {
			return nil, fmt.Errorf("%w: show servers conn has the row %.80q", ErrFormat, line)
		}
		all = append(all, ServerConn{Ref{backend, server}, t.number(row, "used_cur"), t.number(row, "idle_cur")})
	}
	return all, nil
}

// ServerStat is a row of `show stat` for a server.
type ServerStat struct {
	Ref      Ref
	Backup   bool
	Sessions int // running now
	Queued   int // waiting for this server
	Status   string
	Connects int // made since it was added
	Reused   int // requests that went over a kept connection
}

// ParseStat reads `show stat`. No field of a server before the last of those used here is quoted.
func ParseStat(reply string) ([]ServerStat, error) {
	first, rest, _ := strings.Cut(reply, "\n")
	if !strings.HasPrefix(first, "#") {
		return nil, fmt.Errorf("%w: show stat begins with %.40q", ErrFormat, first)
	}
	t := header(first, ",")
	if err := t.has("pxname", "svname", "scur", "status", "bck"); err != nil {
		return nil, err
	}
	var all []ServerStat
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		row := fields(line)
		s := ServerStat{
			Ref:      Ref{t.get(row, "pxname"), t.get(row, "svname")},
			Backup:   t.get(row, "bck") == "1",
			Sessions: t.number(row, "scur"), Queued: t.number(row, "qcur"), Status: t.get(row, "status"),
			Connects: t.number(row, "connect"), Reused: t.number(row, "reuse"),
		}
		if s.Ref.Server == "" || s.Status == "" {
			return nil, fmt.Errorf("%w: show stat has the row %.80q", ErrFormat, line)
		}
		all = append(all, s)
	}
	return all, nil
}

// fields splits a line of comma-separated values, of which some may be quoted, as what a check said is.
func fields(line string) []string {
	if !strings.Contains(line, `"`) {
		return strings.Split(line, ",")
	}
	var out []string
	quoted, start := false, 0
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			out, start = append(out, line[start:i]), i+1
		}
	}
	return append(out, line[start:])
}

// Info is what `show info` tells of a process.
type Info struct {
	PID     int
	Version Version
	Started time.Time // never too late: before it read its configuration; to the second where HAProxy tells no more
	// Instance is a name that no other process has: PID@START, or the PID alone where the start is not told (2.4).
	Instance string
}

// Version is a version of HAProxy.
type Version struct {
	Major, Minor int
	Text         string // in full
}

// AtLeast tells whether the version is that one or a later.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || (v.Major == major && v.Minor >= minor)
}

// ParseInfo reads `show info`.
func ParseInfo(reply string) (Info, error) {
	now, start := time.Now(), ""
	var info Info
	for line := range strings.Lines(reply) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Pid":
			info.PID, _ = strconv.Atoi(value) // checked below
		case "Start_time_sec":
			if at, ok := parseUnix(value); ok {
				info.Started, start = at, fmt.Sprintf("@%d", at.Unix())
			}
		case "Uptime_sec": // for versions that do not tell the other
			whole, _, _ := strings.Cut(value, ".")
			if n, err := strconv.Atoi(whole); err == nil && n >= 0 && info.Started.IsZero() {
				info.Started = now.Add(-time.Duration(n+1) * time.Second).Truncate(time.Second)
			}
		case "Version":
			info.Version = ParseVersion(value)
		}
	}
	info.Instance = fmt.Sprint(info.PID) + start
	if info.PID <= 0 || info.Version.Major == 0 {
		return info, fmt.Errorf("%w: show info says %.80q", ErrFormat, reply)
	}
	return info, nil
}

// parseUnix reads seconds since 1970, with up to nine digits of a fraction. What is cut off of it makes it earlier.
func parseUnix(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	nsec, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return time.Unix(sec, nsec), err == nil && nsec >= 0
}

// ParseVersion reads a version such as 2.6.12-1+deb12u4. What cannot be read is version 0.
func ParseVersion(text string) Version {
	v := Version{Text: text}
	major, rest, _ := strings.Cut(text, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(rest)
	if errA == nil && errB == nil && a > 0 && b >= 0 {
		v.Major, v.Minor = a, b
	}
	return v
}

// Processes is what `show proc` of the master tells.
type Processes struct {
	Workers []int // that serve now
	Old     []int // that finish what they have
	Failed  int   // reloads that failed since the last that did not
}

// Has tells whether the process is one of the workers, old ones included.
func (p Processes) Has(pid int) bool {
	for _, list := range [][]int{p.Workers, p.Old} {
		for _, have := range list {
			if have == pid {
				return true
			}
		}
	}
	return false
}

// ParseProcesses reads `show proc` of a master socket.
//
//	#<PID>          <type>          <reloads>       <uptime>        <version>
//	1162            master          5 [failed: 0]   0d00h02m07s     2.6.12
//	# workers
//	1271            worker          1               0d00h00m00s     2.6.12
//	# old workers
//	1233            worker          3               0d00h00m43s     2.6.12
func ParseProcesses(reply string) (Processes, error) {
	var p Processes
	master := false
	section := &p.Workers
	for line := range strings.Lines(reply) {
		line = strings.TrimSpace(line)
		switch {
		case line == "# workers":
			section = &p.Workers
		case line == "# old workers":
			section = &p.Old
		case strings.HasPrefix(line, "# "):
			section = nil // programs, and what later versions may add
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		pid, err := strconv.Atoi(words[0])
		if err != nil || pid <= 0 {
			continue
		}
		switch words[1] {
		case "master":
			master = true
			if _, rest, ok := strings.Cut(line, "[failed:"); ok {
				text, _, _ := strings.Cut(rest, "]")
				if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
					p.Failed = n
				}
			}
		case "worker":
			if section != nil {
				*section = append(*section, pid)
			}
		}
	}
	if !master {
		return p, fmt.Errorf("%w: it is not that of a master to show proc: %.80q", ErrFormat, reply)
	}
	return p, nil
}
