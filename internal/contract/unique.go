// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// span is where a key of a map or an element of a set stands in out.
type span struct{ start, end int }

// fewKeys is up to how many keys are compared each with each; more have a hash table.
const fewKeys = 8

// keyTable tells keys that are equal, octet by octet.
type keyTable struct {
	base   int // the first key in t.keys
	hashed bool
}

func (t *Transcoder) newKeyTable(base int) keyTable {
	n := len(t.keys) - base
	if n <= fewKeys {
		return keyTable{base: base}
	}
	if t.seed == (maphash.Seed{}) {
		t.seed = maphash.MakeSeed() // no peer knows it
	}
	size := 1 << bits.Len(uint(2*n))
	if cap(t.slots) < size {
		t.slots = make([]int32, size)
	}
	t.slots = t.slots[:size]
	clear(t.slots)
	return keyTable{base: base, hashed: true}
}

// known reports whether one of the keys between base and i is that one. Otherwise it becomes key i.
func (t *Transcoder) known(table keyTable, i int, key []byte) bool {
	if !table.hashed {
		for j := table.base; j < i; j++ {
			if bytes.Equal(t.key(j), key) {
				return true
			}
		}
		return false
	}
	mask := len(t.slots) - 1
	at := int(maphash.Bytes(t.seed, key)) & mask
	for ; t.slots[at] != 0; at = (at + 1) & mask {
		if bytes.Equal(t.key(table.base+int(t.slots[at])-1), key) {
			return true
		}
	}
	t.slots[at] = int32(i - table.base + 1)
	return false
}

func (t *Transcoder) key(i int) []byte { return t.out[t.keys[i].start:t.keys[i].end] }

// duplicate returns the index in t.keys of the first from base on that is equal to one before it, or
// -1.
func (t *Transcoder) duplicate(base int) int {
	table := t.newKeyTable(base)
	for i := base; i < len(t.keys); i++ {
		if t.known(table, i, t.key(i)) {
			return i
		}
	}
	return -1
}

// dedupe removes from out the elements of a set that are there already, and returns how many are left.
func (t *Transcoder) dedupe(base int) int {
	if len(t.keys) == base {
		return 0
	}
	table := t.newKeyTable(base)
	kept, end := base, t.keys[base].start
	for i := base; i < len(t.keys); i++ {
		key := t.key(i)
		if t.known(table, kept, key) {
			continue
		}
		if kept != i {
			copy(t.out[end:], key)
			t.keys[kept] = span{start: end, end: end + len(key)}
		}
		end = t.keys[kept].end
		kept++
	}
	t.out = t.out[:end]
	return kept - base
}
