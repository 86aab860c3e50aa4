// SPDX-License-Identifier: Apache-2.0

package load

import "encoding/binary"

// source is where the bytes of numbered messages come from. What fill returns is valid until the
// next fill; n is at most capacity.
type source interface {
	capacity() int
	fill(first uint64, n int) []byte
}

// batch is a run of equal pre-encoded messages in one buffer; only the sequence numbers differ.
type batch struct {
	buf    []byte
	stride int
	seqAt  int // offset of the 8-byte sequence number in the body
	hexAt  int // offset of the same number as 16 hexadecimal digits, or -1
}

// messageLayout is one encoded message and the places in it that change.
type messageLayout struct {
	encoded []byte
	seqAt   int
	hexAt   int
}

// newBatch repeats a message as often as batchBytes hold it, and at least once.
func newBatch(m messageLayout) *batch {
	n := max(1, batchBytes/len(m.encoded))
	b := &batch{stride: len(m.encoded), seqAt: m.seqAt, hexAt: m.hexAt}
	b.buf = make([]byte, 0, n*b.stride)
	for range n {
		b.buf = append(b.buf, m.encoded...)
	}
	return b
}

// capacity returns how many messages one fill can hold.
func (b *batch) capacity() int { return len(b.buf) / b.stride }

// fill numbers n messages from first on and returns their bytes, valid until the next fill.
// n is at most capacity.
func (b *batch) fill(first uint64, n int) []byte {
	out := b.buf[:n*b.stride]
	for i, at := 0, b.seqAt; i < n; i, at = i+1, at+b.stride {
		binary.BigEndian.PutUint64(out[at:], first+uint64(i))
	}
	if b.hexAt >= 0 {
		for i, at := 0, b.hexAt; i < n; i, at = i+1, at+b.stride {
			putHex(out[at:at+maxSequenceDigits], first+uint64(i))
		}
	}
	return out
}

// putHex writes v in lower-case hexadecimal, zeros in front, filling dst.
func putHex(dst []byte, v uint64) {
	const digits = "0123456789abcdef"
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = digits[v&15]
		v >>= 4
	}
}
