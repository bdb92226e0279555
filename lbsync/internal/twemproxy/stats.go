package twemproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"time"
)

// maxStats bounds what is read of the statistics, in bytes: some hundred for each server.
const maxStats = 16 << 20

// dialTimeout is for one connection to the statistics or a pool, both on this host as a rule.
const dialTimeout = 2 * time.Second

// Stats are what a running nutcracker says of itself.
type Stats struct {
	Version string
	Started time.Time           // to the second
	Pools   map[string][]string // the names of the servers of each pool, sorted
}

// ReadStats connects to nutcracker's statistics, which it sends unasked.
func ReadStats(ctx context.Context, addr string) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return Stats{}, err
	}
	defer func() { _ = conn.Close() }() // it was read
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return Stats{}, err
	}
	text, err := io.ReadAll(io.LimitReader(conn, maxStats))
	if err != nil {
		return Stats{}, err
	}
	return ParseStats(text)
}

// ParseStats reads the statistics: an object with values of nutcracker's own, and an object for each pool, in which there
// is one for each server.
func ParseStats(text []byte) (Stats, error) {
	var head struct {
		Service   string
		Version   string
		Uptime    *int64
		Timestamp *int64
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return Stats{}, fmt.Errorf("the statistics are no JSON object: %w", err)
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Service != "nutcracker" || head.Uptime == nil || head.Timestamp == nil {
		return Stats{}, fmt.Errorf("these are not the statistics of nutcracker")
	}
	s := Stats{Version: head.Version, Started: time.Unix(*head.Timestamp-*head.Uptime, 0), Pools: map[string][]string{}}
	for name, raw := range all {
		var pool map[string]json.RawMessage
		if json.Unmarshal(raw, &pool) != nil || pool == nil {
			continue // a value of nutcracker's own
		}
		servers := map[string]bool{}
		for key, raw := range pool {
			var server map[string]json.RawMessage
			if json.Unmarshal(raw, &server) == nil && server != nil {
				servers[key] = true
			}
		}
		s.Pools[name] = slices.Sorted(maps.Keys(servers))
	}
	return s, nil
}

// differs says how what runs is not what the file says; empty if it is.
func (s Stats) differs(f File) string {
	if len(s.Pools) != len(f.Pools) {
		return fmt.Sprintf("it has %d pools, not %d", len(s.Pools), len(f.Pools))
	}
	for _, p := range f.Pools {
		var want []string
		for _, server := range p.Servers {
			want = append(want, server.Name)
		}
		slices.Sort(want)
		have, ok := s.Pools[p.Name]
		if !ok {
			return fmt.Sprintf("it has no pool %q", p.Name)
		}
		if !slices.Equal(have, want) {
			return fmt.Sprintf("its pool %q has the servers %q, not %q", p.Name, have, want)
		}
	}
	return ""
}
