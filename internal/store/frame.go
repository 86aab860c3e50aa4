// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/parley-ipc/parley/internal/check"
)

// A frame holds the records of one batch; doc.go draws it.
const (
	frameHeadBytes  = 48
	frameAlignBytes = 8
	frameMagic      = 0x314d_5246_594c_5250 // "PRLYFRM1"
)

//nolint:gochecknoglobals // a table, never written
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameHead is what stands before the records of a batch.
type frameHead struct {
	// life names the segment; it is drawn anew for each, so that frames of an earlier life of the
	// file, and bytes that a client chose, are no frames of this one.
	life uint64
	// seq grows by one from frame to frame, across segments.
	seq uint64
	// synced is up to which offset this segment was durable when the frame was written.
	synced int64
	// bytes is the length of the whole frame, count the number of its records; a frame without
	// records only tells what was synced.
	bytes int64
	count uint32
}

// put writes the head into the first bytes of a frame whose records stand behind it already.
func (h *frameHead) put(frame []byte) {
	le := binary.LittleEndian
	le.PutUint64(frame, frameMagic)
	le.PutUint32(frame[12:], h.count)
	le.PutUint64(frame[16:], uint64(len(frame)))
	le.PutUint64(frame[24:], h.life)
	le.PutUint64(frame[32:], h.seq)
	le.PutUint64(frame[40:], uint64(h.synced))
	le.PutUint32(frame[8:], crc32.Checksum(frame[12:], castagnoli))
}

// readFrameHead reads a head; ok says that it may be one of this segment, of which room bytes are
// left. The checksum is another question: see sound.
func readFrameHead(b []byte, life uint64, room int64) (h frameHead, ok bool) {
	le := binary.LittleEndian
	if len(b) < frameHeadBytes || le.Uint64(b) != frameMagic || le.Uint64(b[24:]) != life {
		return h, false
	}
	n := le.Uint64(b[16:])
	if n < frameHeadBytes || n%frameAlignBytes != 0 || n > uint64(room) {
		return h, false
	}
	return frameHead{
		life: life, seq: le.Uint64(b[32:]), synced: int64(le.Uint64(b[40:])),
		bytes: int64(n), count: le.Uint32(b[12:]),
	}, true
}

// sound reports whether a whole frame is as it was written.
func sound(frame []byte) bool {
	if check.Bug == check.SkipChecksum {
		return true
	}
	return binary.LittleEndian.Uint32(frame[8:]) == crc32.Checksum(frame[12:], castagnoli)
}
