package zone

import "iter"

// Name is what a zone holds at one name. Names are compared with ==; if two are equal, so is all that they hold, the
// addresses of targets included. The zero value stands for a name that is not there.
type Name struct {
	shape shape
	from  source
}

// source holds record sets of some types, or builds them.
type source interface{ set(t Type) *RRset }

// shape says which of the source's types are found at a name.
type shape uint8

const (
	shapeEmpty    shape = 1 + iota // exists, and has no records of its own
	shapeDynamic                   // exists, and the server knows what is there
	shapeApex                      // the origin
	shapeNode                      // NODE.node
	shapeHost                      // ns-NODE
	shapeService                   // SERVICE.service, with or without tags
	shapeRFC2782                   // _SERVICE._tcp.service
	shapeTag                       // VALUE.KEY.tag
	shapeBrowse                    // _SERVICE._tcp
	shapeInstance                  // NODE._SERVICE._tcp
	shapePointers                  // an address, or a list of services or domains
)

var shapeTypes = [...][]Type{ // each in order
	shapeApex:     {TypeNS, TypeSOA, TypePTR},
	shapeNode:     {TypeA, TypeTXT, TypeAAAA},
	shapeHost:     {TypeA, TypeAAAA},
	shapeService:  {TypeA, TypeAAAA, TypeSRV},
	shapeRFC2782:  {TypeSRV},
	shapeTag:      {TypeA, TypeAAAA},
	shapeBrowse:   {TypePTR, TypeSRV},
	shapeInstance: {TypeTXT, TypeSRV},
	shapePointers: {TypePTR},
}

// Set returns the records of a type, or nil if there are none.
func (n Name) Set(t Type) *RRset {
	for _, has := range shapeTypes[n.shape] {
		if has == t {
			if set := n.from.set(t); set.Len() > 0 {
				return set
			}
		}
	}
	return nil
}

// Sets yields all sets that have records, ordered by type.
func (n Name) Sets() iter.Seq[*RRset] {
	return func(yield func(*RRset) bool) {
		for _, t := range shapeTypes[n.shape] {
			if set := n.from.set(t); set.Len() > 0 && !yield(set) {
				return
			}
		}
	}
}

// Exists reports whether the name is there, with records or without.
func (n Name) Exists() bool { return n.shape != 0 }

// Dynamic reports whether it is for the server to say what the name holds.
func (n Name) Dynamic() bool { return n.shape == shapeDynamic }

// vacant reports whether the name is one of members, of whom nobody is there.
func (n Name) vacant() bool {
	switch from := n.from.(type) {
	case *node:
		return from.down
	case *group:
		for range from.serving() {
			return false
		}
		return true
	}
	return false
}

// set of the node holds what is at NODE.node.
func (n *node) set(t Type) *RRset {
	if t == TypeTXT {
		return n.txt
	}
	return n.host.set(t)
}

func (h *Host) set(t Type) *RRset {
	switch t {
	case TypeA:
		return h.A
	case TypeAAAA:
		return h.AAAA
	}
	return nil
}

// fixed is a source of one set.
type fixed struct{ only *RRset }

func (f *fixed) set(Type) *RRset { return f.only }

// The fixed names below the origin.
const (
	nodeLabel    = "node"
	serviceLabel = "service"
	tagLabel     = "tag"
	statusLabel  = "status"
	nsPrefix     = "ns-"
)

// fixedNames are there whoever the members are.
func fixedNames(cfg *settings) map[string]Name {
	names := map[string]Name{key(statusLabel): {shape: shapeDynamic}}
	for _, labels := range [][]string{{nodeLabel}, {serviceLabel}, {tagLabel}, {tcpLabel, serviceLabel}, {udpLabel, serviceLabel}, {tcpLabel}} {
		names[key(labels...)] = Name{shape: shapeEmpty}
	}
	for _, l := range browseDomains {
		names[key(l, "_dns-sd", udpLabel)] = Name{shapePointers, &fixed{&RRset{
			Type: TypePTR, TTL: cfg.nodeTTL, Order: OrderStable, Names: []string{cfg.origin.text},
		}}}
	}
	names[catalogKey] = Name{shapePointers, newCatalog(cfg)}
	return names
}

func newCatalog(cfg *settings) *catalog {
	return &catalog{below: "." + tcpLabel + "." + cfg.origin.text, ttl: cfg.sets.ttl}
}
