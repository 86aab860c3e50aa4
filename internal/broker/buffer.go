// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"math/bits"
	"strconv"
	"sync"
)

// Messages that the heart keeps lie in buffers of sizes 2^minBufferBits to 2^maxBufferBits bytes,
// pooled by size; what is larger is left to the garbage collector.
const (
	minBufferBits = 6
	maxBufferBits = 18
)

type buffer struct {
	b     []byte
	class int8 // -1: not pooled
}

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

// getBuffer returns a buffer with a capacity of at least n.
func getBuffer(n int) *buffer {
	if n > 1<<maxBufferBits {
		return &buffer{b: make([]byte, n), class: -1}
	}
	class := max(bits.Len(uint(max(n, 1)-1)), minBufferBits) - minBufferBits
	if b, ok := bufferPools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 1<<(class+minBufferBits)), class: int8(class)}
}

func putBuffer(b *buffer) {
	if b.class >= 0 {
		bufferPools[b.class].Put(b)
	}
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }
