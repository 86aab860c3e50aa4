// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
)

// run is the messages of one queue in one segment. There may be very many, so it is small.
type run struct {
	queue uint32
	// live is the number of messages that are not settled.
	live uint32
	// first is the number of its first entry in the segment's index file, stored the number of its
	// entries.
	first, stored uint32
	// settled are the messages that are done with; nil when none is, or when all are and no more
	// come.
	settled *settledSet
}

// runFacts are what is known of a run beside that until its index file is written, and when it is
// read.
type runFacts struct {
	// count is the number of messages that were written, bytes are those of their bodies.
	count uint32
	flags uint32
	bytes uint64
}

// Flags of a run. The bits are on disk.
const (
	// runVolatile: some of its messages end with their process.
	runVolatile = 1 << iota
	// runExpires: some of its messages expire by themselves.
	runExpires
)

// runEntry says where one message of a run lies.
type runEntry struct {
	// rel is its LSN, less the segment's base.
	rel uint32
	// place is its offset in the segment, a multiple of eight, and entryVolatile.
	place uint32
}

// entryVolatile marks a message that ends with its process.
const entryVolatile = 1

func (e runEntry) offset() int64  { return int64(e.place &^ entryVolatile) }
func (e runEntry) volatile() bool { return e.place&entryVolatile != 0 }

// settle notes that one message is done with, and reports whether it was not before. records is the
// number of LSNs in the segment.
func (r *run) settle(rel, records uint32) bool {
	if r.live == 0 {
		return false
	}
	if r.settled == nil {
		r.settled = new(settledSet)
	}
	if !r.settled.add(rel, records) {
		return false
	}
	r.live--
	return true
}

// drop notes that all messages are done with, and returns how many were not.
func (r *run) drop() int {
	n := int(r.live)
	r.live, r.settled = 0, nil
	return n
}

// waits reports whether a message of the run is not settled.
func (r *run) waits(rel uint32) bool {
	return r.live > 0 && (r.settled == nil || !r.settled.has(rel))
}

// bytesOf estimates the bytes of the bodies of some of a run's messages.
func (f *runFacts) bytesOf(live uint32) int {
	return int(float64(f.bytes) * float64(live) / float64(max(f.count, 1)))
}

// settledSet is a set of LSNs within a segment: a sorted list while that is the shorter form, then a
// bitmap. It takes four bytes per member at most.
type settledSet struct {
	list []uint32
	bits []uint64
}

func (s *settledSet) has(rel uint32) bool {
	if s.bits != nil {
		return int(rel/64) < len(s.bits) && s.bits[rel/64]&(1<<(rel%64)) != 0
	}
	_, found := slices.BinarySearch(s.list, rel)
	return found
}

// add puts a member in, and reports whether it is new. Members are below limit, which may have grown
// since the last call.
func (s *settledSet) add(rel, limit uint32) bool {
	if s.bits == nil && len(s.list) < int(limit/32) {
		i := len(s.list)
		if i > 0 && s.list[i-1] >= rel { // mostly they come in order
			var found bool
			if i, found = slices.BinarySearch(s.list, rel); found {
				return false
			}
		}
		s.list = slices.Insert(s.list, i, rel)
		return true
	}
	if need := int(max(rel, limit)/64) + 1; len(s.bits) < need {
		s.bits = append(s.bits, make([]uint64, need-len(s.bits))...)
	}
	for _, old := range s.list {
		s.bits[old/64] |= 1 << (old % 64)
	}
	s.list = nil
	if s.bits[rel/64]&(1<<(rel%64)) != 0 {
		return false
	}
	s.bits[rel/64] |= 1 << (rel % 64)
	return true
}

// all yields the members in order.
func (s *settledSet) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, rel := range s.list {
			if !yield(rel) {
				return
			}
		}
		for i, word := range s.bits {
			for ; word != 0; word &= word - 1 {
				if !yield(uint32(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// runs are those of one segment, one for each queue. While the segment is written they are found
// through a map; then they are sorted. Facts and entries, where they are in memory, stand beside them.
type runs struct {
	list    []run
	facts   []runFacts        // nil when nobody asks for them any more
	entries [][]runEntry      // nil when they are in the index file
	byQueue map[uint32]uint32 // nil when the list is sorted
	live    int               // of all runs
}

// open reports whether messages are still added.
func (r *runs) open() bool { return r.byQueue != nil }

// find returns the run of a queue, or nil.
func (r *runs) find(queue uint32) *run {
	if i := r.index(queue); i >= 0 {
		return &r.list[i]
	}
	return nil
}

func (r *runs) index(queue uint32) int {
	if r.byQueue != nil {
		if i, ok := r.byQueue[queue]; ok {
			return int(i)
		}
		return -1
	}
	i, ok := slices.BinarySearchFunc(r.list, queue, func(r run, queue uint32) int {
		return cmp.Compare(r.queue, queue)
	})
	if !ok {
		return -1
	}
	return i
}

// add notes a message.
func (r *runs) add(queue uint32, e runEntry, p broker.Publication) {
	if r.byQueue == nil {
		r.byQueue = make(map[uint32]uint32)
	}
	i, ok := r.byQueue[queue]
	if !ok {
		i = uint32(len(r.list))
		r.byQueue[queue] = i
		r.list, r.facts = append(r.list, run{queue: queue}), append(r.facts, runFacts{})
		r.entries = append(r.entries, nil)
	}
	at, facts := &r.list[i], &r.facts[i]
	if !p.Persistent {
		e.place |= entryVolatile
		facts.flags |= runVolatile
	}
	if p.Expires {
		facts.flags |= runExpires
	}
	facts.count++
	facts.bytes += uint64(p.BodyBytes)
	at.stored++
	at.live++
	r.live++
	r.entries[i] = append(r.entries[i], e)
}

// seal sorts the runs by queue: nothing is added any more.
func (r *runs) seal() {
	order := make([]int, len(r.list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(r.list[a].queue, r.list[b].queue) })
	list, entries := make([]run, len(order)), make([][]runEntry, len(order))
	facts := make([]runFacts, len(order))
	first := uint32(0)
	for to, from := range order {
		list[to], entries[to], facts[to] = r.list[from], r.entries[from], r.facts[from]
		list[to].first = first
		if list[to].live == 0 {
			list[to].settled = nil
		}
		first += list[to].stored
	}
	r.list, r.facts, r.entries, r.byQueue = list, facts, entries, nil
}
