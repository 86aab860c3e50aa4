// SPDX-License-Identifier: Apache-2.0

package output

// Shared is memory that several hold. Both methods may be called by any goroutine.
type Shared interface {
	// Retain counts one more holder, Release one less; who holds it may read it.
	Retain()
	Release()
}

// share is a piece of shared memory in the middle of a block.
type share struct {
	at    int // it goes before the block's own byte of this index
	bytes []byte
	owner Shared
}

// Shares reports whether Share may be called: it needs a descriptor that takes scattered memory.
func (b *Buffer) Shares() bool { return b.raw != nil && scatters }

// Share puts bytes behind what buf holds, without a copy: owner, whose memory they are, is retained
// until they are written. It is called between Begin and End, only where Shares says so, and pays for
// large pieces. More may be appended to buf behind it.
func (b *Buffer) Share(buf, bytes []byte, owner Shared) {
	owner.Retain()
	b.tail.shares = append(b.tail.shares, share{len(buf), bytes, owner})
	b.tail.shared += len(bytes)
}

// size returns how many bytes the block stands for.
func (k *block) size() int { return len(k.buf) + k.shared }

// trim takes back what was shared behind the first n pieces.
func (k *block) trim(n int) {
	for i := n; i < len(k.shares); i++ {
		k.shared -= len(k.shares[i].bytes)
		k.shares[i].owner.Release()
		k.shares[i] = share{}
	}
	k.shares = k.shares[:n]
}

// pieces appends to dst what the block stands for from an offset on, as far as dst has room.
func (k *block) pieces(dst [][]byte, off int) [][]byte {
	own := 0 // bytes of buf before the piece
	add := func(piece []byte) {
		switch {
		case off >= len(piece):
			off -= len(piece)
		case len(dst) < cap(dst):
			dst = append(dst, piece[off:])
			off = 0
		}
	}
	for i := range k.shares {
		s := &k.shares[i]
		add(k.buf[own:s.at])
		add(s.bytes)
		own = s.at
	}
	add(k.buf[own:])
	return dst
}
