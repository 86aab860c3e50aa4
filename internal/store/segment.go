// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	walDir    = "wal"
	walSuffix = ".wal"
	tmpSuffix = ".tmp"
	// segmentHeadBytes is a disk block of its own, so that no frame shares one with the head.
	segmentHeadBytes = 4_096
	segmentMagic     = 0x314c_4157_594c_5250 // "PRLYWAL1"
	segmentVersion   = 1
	// segmentHeadUsed is what of the head's block holds anything.
	segmentHeadUsed = 48
	// headRewritten is a flag in it.
	headRewritten = 1
)

// segment is one file of the log.
type segment struct {
	number uint64 // its place in the log, and its name
	life   uint64 // see frameHead
	size   int64
	file   Handle
	// rewritten says that the file holds only what was not settled when it was written again.
	rewritten bool

	// end is where the next frame goes, synced up to where the file is durable. The writer's.
	end, synced int64
	// seq is the number of the last frame before this segment. The writer's.
	seq uint64
	// stale says that sound frames lie behind a gap; recovery erases them.
	stale bool

	// base and last are the first and the newest of the LSNs that lie here. What follows is guarded
	// by the index.
	base, last broker.LSN
	runs       runs
	// index is the file with the entries of the runs, or nil while they are in memory.
	index Handle
	// sparse says that little was alive when the log went on to another segment.
	sparse bool
}

func segmentName(dir string, number uint64) string {
	return path.Join(dir, walDir, fmt.Sprintf("%016x%s", number, walSuffix))
}

// segmentNumber returns the number in a file's name.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, walSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && n > 0
}

// head returns the bytes of a segment's head.
func (s *segment) head() []byte {
	b := make([]byte, segmentHeadBytes)
	le := binary.LittleEndian
	le.PutUint64(b, segmentMagic)
	le.PutUint32(b[12:], segmentVersion)
	le.PutUint64(b[16:], s.number)
	le.PutUint64(b[24:], s.life)
	le.PutUint64(b[32:], uint64(s.size))
	if s.rewritten {
		le.PutUint64(b[40:], headRewritten)
	}
	le.PutUint32(b[8:], crc32.Checksum(b[12:segmentHeadUsed], castagnoli))
	return b
}

// readHead fills the segment from its file.
func (s *segment) readHead(name string) error {
	var b [segmentHeadUsed]byte
	if _, err := s.file.ReadAt(b[:], 0); err != nil {
		return &DamageError{File: name, Reason: "its head cannot be read: " + err.Error()}
	}
	le := binary.LittleEndian
	switch {
	case le.Uint64(b[:]) != segmentMagic ||
		le.Uint32(b[8:]) != crc32.Checksum(b[12:], castagnoli):
		return &DamageError{File: name, Reason: "its head is damaged"}
	case le.Uint32(b[12:]) != segmentVersion:
		return fmt.Errorf("%s has format %d; this build reads format %d", name,
			le.Uint32(b[12:]), segmentVersion)
	case le.Uint64(b[16:]) != s.number:
		return &DamageError{
			File: name, Reason: fmt.Sprintf("it is segment %d by its head", le.Uint64(b[16:])),
		}
	}
	s.life, s.size = le.Uint64(b[24:]), int64(le.Uint64(b[32:]))
	s.rewritten = le.Uint64(b[40:])&headRewritten != 0
	have, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", name, err)
	}
	if have != s.size || s.size < segmentHeadBytes || s.size > maxSegmentBytes {
		return &DamageError{
			File: name, Reason: fmt.Sprintf("it has %d bytes instead of %d", have, s.size),
		}
	}
	s.end, s.synced = segmentHeadBytes, segmentHeadBytes
	return nil
}

// maxSegmentBytes is what offsets of 32 bits reach.
const maxSegmentBytes = 1<<32 - 1

// room returns the bytes that are left for frames.
func (s *segment) room() int64 { return s.size - s.end }

// records returns how many LSNs the segment has.
func (s *segment) records() uint32 { return uint32(s.last + 1 - s.base) }

// settle notes that a message of one of its runs is done with. A nil run is no error: the queue has
// nothing here.
func (s *segment) settle(r *run, rel uint32) {
	if r == nil || !r.settle(rel, s.records()) {
		return
	}
	s.runs.live--
	if r.live == 0 && !s.runs.open() {
		r.settled = nil
	}
}

// share returns the part of the segment's messages that is not settled.
func (s *segment) share() float64 {
	count := 0
	for i := range s.runs.list {
		count += int(s.runs.list[i].stored)
	}
	return float64(s.runs.live) / float64(max(count, 1))
}
