package zone

import (
	"maps"
	"slices"
	"strings"
)

// Update returns the zone after the changes, of which a later one to the same member replaces an earlier one. If
// they change nothing that a query could see, it returns z itself; else the serial is the next one, here and in each
// reverse zone in which something changed. The zone keeps the members' maps and slices, which must not be modified any
// more.
func (z *Zone) Update(changes []Change) *Zone {
	u := &update{
		zone:     z,
		cfg:      z.cfg,
		members:  z.members.edit(),
		names:    z.names.edit(),
		servers:  z.servers.edit(),
		crowded:  z.crowded,
		problems: z.problems, spellings: z.spellings,
		groups:   make(map[string]map[string]*part),
		pointers: make(map[pointer]map[string]*part),
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
		origin:   z.origin,
		serial:   nextSerial(z.serial),
		ns:       z.ns,
		trust:    z.trust,
		crowded:  u.crowded,
		problems: u.problems, spellings: u.spellings,
	}
	next.members, _ = u.members.done()
	next.names, _ = u.names.done()
	next.servers, _ = u.servers.done()
	hosts, primary := next.hosts(), next.primary()
	next.setApex(hosts, primary)
	next.reverse = u.finishReverse(hosts, primary)
	return next
}

// update is one call of Update.
type update struct {
	zone         *Zone // before
	cfg          *settings
	members      *edit[*node]
	names        *edit[Name]
	servers      *edit[*Host]
	crowded      map[string][]*node
	ownCrowded   bool // crowded is ours to modify
	problems     map[string][]Problem
	ownProblems  bool
	spellings    map[string][]Problem // by label of the service
	ownSpellings bool
	groups       map[string]map[string]*part  // by name and member; nil for one that is out
	pointers     map[pointer]map[string]*part // the same for addresses
	changed      bool
}

