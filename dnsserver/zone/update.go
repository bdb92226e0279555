package zone

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// entry is what stands at one name. All fields empty: the name exists and has no records.
type entry struct {
	node  *node
	also  []*node // other members whose names differ from node's in case only; published elsewhere
	group *group
	ns    *node // at ns-NODE
	below int   // at KEY.tag: how many VALUE.KEY.tag there are
}

// nsKey is where the index keeps the group of name servers. It begins with an empty label, so that no query
// finds it.
const nsKey = "\x00ns"

// maxNS bounds the NS set: the apex must stay a small answer however many members serve the zone.
const maxNS = 13

// Update returns the zone after the changes, of which a later one to the same member replaces an earlier one. If
// they change nothing that a query could see, it returns z itself; else the serial is the next one. The zone keeps
// the members' maps and slices, which must not be modified any more.
func (z *Zone) Update(changes []Change) *Zone {
	u := &update{
		cfg:      z.cfg,
		members:  z.members.edit(),
		names:    z.names.edit(),
		problems: z.problems,
		groups:   make(map[string]groupEdit),
	}
	for _, c := range changes {
		u.change(c)
	}
	if !u.changed {
		return z
	}
	u.finishGroups()
	next := &Zone{
		cfg:      z.cfg,
		serial:   nextSerial(z.serial),
		members:  u.members.done(),
		names:    u.names.done(),
		problems: u.problems,
	}
	next.setApex()
	return next
}

// update is one call of Update.
type update struct {
	cfg         *settings
	members     *tableEdit[*node]
	names       *tableEdit[*entry]
	problems    map[string][]Problem
	ownProblems bool                 // problems is ours to modify
	groups      map[string]groupEdit // by name
	changed     bool
}

func (u *update) change(c Change) {
	old, _ := u.members.get([]byte(c.Name))
	if c.Member == nil && old == nil || c.Member != nil && old != nil && old.shows(c.Member) {
		return
	}
	u.changed = true
	label, ok := Label(c.Name)
	if !ok {
		u.replace(old, u.make(c, ""))
		return
	}
	// Members whose names differ in case only claim the same label. The first gets it; the others are published
	// with their capitals escaped, so that each SRV target still means one member.
	before := u.claimants(label)
	var after []*node
	for _, n := range before {
		if n.name != c.Name {
			after = append(after, n)
		}
	}
	if n := u.make(c, label); n != nil {
		after = append(after, n)
	}
	slices.SortFunc(after, func(a, b *node) int { return compareClaims(a.name, b.name) })
	for i, n := range after {
		want := label
		if i > 0 {
			want, _ = exactLabel(n.name)
		}
		if n.label != want {
			after[i] = n.relabelled(u.cfg, want)
		}
	}
	for _, n := range before {
		if !slices.Contains(after, n) {
			u.unlink(n)
		}
	}
	for _, n := range after {
		if !slices.Contains(before, n) {
			u.link(n)
		}
	}
	for i, n := range after {
		if n.label == "" {
			continue
		}
		e := &entry{node: n}
		if i == 0 {
			e.also = after[1:]
		}
		u.names.set(key(n.label, nodeLabel), e)
	}
	for _, n := range after {
		u.setProblems(n, after[0])
	}
}

