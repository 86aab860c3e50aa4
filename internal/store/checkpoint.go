// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/check"
)

// A checkpoint is what the log knows when it is at a segment: which older segments still hold
// messages that somebody needs, which messages those are, and what stands of durable structure. A
// start reads it, then the frames from that segment on; what they say of older messages is true
// of a checkpoint that knows it already.
//
// There are two files, data/checkpoint.0 and .1, which are written in turn, in place, so that the
// older one stands until the newer one is durable and a full disk has room for both:
//
//	0  magic "PRLYCKP1"   12 version   24 bytes in all
//	8  CRC32C of 12…      16 number of the checkpoint
//
// Then come numbers as varints: the segment, the number of the last frame and the LSN before it, up
// to where the segment was durable, the highest queue id; then as records (internal/broker, record_codec.go) the structure and what is
// known of deliveries; then the older segments and of each the runs with messages that wait.
const (
	checkpointMagic     = 0x3150_4b43_594c_5250 // "PRLYCKP1"
	checkpointVersion   = 1
	checkpointHeadBytes = 32
	checkpointSlots     = 2
	// checkpointStepBytes is what the files grow by.
	checkpointStepBytes = 64 << 10
	maxCheckpointBytes  = 1 << 30
)

// checkpoint is one that was read, or is to be written.
type checkpoint struct {
	number uint64
	raw    []byte // what was read
	// replay is the segment whose frames, and all later ones, are to be read; seq and last are of
	// the frame before.
	replay, seq uint64
	last        broker.LSN
	// end is up to where the replay segment was durable.
	end        int64
	queueID    uint32
	structure  []broker.PlacedMeta
	deliveries []broker.Record
	segments   []checkpointSegment
}

// checkpointSegment is a segment below replay.
type checkpointSegment struct {
	number, life uint64
	end          int64
	base, last   broker.LSN
	runs         []run // only those with live messages; of each queue, live and settled count
}

// snapshot is a checkpoint as bytes, and the segments that nobody needs when it is durable.
type snapshot struct {
	bytes []byte
	dead  []*segment
}

func checkpointName(dir string, slot uint64) string {
	return path.Join(dir, fmt.Sprintf("checkpoint.%d", slot))
}

// append encodes a checkpoint, of segments as they are.
func (c *checkpoint) append(b []byte, segments []*segment) []byte {
	le := binary.LittleEndian
	b = append(b, make([]byte, checkpointHeadBytes)...)
	for _, n := range [...]uint64{
		c.replay, c.seq, uint64(c.last), uint64(c.end), uint64(c.queueID),
	} {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(c.structure)))
	for i := range c.structure {
		m := &c.structure[i]
		r := broker.Record{Type: broker.RecordMeta, Meta: &m.Meta}
		b = broker.AppendRecord(b, &r, broker.RecordMark{At: m.At})
	}
	b = binary.AppendUvarint(b, uint64(len(c.deliveries)))
	for i := range c.deliveries {
		b = broker.AppendRecord(b, &c.deliveries[i], broker.RecordMark{})
	}
	b = binary.AppendUvarint(b, uint64(len(segments)))
	for _, s := range segments {
		b = s.appendState(b)
	}
	le.PutUint64(b, checkpointMagic)
	le.PutUint32(b[12:], checkpointVersion)
	le.PutUint64(b[16:], c.number)
	le.PutUint64(b[24:], uint64(len(b)))
	le.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return b
}

// appendState encodes what a checkpoint says of a segment.
func (s *segment) appendState(b []byte) []byte {
	live := 0
	for i := range s.runs.list {
		if s.runs.list[i].live > 0 {
			live++
		}
	}
	for _, n := range [...]uint64{
		s.number, s.life, uint64(s.end), uint64(s.base), uint64(s.last), uint64(live),
	} {
		b = binary.AppendUvarint(b, n)
	}
	for i := range s.runs.list {
		r := &s.runs.list[i]
		if r.live == 0 {
			continue
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.queue)), uint64(r.live))
		n := len(b)
		b = binary.LittleEndian.AppendUint32(b, 0) // the number of what follows
		if r.settled == nil {
			continue
		}
		count, before := uint32(0), uint32(0)
		for rel := range r.settled.all() {
			b = binary.AppendUvarint(b, uint64(rel-before))
			before = rel
			count++
		}
		binary.LittleEndian.PutUint32(b[n:], count)
	}
	return b
}

