// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"
	"strconv"
	"strings"
	"sync/atomic"

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
	segmentHeadUsed = 40
)

// segment is one file of the log.
type segment struct {
	number uint64 // its place in the log, and its name
	life   uint64 // see frameHead
	size   int64
	file   Handle

	// end is where the next frame goes, synced up to where the file is durable. The writer's.
	end, synced int64

	// base is the first LSN that was written here; refs are the records from there on. Records
	// that were moved here are in File.moved.
	base broker.LSN
	refs []recordRef
	// live counts the records that somebody needs, liveBytes their bytes.
	live      int
	liveBytes int64
	// stale says that sound frames lie behind a gap; recovery erases them.
	stale bool
	// guests are the LSNs of records that were moved here.
	guests []broker.LSN
	// hosts says that there are any; Read asks from another goroutine.
	hosts atomic.Bool
	// rolled is the index in refs up to which live records were looked at for moving.
	rolled int
}

// recordRef says where a record lies in its segment and how many queues need it.
type recordRef struct {
	offset, bytes uint32
	queues        uint32
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

// add notes a record that was written here.
func (s *segment) add(at broker.LSN, r recordRef) {
	if len(s.refs) == 0 {
		s.base = at
	}
	for s.base+broker.LSN(len(s.refs)) < at {
		s.refs = append(s.refs, recordRef{})
	}
	s.refs = append(s.refs, r)
	s.count(r)
}

// count notes a record that somebody needs.
func (s *segment) count(r recordRef) {
	if r.queues > 0 {
		s.live++
		s.liveBytes += int64(r.bytes)
	}
}

// discount notes that nobody needs a record any more.
func (s *segment) discount(r recordRef) {
	s.live--
	s.liveBytes -= int64(r.bytes)
}
