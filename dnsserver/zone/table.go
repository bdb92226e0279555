package zone

import (
	"hash/maphash"
	"maps"
)

// table is an immutable map that is cheap to change a little: it is cut into shards, and an edit copies only the
// shards it writes to. The zero value is empty.
type table[V any] struct {
	shards *[shardCount]map[string]V
	count  int
}

const shardCount = 256

var shardSeed = maphash.MakeSeed()

func shardOf(key []byte) int { return int(maphash.Bytes(shardSeed, key) % shardCount) }

func (t *table[V]) len() int { return t.count }

// get allocates nothing.
func (t *table[V]) get(key []byte) (V, bool) {
	if t.shards == nil {
		var zero V
		return zero, false
	}
	v, ok := t.shards[shardOf(key)][string(key)]
	return v, ok
}

// edit starts a change of the table. The table itself stays as it is.
func (t *table[V]) edit() *tableEdit[V] {
	return &tableEdit[V]{table: *t}
}

// tableEdit is a table under change, owned by one goroutine.
type tableEdit[V any] struct {
	table[V]
	owned [shardCount]bool
	began bool // shards points to our own array
}

func (e *tableEdit[V]) own(key string) map[string]V {
	if !e.began {
		e.began = true
		shards := new([shardCount]map[string]V)
		if e.shards != nil {
			*shards = *e.shards
		}
		e.shards = shards
	}
	i := shardOf([]byte(key))
	if !e.owned[i] {
		e.owned[i] = true
		if e.shards[i] = maps.Clone(e.shards[i]); e.shards[i] == nil {
			e.shards[i] = make(map[string]V)
		}
	}
	return e.shards[i]
}

func (e *tableEdit[V]) set(key string, v V) {
	shard := e.own(key)
	if _, ok := shard[key]; !ok {
		e.count++
	}
	shard[key] = v
}

func (e *tableEdit[V]) delete(key string) {
	if _, ok := e.get([]byte(key)); ok {
		delete(e.own(key), key)
		e.count--
	}
}

// done returns the changed table. The edit must not be used after it.
func (e *tableEdit[V]) done() table[V] { return e.table }
