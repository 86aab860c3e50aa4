// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/parley-ipc/parley/internal/check"
)

// Bodies of LargeBodyBytes and more are not copied on their way: who receives one, the queues that keep
// it and who writes it to a consumer hold the same memory, pooled by size up to 2^maxBodyBits bytes.
// Smaller memory is for who puts a small body together.
const (
	LargeBodyBytes = 64 << 10

	spoiled = 0xdb // what a body is full of that nobody holds

	minBodyBits = 12
	maxBodyBits = 22
)

var bodyPools [maxBodyBits - minBodyBits + 1]sync.Pool

// Body is the memory of a large body. It is given back when nobody holds it any more; then nobody may
// read it. Who made it writes to it until it is published.
type Body struct {
	bytes []byte
	refs  atomic.Int32
}

// NewBody returns memory with room for n bytes or more, held once.
func NewBody(n int) *Body {
	class := bodyClass(n)
	var b *Body
	if class < len(bodyPools) {
		b, _ = bodyPools[class].Get().(*Body)
		n = 1 << (class + minBodyBits)
	}
	if b == nil {
		b = &Body{bytes: make([]byte, n)}
	}
	b.refs.Store(1)
	return b
}

// bodyClass is the pool of memory of n bytes; beyond the last one there is none.
func bodyClass(n int) int { return max(bits.Len(uint(max(n, 1)-1)), minBodyBits) - minBodyBits }

// Bytes returns the memory.
func (b *Body) Bytes() []byte { return b.bytes }

// Retain counts one more holder.
func (b *Body) Retain() { b.refs.Add(1) }

// Release counts one holder less.
func (b *Body) Release() {
	left := b.refs.Add(-1)
	check.Assert(left >= 0, "a body is released more often than retained")
	if left > 0 {
		return
	}
	if check.On { // who reads on sees it
		for i := range b.bytes {
			b.bytes[i] = spoiled
		}
	}
	if class := bodyClass(len(b.bytes)); class < len(bodyPools) {
		bodyPools[class].Put(b)
	}
}