// decodeCheckpoint reads one; ok is false when it is not sound.
func decodeCheckpoint(
	b []byte, format func(broker.FormatID) broker.Format,
) (c *checkpoint, ok bool, err error) {
	le := binary.LittleEndian
	if len(b) < checkpointHeadBytes || le.Uint64(b) != checkpointMagic {
		return nil, false, nil
	}
	n := le.Uint64(b[24:])
	if n < checkpointHeadBytes || n > uint64(len(b)) ||
		le.Uint32(b[8:]) != crc32.Checksum(b[12:n], castagnoli) {
		return nil, false, nil
	}
	if v := le.Uint32(b[12:]); v != checkpointVersion {
		return nil, false, fmt.Errorf("the checkpoint has format %d; this build reads format %d", v,
			checkpointVersion)
	}
	c = &checkpoint{number: le.Uint64(b[16:]), raw: b[:n]}
	in := checkpointReader{b: b[checkpointHeadBytes:n], format: format}
	c.replay, c.seq, c.last = in.number(), in.number(), broker.LSN(in.number())
	c.end, c.queueID = int64(in.number()), uint32(in.number())
	for range in.count() {
		in.record(func(r *broker.Record, at broker.LSN) {
			if r.Type == broker.RecordMeta {
				c.structure = append(c.structure, broker.PlacedMeta{Meta: *r.Meta, At: at})
			}
		})
	}
	for range in.count() {
		in.record(func(r *broker.Record, _ broker.LSN) {
			c.deliveries = append(c.deliveries, *r.Clone())
		})
	}
	for range in.count() {
		c.segments = append(c.segments, in.segment())
	}
	return c, !in.bad, nil
}

// checkpointReader reads fields one after the other; after the first that is not there bad is set.
type checkpointReader struct {
	b      []byte
	bad    bool
	format func(broker.FormatID) broker.Format
}

func (in *checkpointReader) number() uint64 {
	v, n := binary.Uvarint(in.b)
	if n <= 0 || in.bad {
		in.bad = true
		return 0
	}
	in.b = in.b[n:]
	return v
}

// count reads how many things follow; each takes a byte at least.
func (in *checkpointReader) count() int {
	n := in.number()
	if n > uint64(len(in.b)) {
		in.bad = true
		return 0
	}
	return int(n)
}

// record passes on one record; what it holds is borrowed.
func (in *checkpointReader) record(fn func(*broker.Record, broker.LSN)) {
	if in.bad {
		return
	}
	d := broker.RecordDecoder{Format: in.format}
	r, h, err := d.Decode(in.b)
	if err != nil {
		in.bad = true
		return
	}
	fn(r, h.At)
	in.b = in.b[h.Bytes:]
}

func (in *checkpointReader) segment() checkpointSegment {
	s := checkpointSegment{
		number: in.number(), life: in.number(), end: int64(in.number()),
		base: broker.LSN(in.number()), last: broker.LSN(in.number()),
	}
	limit := uint32(s.last + 1 - s.base)
	for range in.count() {
		r := run{queue: uint32(in.number()), live: uint32(in.number())}
		if len(in.b) < 4 {
			in.bad = true
			return s
		}
		n := binary.LittleEndian.Uint32(in.b)
		in.b = in.b[4:]
		if n > 0 {
			r.settled = new(settledSet)
		}
		rel := uint32(0)
		for range n {
			rel += uint32(in.number())
			if in.bad || rel >= limit {
				in.bad = true
				return s
			}
			r.settled.add(rel, limit)
		}
		s.runs = append(s.runs, r)
	}
	return s
}

// readCheckpoint returns the newest sound checkpoint, or nil when there is none.
func (l *File) readCheckpoint() (*checkpoint, error) {
	var newest *checkpoint
	for slot := range uint64(checkpointSlots) {
		name := checkpointName(l.o.Dir, slot)
		f, err := l.o.FS.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was not made yet; a segment that is missed tells otherwise
		}
		if err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
		l.supply.slots[slot].file = f
		size, err := f.Size()
		if err != nil {
			return nil, fmt.Errorf("size of %s: %w", name, err)
		}
		if size > maxCheckpointBytes {
			return nil, &DamageError{File: name, Reason: fmt.Sprintf("it has %d bytes", size)}
		}
		l.supply.slots[slot].size = size
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
			return nil, fmt.Errorf("read of %s: %w", name, err)
		}
		c, ok, err := decodeCheckpoint(b, l.format)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case ok && (newest == nil || c.number > newest.number):
			newest = c
		}
	}
	return newest, nil
}

// confirm makes sure that a checkpoint which was read is on the disk, before anything goes that an
// older one needs. As with the last frames, what a process that ended had written may be on no disk,
// and after a sync that failed the system takes it for written.
func (l *File) confirm(c *checkpoint) error {
	if err := l.writeCheckpoint(c.raw); err != nil {
		return err
	}
	c.raw = nil
	return nil
}

// slot is one of the two files of checkpoints.
type slot struct {
	file Handle
	size int64
}

// snapshot takes a checkpoint of the log at the segment that is written. Everything written must be
// durable. The segments that nobody needs leave the index: they go when the checkpoint is durable.
func (l *File) snapshot() snapshot {
	l.checkpoints++
	c := checkpoint{
		number: l.checkpoints, replay: l.current.number, seq: l.current.seq,
		last: l.current.base - 1, end: l.current.end,
	}
	var dead []*segment
	x := &l.index
	x.mu.Lock()
	early := check.Bug == check.FreeSegmentEarly && len(x.segments) > segmentsKept
	oldest := x.segments[0]
	x.segments = slices.DeleteFunc(x.segments, func(s *segment) bool {
		if freed := early && s == oldest; s == l.current || (s.runs.live > 0 && !freed) {
			return false
		}
		dead = append(dead, s)
		return true
	})
	x.mu.Unlock()
	x.mu.RLock()
	defer x.mu.RUnlock()
	c.queueID, c.structure = x.queueID, x.structure.All()
	c.deliveries = x.deliveries()
	older := x.segments[:len(x.segments)-1] // the last is written
	b := c.append(make([]byte, 0, l.checkpointBytes), older)
	l.checkpointBytes = len(b) + len(b)/8
	return snapshot{bytes: b, dead: dead}
}

// deliveries returns what is known of deliveries, as records.
func (x *index) deliveries() []broker.Record {
	out := make([]broker.Record, 0, len(x.attempts)+len(x.suspect))
	for queue, attempts := range x.attempts {
		r := broker.Record{Type: broker.RecordDelivery, Queues: []uint32{queue}}
		for at, n := range attempts {
			r.At, r.Attempts = append(r.At, at), append(r.Attempts, n)
		}
		out = append(out, r)
	}
	for queue, at := range x.suspect {
		out = append(out, broker.Record{
			Type: broker.RecordDelivery, Queues: []uint32{queue}, At: []broker.LSN{at},
			Attempts: []uint32{0},
		})
	}
	return out
}

// writeCheckpoint makes a checkpoint durable, in the slot of its number.
func (l *File) writeCheckpoint(b []byte) error {
	i := binary.LittleEndian.Uint64(b[16:]) % checkpointSlots
	at, name := &l.supply.slots[i], checkpointName(l.o.Dir, i)
	if at.file == nil {
		f, err := l.o.FS.Create(name)
		if err == nil {
			err = errors.Join(l.o.FS.SyncDir(l.o.Dir))
		}
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		at.file = f
	}
	if grown := int64(len(b)) - at.size; grown > 0 {
		// Room is taken before anything is overwritten, and some more than is needed now.
		step := (grown + checkpointStepBytes) / checkpointStepBytes * checkpointStepBytes
		if _, err := at.file.WriteAt(make([]byte, step), at.size); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		at.size += step
	}
	if _, err := at.file.WriteAt(b, 0); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := at.file.Sync(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