// compareClaims orders the claimants of a label: who spells it in small letters comes first, then by bytes.
func compareClaims(a, b string) int {
	aLower, bLower := a == strings.ToLower(a), b == strings.ToLower(b)
	if aLower != bLower {
		if aLower {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

func (u *update) make(c Change, label string) *node {
	if c.Member == nil {
		return nil
	}
	m := *c.Member
	m.Name = c.Name
	return newNode(u.cfg, &m, label)
}

func (u *update) claimants(label string) []*node {
	e, ok := u.names.get([]byte(key(label, nodeLabel)))
	if !ok {
		return nil
	}
	return append([]*node{e.node}, e.also...)
}

// relabelled returns the node under another label.
func (n *node) relabelled(cfg *settings, label string) *node {
	return newNode(cfg, &Member{
		Name:       n.name,
		Addrs:      slices.Concat(n.host.A.Addrs, n.host.AAAA.Addrs),
		Tags:       n.tags,
		Services:   n.services,
		Nameserver: n.nameserver,
		Live:       n.live,
		Stale:      n.stale,
	}, label)
}

// replace exchanges a node that has no label.
func (u *update) replace(old, now *node) {
	if old != nil {
		u.unlink(old)
	}
	if now != nil {
		u.link(now)
		u.setProblems(now, now)
	}
}

// unlink takes the node out of everything.
func (u *update) unlink(n *node) {
	u.members.delete(n.name)
	if n.label != "" {
		u.names.delete(key(n.label, nodeLabel))
		u.names.delete(key(nsPrefix + n.label))
	}
	for _, k := range n.groupKeys() {
		u.edit(k)[n.name] = nil
	}
	u.dropProblems(n.name)
}

// link puts the node into everything but its own name.
func (u *update) link(n *node) {
	u.members.set(n.name, n)
	serves := n.nameserver && n.live
	if n.nsHost.Name != "" && (serves || n.name == u.cfg.self) {
		u.names.set(key(nsPrefix+n.label), &entry{ns: n})
		if serves {
			u.add(nsKey, n.name, &endpoint{node: n, serving: true})
		}
	}
	for _, s := range n.services {
		if l, ok := Label(s.Name); ok {
			u.add(key(l, serviceLabel), n.name, &endpoint{
				node: n, port: s.Port, weight: s.Weight, priority: s.Priority, serving: n.live && !s.Drain,
			})
		}
	}
	for _, p := range n.pairs {
		u.add(key(p.value, p.key, tagLabel), n.name, &endpoint{node: n, serving: n.live})
	}
}

// groupKeys lists the groups that link adds a node to.
func (n *node) groupKeys() []string {
	keys := []string{nsKey}
	for _, s := range n.services {
		if l, ok := Label(s.Name); ok {
			keys = append(keys, key(l, serviceLabel))
		}
	}
	for _, p := range n.pairs {
		keys = append(keys, key(p.value, p.key, tagLabel))
	}
	return keys
}

func (u *update) edit(key string) groupEdit {
	edit, ok := u.groups[key]
	if !ok {
		edit = make(groupEdit)
		u.groups[key] = edit
	}
	return edit
}

func (u *update) add(key, member string, e *endpoint) {
	edit := u.edit(key)
	edit[member] = append(edit[member], e)
}

func (u *update) finishGroups() {
	for k, edit := range u.groups {
		var old []*endpoint
		e, had := u.names.get([]byte(k))
		if had {
			old = e.group.all
		}
		all := edit.apply(old)
		isTag := strings.HasSuffix(k, tagSuffix)
		switch {
		case len(all) > 0:
			u.names.set(k, &entry{group: &group{all: all, isTag: isTag}})
		case had:
			u.names.delete(k)
		}
		if has := len(all) > 0; isTag && has != had {
			u.countKey(k, has)
		}
	}
}

var tagSuffix = key(tagLabel)

// countKey keeps the empty non-terminal KEY.tag as long as there is a VALUE.KEY.tag.
func (u *update) countKey(tagName string, added bool) {
	k := tagName[1+int(tagName[0]):] // without VALUE
	below := 0
	if e, ok := u.names.get([]byte(k)); ok {
		below = e.below
	}
	if added {
		below++
	} else {
		below--
	}
	if below == 0 {
		u.names.delete(k)
		return
	}
	u.names.set(k, &entry{below: below})
}

// setProblems notes what of the node could not be published as it is. first is who has the plain label.
func (u *update) setProblems(n, first *node) {
	var found []Problem
	add := func(format string, args ...any) {
		found = append(found, Problem{Member: n.name, Text: fmt.Sprintf(format, args...)})
	}
	switch {
	case n.label == "" && n == first:
		add("node name %q has no DNS label (more than %d characters once escaped): it has no name in %s and no SRV records; give it a shorter name",
			n.name, maxLabel, u.cfg.originText)
	case n.label == "":
		add("node name %q differs from %q in case only, and escaped it is too long: it has no name in %s and no SRV records; rename one",
			n.name, first.name, u.cfg.originText)
	case n != first:
		add("node name %q differs from %q in case only: it is published as %s; rename one", n.name, first.name, n.host.Name)
	}
	for _, s := range n.services {
		if _, ok := Label(s.Name); !ok {
			add("service name %q of node %q has no DNS label (more than %d characters once escaped): it is not published; give it a shorter name",
				s.Name, n.name, maxLabel)
		}
	}
	u.dropProblems(n.name)
	if len(found) > 0 {
		u.writableProblems()[n.name] = found
	}
}

func (u *update) dropProblems(member string) {
	if _, ok := u.problems[member]; ok {
		delete(u.writableProblems(), member)
	}
}

func (u *update) writableProblems() map[string][]Problem {
	if !u.ownProblems {
		u.ownProblems = true
		if u.problems = maps.Clone(u.problems); u.problems == nil {
			u.problems = make(map[string][]Problem)
		}
	}
	return u.problems
}

// setApex builds the record sets at the origin.
func (z *Zone) setApex() {
	z.ns = &RRset{Type: TypeNS, TTL: z.cfg.nodeTTL}
	if e, ok := z.names.get([]byte(nsKey)); ok {
		for _, ep := range e.group.all[:min(len(e.group.all), maxNS)] {
			z.ns.NS = append(z.ns.NS, &ep.node.nsHost)
		}
	}
	primary := &Host{Name: "ns." + z.cfg.originText, A: &RRset{Type: TypeA}, AAAA: &RRset{Type: TypeAAAA}}
	if self, ok := z.members.get([]byte(z.cfg.self)); ok && self.nsHost.Name != "" {
		primary = &self.nsHost
	}
	if len(z.ns.NS) == 0 {
		z.ns.NS = []*Host{primary} // a zone has at least one (RFC 1035 section 5.2)
	}
	z.soa = &RRset{Type: TypeSOA, TTL: z.cfg.negativeTTL, SOA: &SOA{
		Primary: primary.Name,
		Mailbox: "hostmaster." + z.cfg.originText,
		Serial:  z.serial,
		Refresh: soaRefresh,
		Retry:   soaRetry,
		Expire:  soaExpire,
		Minimum: z.cfg.negativeTTL,
	}}
}
