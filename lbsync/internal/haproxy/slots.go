package haproxy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// slots say which member has which server of backends whose servers are always the same. They outlive the
// process, because a member keeps its slot as long as it is in: a live server never moves.
type slots struct {
	Backends map[string]*slotMap `json:"backends"`
}

// slotMap is that of one backend. Slots are numbered from 1.
type slotMap struct {
	Size int            `json:"size"`
	Held map[string]int `json:"held"` // by member
	// Freed are the slots that had a member and have none now, the longest freed first; with whose each was.
	Freed []freedSlot `json:"freed,omitempty"`
}

type freedSlot struct {
	Slot int    `json:"slot"`
	Last string `json:"last"`
}

// growBy is what sizes are rounded up to when there are too few slots, since growing takes a reload.
const growBy = 10

// of returns the slots of a backend.
func (s *slots) of(backend string) *slotMap {
	if s.Backends == nil {
		s.Backends = map[string]*slotMap{}
	}
	m := s.Backends[backend]
	if m == nil {
		m = &slotMap{}
		s.Backends[backend] = m
	}
	if m.Held == nil {
		m.Held = map[string]int{}
	}
	return m
}

// assign gives every member a slot, and frees those of others. Slots that never had a member are taken first,
// then those that have been free the longest; busy ones, on which the last member still has sessions, not at
// all. If there are too few, there will be twice as many as members. The names are sorted.
func (m *slotMap) assign(names []string, least int, busy func(slot int) bool) {
	m.Size = max(m.Size, least)
	used := map[int]bool{}
	for _, name := range sortedKeys(m.Held) {
		slot := m.Held[name]
		if _, in := slices.BinarySearch(names, name); !in {
			delete(m.Held, name)
			m.Freed = append(m.Freed, freedSlot{slot, name})
		}
		used[slot] = true
	}
	for _, f := range m.Freed {
		used[f.Slot] = true
	}
	next := 1
	for _, name := range names {
		if m.Held[name] != 0 {
			continue
		}
		for used[next] && next <= m.Size {
			next++
		}
		slot := next
		if next > m.Size {
			i := slices.IndexFunc(m.Freed, func(f freedSlot) bool { return !busy(f.Slot) })
			if i >= 0 {
				slot = m.Freed[i].Slot
				m.Freed = slices.Delete(m.Freed, i, i+1)
			} else {
				m.Size = max(m.Size+1, (2*len(names)+growBy-1)/growBy*growBy)
			}
		}
		used[slot] = true
		m.Held[name] = slot
	}
}

// holders returns the member of each slot, 1 first; empty for one that is free.
func (m *slotMap) holders() []string {
	out := make([]string, m.Size)
	for name, slot := range m.Held {
		if slot >= 1 && slot <= m.Size {
			out[slot-1] = name
		}
	}
	return out
}

// members returns who has each slot, or had it last.
func (m *slotMap) members() map[int]string {
	out := make(map[int]string, len(m.Held)+len(m.Freed))
	for name, slot := range m.Held {
		out[slot] = name
	}
	for _, f := range m.Freed {
		out[f.Slot] = f.Last
	}
	return out
}

func slotName(slot int) string { return fmt.Sprintf("slot%d", slot) }

// slotNumber is the reverse of slotName; 0 for another name.
func slotNumber(name string) int {
	digits, ok := strings.CutPrefix(name, "slot")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 {
		return 0
	}
	return n
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
