// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// nameTable finds the index of a name: an open hash table that is at most half full. Its seed is
// random, so that no IDL can be written whose names all have one slot.
type nameTable struct {
	names []string
	slots []int32 // index + 1
	seed  maphash.Seed
}

func newNameTable(names []string) nameTable {
	t := nameTable{names: names, seed: maphash.MakeSeed()}
	t.slots = make([]int32, 1<<bits.Len(uint(2*len(names))))
	for i, name := range names {
		at := t.slot([]byte(name))
		for t.slots[at] != 0 {
			at = (at + 1) & (len(t.slots) - 1)
		}
		t.slots[at] = int32(i + 1)
	}
	return t
}

func (t *nameTable) slot(name []byte) int {
	return int(maphash.Bytes(t.seed, name)) & (len(t.slots) - 1)
}

// find returns the index of a name, or -1.
func (t *nameTable) find(name []byte) int {
	for at := t.slot(name); ; at = (at + 1) & (len(t.slots) - 1) {
		i := int(t.slots[at]) - 1
		if i < 0 || t.names[i] == string(name) {
			return i
		}
	}
}

// idTable finds the index of a field id. Ids that lie close together, as nearly all do, are a list.
type idTable struct {
	first int
	dense []int32 // index + 1 of the ids from first on
	ids   []int16 // else: ascending
}

// idGaps is how many ids a list may have for each that is taken, and how many more.
const idGaps, idSlack = 4, 64

func newIDTable(ids []int16) idTable {
	t := idTable{ids: ids}
	if len(ids) == 0 {
		return t
	}
	t.first = int(ids[0])
	span := int(ids[len(ids)-1]) - t.first + 1
	if span <= idGaps*len(ids)+idSlack {
		t.dense = make([]int32, span)
		for i, id := range ids {
			t.dense[int(id)-t.first] = int32(i + 1)
		}
	}
	return t
}

// find returns the index of an id, or -1.
func (t *idTable) find(id int16) int {
	if t.dense != nil {
		if at := int(id) - t.first; uint(at) < uint(len(t.dense)) {
			return int(t.dense[at]) - 1
		}
		return -1
	}
	i, ok := slices.BinarySearch(t.ids, id)
	if !ok {
		return -1
	}
	return i
}
