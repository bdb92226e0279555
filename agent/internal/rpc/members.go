package rpc

import (
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// memberCache keeps the encoded list of all members of the newest snapshot, for which lists are asked again and again.
type memberCache struct {
	mu   sync.Mutex // held while encoding: who asks for the same list meanwhile gets it, too
	snap *view.Snapshot
	body []byte
}

// encoded returns the body of a members response. It must not be modified.
func (m *memberCache) encoded(snap *view.Snapshot) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.snap != snap {
		m.snap, m.body = snap, appendMembersResponse(nil, snap, snap.Members)
	}
	return m.body
}

func (c *conn) listMembers() answer {
	return answer{body: c.srv.members.encoded(c.srv.backend.View().Load())}
}

func (c *conn) filterMembers(_ uint64, req api.MembersFilteredRequest) answer {
	f, err := newMemberFilter(req)
	if err != nil {
		// Serf hangs up. Its clients take an error, too, but always read a body.
		c.srv.cfg.Logger.Warn(err.Error())
		return answer{err: err, body: appendMembersResponse(nil, c.srv.backend.View().Load(), nil)}
	}
	snap := c.srv.backend.View().Load()
	if f.all() {
		return answer{body: c.srv.members.encoded(snap)}
	}
	var found []*view.Member
	for _, m := range snap.Members {
		if f.match(m) {
			found = append(found, m)
		}
	}
	return answer{body: appendMembersResponse(nil, snap, found)}
}

// memberFilter is a compiled api.MembersFilteredRequest.
type memberFilter struct {
	name, status *regexp.Regexp // nil: any
	tags         []tagFilter
}

type tagFilter struct {
	tag  string
	expr *regexp.Regexp
}

func newMemberFilter(req api.MembersFilteredRequest) (f memberFilter, err error) {
	if req.Name != "" {
		if f.name, err = wholeMatch(req.Name); err != nil {
			return f, err
		}
	}
	if req.Status != "" {
		if f.status, err = wholeMatch(req.Status); err != nil {
			return f, err
		}
	}
	for tag, expr := range req.Tags {
		re, err := wholeMatch(expr) // even if empty: then the tag must be missing or empty
		if err != nil {
			return f, err
		}
		f.tags = append(f.tags, tagFilter{tag: tag, expr: re})
	}
	return f, nil
}

// wholeMatch compiles an expression that has to match from the first to the last character. Serf anchors without
// grouping, so that "alive|left" means "^alive" or "left$" (Serf reference 4.4); for the statuses and for all
// expressions without a top-level alternative the two agree, and elsewhere nobody can mean what Serf does.
func wholeMatch(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil { // by itself, so that ")(" does not pass for two groups
		return nil, fmt.Errorf("Failed to compile regex: %w", err) //nolint:staticcheck // Serf's words
	}
	re, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return nil, fmt.Errorf("Failed to compile regex: %w", err) //nolint:staticcheck // Serf's words
	}
	return re, nil
}

func (f *memberFilter) all() bool { return f.name == nil && f.status == nil && len(f.tags) == 0 }

func (f *memberFilter) match(m *view.Member) bool {
	if f.name != nil && !f.name.MatchString(m.Name) {
		return false
	}
	if f.status != nil && !f.status.MatchString(m.Status.String()) {
		return false
	}
	return !slices.ContainsFunc(f.tags, func(t tagFilter) bool { return !t.expr.MatchString(m.Tags[t.tag]) })
}
