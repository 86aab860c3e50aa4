// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// nameTable finds the index of a name. It is an open hash table, at most half full, whose
// multiplier is chosen so that no lookup takes more than few steps.
type nameTable struct {
	names []string
	slots []int32 // index + 1
	shift uint8
	mul   uint64
}

// Bounds of the search for a multiplier: how many are tried, and how far a name may be from its
// slot for the search to end at once.
const (
	multipliers = 16
	fewSteps    = 2
)

func newNameTable(names []string) nameTable {
	best, steps := nameTable{}, len(names)+1
	mul := uint64(0x9e3779b97f4a7c15)
	for range multipliers {
		t, worst := fillNameTable(names, mul)
		if worst < steps {
			best, steps = t, worst
		}
		if steps <= fewSteps {
			break
		}
		mul = mul*0xd1342543de82ef95 + 2 // odd stays odd
	}
	return best
}

// fillNameTable also returns how far the worst name is from its slot.
func fillNameTable(names []string, mul uint64) (t nameTable, worst int) {
	log := bits.Len(uint(2 * len(names)))
	t = nameTable{names: names, slots: make([]int32, 1<<log), shift: uint8(64 - log), mul: mul}
	for i, name := range names {
		at, steps := t.slot([]byte(name)), 0
		for ; t.slots[at] != 0; steps++ {
			at = (at + 1) & (len(t.slots) - 1)
		}
		t.slots[at] = int32(i + 1)
		worst = max(worst, steps)
	}
	return t, worst
}

// slot hashes the ends of a name and its length. Names that differ in neither are rare, and only
// cost steps.
func (t *nameTable) slot(name []byte) int {
	var h uint64
	switch n := len(name); {
	case n >= 8:
		h = binary.LittleEndian.Uint64(name) ^
			bits.RotateLeft64(binary.LittleEndian.Uint64(name[n-8:]), 29)
	case n >= 4:
		h = uint64(binary.LittleEndian.Uint32(name)) |
			uint64(binary.LittleEndian.Uint32(name[n-4:]))<<32
	case n > 0:
		h = uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16
	}
	h = (h ^ uint64(len(name))<<56) * t.mul
	return int((h ^ h>>32) * t.mul >> t.shift)
}

// find returns the index of a name, or -1.
func (t *nameTable) find(name []byte) int {
	if len(t.slots) == 0 {
		return -1
	}
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
