package zone

import (
	"iter"
	"maps"
	"slices"
)

// tree is an immutable sorted map that is cheap to change a little: a list of leaves, of which a change copies only
// those that it writes to, and the list. Two trees of which one was made from the other share the rest, so that their
// difference is found without looking at it. The zero value is empty. The zero value of V means "not there".
type tree[V comparable] struct {
	leaves [][]item[V] // none empty, each sorted, and each wholly before the next
	count  int
}

type item[V comparable] struct {
	key   string
	value V
}

// The sizes of leaves. With 100,000 items a change of one copies 1,000 leaf headers and a hundred items.
const (
	maxLeaf = 128
	minLeaf = 32
)

func (t tree[V]) len() int { return t.count }

// leafOf returns the leaf in which the key belongs; 0 in an empty tree.
func leafOf[V comparable](leaves [][]item[V], key []byte) int {
	lo, hi := 0, len(leaves) // the first leaf that starts after the key
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if leaves[mid][0].key > string(key) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return max(lo-1, 0)
}

// placeIn returns the place of the first item that is not before the key.
func placeIn[V comparable](leaf []item[V], key []byte) int {
	lo, hi := 0, len(leaf)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if leaf[mid].key < string(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// get allocates nothing.
func (t tree[V]) get(key []byte) (value V, ok bool) {
	value, ok, _ = t.find(key)
	return value, ok
}

// find is get for who also wants to know, if the key is not there, whether any key starts with it.
func (t tree[V]) find(key []byte) (value V, ok, prefix bool) {
	if len(t.leaves) == 0 {
		return value, false, false
	}
	i := leafOf(t.leaves, key)
	at := placeIn(t.leaves[i], key)
	if at == len(t.leaves[i]) {
		if i, at = i+1, 0; i == len(t.leaves) {
			return value, false, false
		}
	}
	it := &t.leaves[i][at]
	if len(it.key) < len(key) || it.key[:len(key)] != string(key) {
		return value, false, false
	}
	if len(it.key) == len(key) {
		return it.value, true, true
	}
	return value, false, true
}

// all yields the items in order.
func (t tree[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, leaf := range t.leaves {
			for _, it := range leaf {
				if !yield(it.key, it.value) {
					return
				}
			}
		}
	}
}

// with returns the tree after changes, which are sorted by key and have each key once; a zero value deletes. If that
// changes nothing it is the same tree. The changes are overwritten.
func (t tree[V]) with(changes []item[V]) (next tree[V], changed bool) {
	var zero V
	next.count = t.count
	changes = slices.DeleteFunc(changes, func(c item[V]) bool {
		old, had := t.get([]byte(c.key))
		switch {
		case old == c.value:
			return true
		case !had:
			next.count++
		case c.value == zero:
			next.count--
		}
		return false
	})
	if len(changes) == 0 {
		return t, false
	}
	out := make([][]item[V], 0, len(t.leaves)+len(changes)/maxLeaf+1)
	var small []item[V] // made anew, and too few for a leaf of their own
	put := func(items []item[V]) {
		if items = append(small, items...); len(items) < minLeaf {
			small = items
			return
		}
		small = nil
		for n := (len(items) + maxLeaf - 1) / maxLeaf; n > 0; n-- {
			size := (len(items) + n - 1) / n
			out = append(out, items[:size:size])
			items = items[size:]
		}
	}
	rest := t.leaves
	for len(changes) > 0 {
		i := leafOf(rest, []byte(changes[0].key))
		if i > 0 && small != nil {
			put(rest[0])
			rest, i = rest[1:], i-1
		}
		out, rest = append(out, rest[:i]...), rest[i:]
		var leaf []item[V]
		n := len(changes)
		if len(rest) > 0 {
			leaf, rest = rest[0], rest[1:]
		}
		if len(rest) > 0 {
			n = placeIn(changes, []byte(rest[0][0].key))
		}
		put(merged(leaf, changes[:n]))
		changes = changes[n:]
	}
	if small != nil && len(rest) > 0 {
		put(rest[0])
		rest = rest[1:]
	}
	out = append(out, rest...)
	if len(small) > 0 {
		if len(out) > 0 {
			last := len(out) - 1
			small, out = slices.Concat(out[last], small), out[:last]
		}
		if len(small) > maxLeaf {
			out = append(out, small[:maxLeaf/2:maxLeaf/2])
			small = small[maxLeaf/2:]
		}
		out = append(out, small)
	}
	next.leaves = out
	return next, true
}

// merged returns a new leaf, of any size.
func merged[V comparable](leaf, changes []item[V]) []item[V] {
	var zero V
	out := make([]item[V], 0, len(leaf)+len(changes))
	for _, c := range changes {
		i := placeIn(leaf, []byte(c.key))
		out = append(out, leaf[:i]...)
		if leaf = leaf[i:]; len(leaf) > 0 && leaf[0].key == c.key {
			leaf = leaf[1:]
		}
		if c.value != zero {
			out = append(out, c)
		}
	}
	return append(out, leaf...)
}

// diff yields what differs, in order; a zero value stands for what is not there. What the trees share costs one
// comparison a leaf.
func diff[V comparable](old, now tree[V]) iter.Seq2[string, [2]V] {
	return func(yield func(string, [2]V) bool) {
		a, b := cursor[V]{leaves: old.leaves}, cursor[V]{leaves: now.leaves}
		for {
			if a.at == 0 && b.at == 0 && len(a.leaves) > 0 && len(b.leaves) > 0 && &a.leaves[0][0] == &b.leaves[0][0] {
				a.leaves, b.leaves = a.leaves[1:], b.leaves[1:]
				continue
			}
			x, okX := a.peek()
			y, okY := b.peek()
			var key string
			var pair [2]V
			switch {
			case !okX && !okY:
				return
			case !okY || okX && x.key < y.key:
				key, pair[0] = x.key, x.value
				a.next()
			case !okX || y.key < x.key:
				key, pair[1] = y.key, y.value
				b.next()
			default:
				key, pair = x.key, [2]V{x.value, y.value}
				a.next()
				b.next()
			}
			if pair[0] != pair[1] && !yield(key, pair) {
				return
			}
		}
	}
}

// cursor is a place in a tree.
type cursor[V comparable] struct {
	leaves [][]item[V]
	at     int // in the first leaf
}

func (c *cursor[V]) peek() (item[V], bool) {
	if len(c.leaves) == 0 {
		return item[V]{}, false
	}
	return c.leaves[0][c.at], true
}

func (c *cursor[V]) next() {
	if c.at++; c.at == len(c.leaves[0]) {
		c.leaves, c.at = c.leaves[1:], 0
	}
}

// seek goes on to the key, or to the first one after it, and returns what is there if it is the key.
func (c *cursor[V]) seek(key string) (value V, ok bool) {
	if i := leafOf(c.leaves, []byte(key)); i > 0 {
		c.leaves, c.at = c.leaves[i:], 0
	}
	if len(c.leaves) == 0 {
		return value, false
	}
	if c.at += placeIn(c.leaves[0][c.at:], []byte(key)); c.at == len(c.leaves[0]) {
		c.leaves, c.at = c.leaves[1:], 0
		return value, false
	}
	it := c.leaves[0][c.at]
	return it.value, it.key == key
}

// edit collects changes of a tree, which itself stays as it is. It is used by one goroutine.
type edit[V comparable] struct {
	base    tree[V]
	changed map[string]V
}

func (t tree[V]) edit() *edit[V] { return &edit[V]{base: t, changed: map[string]V{}} }

func (e *edit[V]) get(key string) (V, bool) {
	if v, ok := e.changed[key]; ok {
		var zero V
		return v, v != zero
	}
	return e.base.get([]byte(key))
}

func (e *edit[V]) set(key string, v V) { e.changed[key] = v }

func (e *edit[V]) delete(key string) {
	var zero V
	e.changed[key] = zero
}

// done returns the changed tree, and whether it is another.
func (e *edit[V]) done() (tree[V], bool) { return e.base.with(sortedItems(e.changed)) }

func sortedItems[V comparable](m map[string]V) []item[V] {
	items := make([]item[V], 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		items = append(items, item[V]{k, m[k]})
	}
	return items
}
