package membership

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
)

// Filter selects members. The zero Filter selects all.
type Filter struct {
	Statuses []string                  // any of these; empty means any status
	Name     *regexp.Regexp            // found in the name; nil means any name. See CompileName.
	Tags     map[string]string         // each must be there with exactly this value
	TagRegex map[string]*regexp.Regexp // each must match the tag's value, which is empty where there is no such tag
	Service  *ServiceFilter            // nil means whatever they publish
}

// CompileName compiles an expression that must match a name as a whole.
func CompileName(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return nil, err // of the user's own words, not of the wrapped expression
	}
	return regexp.Compile("^(?:" + expr + ")$")
}

// Select returns the members that pass, in their order. The result is never nil.
func (f Filter) Select(members []Member) []Member {
	selected := make([]Member, 0, len(members))
	for _, m := range members {
		if f.passes(m) {
			selected = append(selected, m)
		}
	}
	return selected
}

func (f Filter) passes(m Member) bool {
	if len(f.Statuses) > 0 && !slices.Contains(f.Statuses, m.Status) {
		return false
	}
	if f.Name != nil && !f.Name.MatchString(m.Name) {
		return false
	}
	for key, want := range f.Tags {
		if got, ok := m.Tags[key]; !ok || got != want {
			return false
		}
	}
	for key, expr := range f.TagRegex {
		if !expr.MatchString(m.Tags[key]) {
			return false
		}
	}
	return f.Service == nil || f.Service.passes(m)
}

// Digest returns a fingerprint of members, which must be sorted: SHA-256, in hexadecimal, over name,
// endpoint, status and tags. It stays the same for as long as these do. Its form must never change, since
// users keep it in their state and compare it.
func Digest(members []Member) string {
	type meaning struct {
		Name     string            `json:"name"`
		Endpoint string            `json:"endpoint"`
		Status   string            `json:"status"`
		Tags     map[string]string `json:"tags"` // encoding/json sorts the keys
	}
	list := make([]meaning, 0, len(members))
	for _, m := range members {
		list = append(list, meaning{m.Name, m.Endpoint.String(), m.Status, m.Tags})
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings and maps of strings always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
