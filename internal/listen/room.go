// SPDX-License-Identifier: Apache-2.0

package listen

import "sync/atomic"

// Room bounds the connections of several listeners together, so that they leave descriptors for
// others. A nil Room has no bound.
type Room struct{ left atomic.Int64 }

// NewRoom returns a Room for n connections.
func NewRoom(n int) *Room {
	r := new(Room)
	r.left.Store(int64(n))
	return r
}

// take takes a place, if there is one.
func (r *Room) take() bool {
	if r == nil {
		return true
	}
	if r.left.Add(-1) < 0 {
		r.left.Add(1)
		return false
	}
	return true
}

// give gives a place back.
func (r *Room) give() {
	if r != nil {
		r.left.Add(1)
	}
}