func (u *update) change(c Change) {
	old, _ := u.members.get(c.Name)
	if c.Member == nil && old == nil || c.Member != nil && old != nil && old.shows(c.Member) {
		return
	}
	u.changed = true
	label, ok := Label(c.Name)
	if !ok {
		u.replace(old, u.make(c, "", old))
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
	if n := u.make(c, label, old); n != nil {
		after = append(after, n)
	}
	slices.SortFunc(after, compareClaims)
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
	u.crowd(label, after)
	for _, n := range after {
		u.setProblems(n, after[0])
	}
}

// compareClaims orders the claimants of a label. Whether they are there does not count, lest a failure hands the name of
// one to another.
func compareClaims(a, b *node) int { return compareSpellings(a.name, b.name) }

// compareSpellings orders names that differ in case only: the one in small letters comes first, then by bytes.
func compareSpellings(a, b string) int {
	aLower, bLower := a == strings.ToLower(a), b == strings.ToLower(b)
	if aLower != bLower {
		if aLower {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

func (u *update) make(c Change, label string, old *node) *node {
	if c.Member == nil {
		return nil
	}
	m := *c.Member
	m.Name = c.Name
	return newNode(u.cfg, &m, label, old)
}

// claimants returns who claims a label, first who has it.
func (u *update) claimants(label string) []*node {
	at, ok := u.names.get(key(label, nodeLabel))
	if !ok {
		return nil
	}
	return append([]*node{at.from.(*node)}, u.crowded[label]...)
}

// crowd notes who claims a label.
func (u *update) crowd(label string, claimants []*node) {
	if len(claimants) < 2 && len(u.crowded[label]) == 0 {
		return
	}
	if !u.ownCrowded {
		u.ownCrowded = true
		if u.crowded = maps.Clone(u.crowded); u.crowded == nil {
			u.crowded = make(map[string][]*node)
		}
	}
	if len(claimants) < 2 {
		delete(u.crowded, label)
		return
	}
	u.crowded[label] = claimants[1:]
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
		Down:       n.down,
		Stale:      n.stale,
	}, label, n)
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
	u.servers.delete(n.name)
	if n.label != "" {
		u.names.delete(key(n.label, nodeLabel))
		u.names.delete(key(nsPrefix + n.label))
	}
	for k := range u.groupsOf(n) {
		u.group(k)[n.name] = nil
	}
	for _, o := range n.offers {
		if o.instance != nil {
			u.names.delete(o.instanceKey())
		}
	}
	for _, p := range u.zone.pointers(n.host) {
		u.pointer(p)[n.name] = nil
	}
	u.dropProblems(n.name)
}

// link puts the node into everything.
func (u *update) link(n *node) {
	u.members.set(n.name, n)
	if n.label != "" {
		u.names.set(key(n.label, nodeLabel), Name{shapeNode, n})
	}
	serves := n.nameserver && n.live
	if n.nsHost != nil && (serves || n.name == u.cfg.self) {
		u.names.set(key(nsPrefix+n.label), Name{shapeHost, n.nsHost})
		if serves {
			u.servers.set(n.name, n.nsHost)
		}
	}
	for k, p := range u.groupsOf(n) {
		u.group(k)[n.name] = p
	}
	for _, o := range n.offers {
		if o.instance != nil {
			u.names.set(o.instanceKey(), Name{shapeInstance, o.instance})
		}
	}
	for _, p := range u.zone.pointers(n.host) {
		u.pointer(p)[n.name] = &part{member: n.name, label: n.label, host: n.host, serving: true}
	}
}

func (o offer) instanceKey() string { return key(o.part.label, "_"+o.label, tcpLabel) }

// groupsOf yields the names of the sets that a node is part of: services, services by one tag, and tags. Names too long
// to be asked for are left out.
func (u *update) groupsOf(n *node) func(yield func(string, *part) bool) {
	return func(yield func(string, *part) bool) {
		for _, o := range n.offers {
			service := key(o.label, serviceLabel)
			if !yield(service, o.part) {
				return
			}
			for _, p := range n.pairs {
				if k := service + key(p.value, p.key); u.cfg.origin.fits(k) && !yield(k, o.part) {
					return
				}
			}
		}
		for _, p := range n.pairs {
			if k := key(p.value, p.key, tagLabel); u.cfg.origin.fits(k) && !yield(k, n.part) {
				return
			}
		}
	}
}

func (u *update) group(key string) map[string]*part {
	g, ok := u.groups[key]
	if !ok {
		g = make(map[string]*part)
		u.groups[key] = g
	}
	return g
}

func (u *update) pointer(p pointer) map[string]*part {
	g, ok := u.pointers[p]
	if !ok {
		g = make(map[string]*part)
		u.pointers[p] = g
	}
	return g
}

// finishGroups makes the sets that changed, and what else is named after services.
func (u *update) finishGroups() {
	list := newCatalog(u.cfg)
	if n, ok := u.names.get(catalogKey); ok {
		list.labels = n.from.(*catalog).labels
	}
	services := list.labels.edit()
	for k, changes := range u.groups {
		var before *group
		var old tree[*part]
		if n, ok := u.names.get(k); ok {
			before = n.from.(*group)
			old = before.parts
		}
		parts, changed := old.with(sortedItems(changes))
		if !changed {
			continue
		}
		rest, isService := strings.CutPrefix(k, string(serviceKey))
		if !isService {
			g := &group{parts: parts, policy: &u.cfg.sets}
			g.follow(before, changes)
			u.setGroup(k, shapeTag, g)
			continue
		}
		label := rest[:strings.IndexByte(rest, 0)]
		g := &group{parts: parts, policy: u.cfg.of(label), below: "._" + label + "." + tcpLabel + "." + u.cfg.origin.text}
		g.follow(before, changes)
		u.setGroup(k, shapeService, g)
		if len(rest) > len(label)+1 {
			continue // by tag
		}
		if before != nil {
			g.census = before.census
		}
		g.census = g.census.take(g, old, changes)
		u.setSpellings(label, g)
		if len(label) == maxLabel {
			continue // there is no room for the underscore
		}
		u.setGroup(key("_"+label, tcpLabel, serviceLabel), shapeRFC2782, g)
		u.setGroup(key("_"+label, udpLabel, serviceLabel), shapeRFC2782, g)
		u.setGroup(key("_"+label, tcpLabel), shapeBrowse, g)
		if g.census.instances > 0 {
			services.set(label, true)
		} else {
			services.delete(label)
		}
	}
	if labels, changed := services.done(); changed {
		list.labels = labels
		u.names.set(catalogKey, Name{shapePointers, list})
	}
}

func (u *update) setGroup(key string, shape shape, g *group) {
	if g.parts.len() == 0 {
		u.names.delete(key)
		return
	}
	u.names.set(key, Name{shape, g})
}

// finishReverse returns the zones of addresses after the update.
func (u *update) finishReverse(hosts []*Host, primary *Host) []*Zone {
	nodes := &policy{ttl: u.cfg.nodeTTL, order: OrderStable}
	names := make([]map[string]Name, len(u.zone.reverse)) // that changed
	for p, changes := range u.pointers {
		old := u.zone.reverse[p.zone]
		g := old.ptr
		if n, ok := old.names.get([]byte(p.key)); ok && p.key != "" {
			g = n.from.(*group)
		}
		var parts tree[*part]
		if g != nil {
			parts = g.parts
		}
		for member, now := range changes {
			if was, ok := parts.get([]byte(member)); ok && now != nil && was.host == now.host {
				delete(changes, member)
			}
		}
		parts, changed := parts.with(sortedItems(changes))
		if !changed {
			continue
		}
		if names[p.zone] == nil {
			names[p.zone] = map[string]Name{}
		}
		names[p.zone][p.key] = Name{}
		if parts.len() > 0 {
			names[p.zone][p.key] = Name{shapePointers, &group{parts: parts, policy: nodes}}
		}
	}
	reverse := slices.Clone(u.zone.reverse)
	for i, old := range reverse {
		if names[i] == nil && slices.Equal(old.ns.NS, hosts) && old.soa.SOA.Primary == primary.Name {
			continue
		}
		next := *old
		next.serial = nextSerial(old.serial)
		if own, ok := names[i][""]; ok {
			next.ptr, _ = own.from.(*group)
			delete(names[i], "")
		}
		next.names, _ = old.names.with(sortedItems(names[i]))
		next.setApex(hosts, primary)
		reverse[i] = &next
	}
	return reverse
}
