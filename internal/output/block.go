// SPDX-License-Identifier: Apache-2.0

package output

import "sync"

// Sizes of the blocks that pending bytes are collected in.
const (
	minBlockBytes = 4 << 10
	maxBlockBytes = 256 << 10
	batchClasses  = 4 // 4, 16, 64 and 256 KiB
	classShift    = 2 // each of them is four times the one before

	// Single messages that do not fit have classes of their own, twice the one before and a little
	// more: bodies are often a power of two, and their frames come to it. What is larger still is
	// left to the garbage collector.
	blockClasses   = batchClasses + 3 // 512 KiB, 1 and 2 MiB
	messageBytes   = 512 << 10
	messageSlack   = 16 << 10
	maxPooledBytes = messageBytes<<(blockClasses-batchClasses-1) + messageSlack
)

// block is a piece of output. It is a pointer everywhere, so that a pool takes it without
// allocating an interface value.
type block struct {
	buf    []byte
	shares []share // in the order of their places
	shared int     // bytes of shares
}

// blockPools holds free blocks by size class.
type blockPools [blockClasses]sync.Pool

// pools is shared by all connections: which of them drained last says nothing about which one
// needs a block next. It is a cache whose state no caller can observe.
var pools blockPools //nolint:gochecknoglobals // a cache shared by all connections

// classBytes gives the size of a class.
func classBytes(class int) int {
	if class < batchClasses {
		return minBlockBytes << (classShift * class)
	}
	return messageBytes<<(class-batchClasses) + messageSlack
}

// classFor gives the smallest class that holds n bytes, or blockClasses when none does.
func classFor(n int) int {
	class := 0
	for class < blockClasses && classBytes(class) < n {
		class++
	}
	return class
}

// get returns an empty block that holds at least n bytes.
func (p *blockPools) get(n int) *block {
	class := classFor(n)
	if class == blockClasses {
		return &block{buf: make([]byte, 0, n)}
	}
	if b, ok := p[class].Get().(*block); ok {
		return b
	}
	return &block{buf: make([]byte, 0, classBytes(class))}
}

// put takes a block back, and lets go of what it shares. One that append has moved to an array of
// another size joins the largest class that it can serve.
func (p *blockPools) put(b *block) {
	b.trim(0)
	size := cap(b.buf)
	if size < minBlockBytes || size > maxPooledBytes {
		return
	}
	class := 0
	for class+1 < blockClasses && classBytes(class+1) <= size {
		class++
	}
	b.buf = b.buf[:0]
	p[class].Put(b)
}
