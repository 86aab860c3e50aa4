// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"strings"
)

// The index file of a segment says where the messages of each queue lie in it. It is made when the
// log has gone on to another segment. It is no part of the promise: one that is missing, or damaged,
// or of another life is made again from the segment.
//
//	0  magic "PRLYIDX1"   12 version            24 number of runs
//	8  CRC32C of 12…      16 life of segment    28 number of entries
//
// Then the runs by queue, 32 bytes each: queue, count, stored, flags (4 bytes each), bytes of the
// bodies (8), nothing (8). Then the entries, run by run, 8 bytes each: LSN less the segment's
// base, and offset in the segment with the mark of volatile messages in its lowest bit.
const (
	indexSuffix    = ".idx"
	indexMagic     = 0x3158_4449_594c_5250 // "PRLYIDX1"
	indexVersion   = 1
	indexHeadBytes = 32
	indexRunBytes  = 32
	entryBytes     = 8
)

func indexName(dir string, number uint64) string {
	return strings.TrimSuffix(segmentName(dir, number), walSuffix) + indexSuffix
}

// encodeIndex returns the bytes of an index file.
func encodeIndex(life uint64, r *runs) []byte {
	n := 0
	for i := range r.list {
		n += int(r.list[i].stored)
	}
	le := binary.LittleEndian
	b := make([]byte, indexHeadBytes, indexHeadBytes+indexRunBytes*len(r.list)+entryBytes*n)
	le.PutUint64(b, indexMagic)
	le.PutUint32(b[12:], indexVersion)
	le.PutUint64(b[16:], life)
	le.PutUint32(b[24:], uint32(len(r.list)))
	le.PutUint32(b[28:], uint32(n))
	for i := range r.list {
		at, facts := &r.list[i], &r.facts[i]
		b = le.AppendUint32(le.AppendUint32(b, at.queue), facts.count)
		b = le.AppendUint32(le.AppendUint32(b, at.stored), facts.flags)
		b = le.AppendUint64(le.AppendUint64(b, facts.bytes), 0)
	}
	for _, entries := range r.entries {
		for _, e := range entries {
			b = le.AppendUint32(le.AppendUint32(b, e.rel), e.place)
		}
	}
	le.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return b
}

// decodeIndex reads the runs of an index file; their entries stay in it. ok is false when it is not
// the sound one of that life.
func decodeIndex(b []byte, life uint64) (r runs, ok bool) {
	le := binary.LittleEndian
	if len(b) < indexHeadBytes || le.Uint64(b) != indexMagic || le.Uint64(b[16:]) != life ||
		le.Uint32(b[12:]) != indexVersion ||
		le.Uint32(b[8:]) != crc32.Checksum(b[12:], castagnoli) {
		return runs{}, false
	}
	n, entries := int64(le.Uint32(b[24:])), int64(le.Uint32(b[28:]))
	if int64(len(b)) != indexHeadBytes+indexRunBytes*n+entryBytes*entries {
		return runs{}, false
	}
	r = runs{list: make([]run, n), facts: make([]runFacts, n)}
	first := uint32(0)
	for i := range r.list {
		at := b[indexHeadBytes+indexRunBytes*i:]
		r.list[i] = run{queue: le.Uint32(at), stored: le.Uint32(at[8:]), first: first}
		r.facts[i] = runFacts{
			count: le.Uint32(at[4:]), flags: le.Uint32(at[12:]), bytes: le.Uint64(at[16:]),
		}
		first += r.list[i].stored
	}
	return r, int64(first) == entries
}

// writeIndex makes the index file of a segment that is not written any more, and lets go of the
// entries in memory.
func (l *File) writeIndex(s *segment) error {
	l.index.mu.RLock()
	b := encodeIndex(s.life, &s.runs)
	l.index.mu.RUnlock()
	f, err := l.createIndex(s, b)
	if err != nil {
		return err
	}
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	s.index, s.runs.facts, s.runs.entries = f, nil, nil
	return nil
}

func (l *File) createIndex(s *segment, b []byte) (Handle, error) {
	fs, name := l.o.FS, indexName(l.o.Dir, s.number)
	f, err := fs.Create(name + tmpSuffix)
	if err != nil {
		return nil, fmt.Errorf("index of a segment: %w", err)
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = fs.Rename(name+tmpSuffix, name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("index of a segment: %w", err), f.Close(),
			fs.Remove(name+tmpSuffix))
	}
	return f, nil
}

// openIndex takes the index file of a segment if it is sound.
func (l *File) openIndex(s *segment) error {
	f, err := l.o.FS.Open(indexName(l.o.Dir, s.number))
	if err != nil {
		return errNoIndex
	}
	size, err := f.Size()
	if err != nil || size > indexHeadBytes+indexShare*s.size {
		return errors.Join(errNoIndex, f.Close())
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		return errors.Join(errNoIndex, f.Close())
	}
	r, ok := decodeIndex(b, s.life)
	if !ok {
		return errors.Join(errNoIndex, f.Close())
	}
	s.runs, s.index = r, f
	return nil
}

// indexShare bounds an index by its segment: a queue id of four bytes in a record makes a run and an
// entry at most.
const indexShare = (indexRunBytes + entryBytes) / 4

// errNoIndex says that a segment has no index file that can be used.
var errNoIndex = errors.New("no index file")

// allEntries returns the entries of a run.
func (s *segment) allEntries(r *run) ([]runEntry, error) {
	return s.someEntries(r, 0, int(r.stored))
}

// someEntries returns n entries of a run from a number on; they are borrowed when they are in
// memory.
func (s *segment) someEntries(r *run, from, n int) ([]runEntry, error) {
	switch {
	case n == 0:
		return nil, nil
	case s.runs.entries != nil:
		return s.runs.entries[s.runs.index(r.queue)][from : from+n], nil
	}
	raw := make([]byte, entryBytes*n)
	at := indexHeadBytes + indexRunBytes*int64(len(s.runs.list)) + entryBytes*int64(int(r.first)+from)
	if _, err := s.index.ReadAt(raw, at); err != nil {
		return nil, fmt.Errorf("index of segment %d: %w", s.number, err)
	}
	out := make([]runEntry, n)
	for i := range out {
		out[i] = readEntry(raw[entryBytes*i:])
	}
	return out, nil
}

func readEntry(b []byte) runEntry {
	return runEntry{
		rel: binary.LittleEndian.Uint32(b), place: binary.LittleEndian.Uint32(b[4:]),
	}
}

// entriesBehind returns the first entries of a run whose LSN is behind rel, at most n of them.
func (s *segment) entriesBehind(r *run, rel int64, n int) ([]runEntry, error) {
	low, high := 0, int(r.stored)
	for low < high {
		middle := (low + high) / 2
		e, err := s.someEntries(r, middle, 1)
		if err != nil {
			return nil, err
		}
		if int64(e[0].rel) > rel {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return s.someEntries(r, low, min(n, int(r.stored)-low))
}

// holds reports whether a run has an entry for a message.
func (s *segment) holds(r *run, rel uint32) bool {
	e, err := s.entriesBehind(r, int64(rel)-1, 1)
	return err == nil && len(e) == 1 && e[0].rel == rel
}

// removeIndex takes the index file of a segment away.
func (l *File) removeIndex(s *segment) error {
	if s.index == nil {
		return nil
	}
	return errors.Join(s.index.Close(), l.o.FS.Remove(path.Clean(indexName(l.o.Dir, s.number))))
}
