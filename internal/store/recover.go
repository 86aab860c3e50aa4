// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/check"
)

// NewFile returns a log that is not open yet: it refuses everything.
func NewFile(o FileOptions) (*File, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	l := &File{o: o, tickets: make(chan *batch, 2), closed: true}
	l.work.L, l.done.L, l.supply.changed.L = &l.mu, &l.mu, &l.supply.mu
	l.ring = l.ringFor(l.o.FirstSegmentBytes)
	l.index, l.told = newIndex(l.format), make(map[broker.Ticket]struct{})
	return l, nil
}

// OpenFile is NewFile and Open.
func OpenFile(o FileOptions) (*File, error) {
	l, err := NewFile(o)
	if err != nil {
		return nil, err
	}
	return l, l.Open()
}

// Open opens the log in its data directory, or makes an empty one. It reads all of it, checks every
// byte, and cuts off what a power loss left of the last write. Damage to anything else is a
// [DamageError]. It is called once.
func (l *File) Open() error {
	wal := path.Join(l.o.Dir, walDir)
	if err := l.o.FS.MakeDir(wal); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := l.o.FS.Lock(path.Join(l.o.Dir, "lock"))
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := l.recover(wal); err != nil {
		l.supply.close()
		return errors.Join(err, l.closeSegments(), lock.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lock, l.closed = lock, false
	l.shifts = newShifts(l.o.Clock, l.last+1)
	return nil
}

func (l *File) format(id broker.FormatID) broker.Format {
	for _, f := range l.o.Formats {
		if f.ID() == id {
			return f
		}
	}
	return nil
}

// recover finds out what the log holds. It changes nothing but what it cuts off, so that it may be
// cut short itself and done again.
func (l *File) recover(wal string) error {
	for _, dir := range []string{path.Dir(l.o.Dir), l.o.Dir} {
		if err := l.o.FS.SyncDir(dir); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	names, err := l.o.FS.List(wal)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	l.supply.size = l.o.FirstSegmentBytes
	for _, name := range names {
		if err := l.openSegment(path.Join(wal, name), name); err != nil {
			return err
		}
	}
	if err := l.removeOrphans(wal, names); err != nil {
		return err
	}
	if err := l.o.FS.SyncDir(wal); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	c, err := l.readCheckpoint()
	if err != nil {
		return err
	}
	if c != nil {
		if err := l.confirm(c); err != nil {
			return err
		}
		if err := l.restore(c); err != nil {
			return err
		}
	}
	return l.scanTail(c)
}

// removeOrphans takes away index files whose segment is gone.
func (l *File) removeOrphans(wal string, names []string) error {
	for _, name := range names {
		segment, ok := strings.CutSuffix(name, indexSuffix)
		if !ok || slices.Contains(names, segment+walSuffix) {
			continue
		}
		if err := l.o.FS.Remove(path.Join(wal, name)); err != nil {
			return fmt.Errorf("index without a segment: %w", err)
		}
	}
	return nil
}

// scanTail reads the frames that no checkpoint covers.
func (l *File) scanTail(c *checkpoint) error {
	first := len(l.covered)
	segments := l.index.segments
	tail := first - 1
	for i := first; i < len(segments); i++ {
		s := segments[i]
		used, err := l.scan(s)
		if err != nil {
			return err
		}
		if used {
			tail = i
		}
	}
	segments, tail = l.passedOver(segments, first, tail)
	if c != nil {
		missed := &DamageError{
			File: segmentName(l.o.Dir, c.replay), Offset: segmentHeadBytes,
			Reason: fmt.Sprintf("the checkpoint says that it was durable up to %d", c.end),
		}
		if len(segments) == first || segments[first].number != c.replay {
			return missed
		}
		if missed.Offset = segments[first].end; missed.Offset < c.end {
			return missed
		}
	}
	if err := l.settleTail(tail); err != nil {
		return err
	}
	return l.index.forget()
}

// passedOver takes the segments without frames out that lie before the tail: they were too small for
// what came next, and the last process did not come to take them away. If they had held anything, the
// numbers of the frames would tell.
func (l *File) passedOver(segments []*segment, first, tail int) (used []*segment, newTail int) {
	used = segments[:first:first]
	for i, s := range segments[first:] {
		if first+i < tail && s.end == segmentHeadBytes && !s.stale {
			l.supply.retired = append(l.supply.retired, s)
			continue
		}
		used = append(used, s)
		if first+i == tail {
			newTail = len(used) - 1
		}
	}
	if tail < first {
		newTail = tail
	}
	l.index.segments = used
	return used, newTail
}

// restore takes over what a checkpoint knows: of the structure, and of the segments before the one
// where reading begins.
func (l *File) restore(c *checkpoint) error {
	x := &l.index
	known := l.adopt(c)
	var covered, tail []*segment
	for _, s := range x.segments {
		switch k := known[s.number]; {
		case s.number >= c.replay:
			tail = append(tail, s)
		case k == nil: // nobody needs it; the last process did not come to take it away
			l.supply.retired = append(l.supply.retired, s)
		default:
			delete(known, s.number)
			if err := l.cover(s, k); err != nil {
				return err
			}
			covered = append(covered, s)
		}
	}
	for number := range known {
		return &DamageError{
			File: segmentName(l.o.Dir, number), Reason: "it is gone, and the checkpoint needs it",
		}
	}
	l.covered, x.segments = covered, slices.Concat(covered, tail)
	return nil
}

// adopt takes over what a checkpoint knows but for the segments, which come back by number.
func (l *File) adopt(c *checkpoint) map[uint64]*checkpointSegment {
	x := &l.index
	l.checkpoints, l.seq, x.last, x.queueID = c.number, c.seq, c.last, c.queueID
	for i := range c.structure {
		x.structure.Apply(&c.structure[i].Meta, c.structure[i].At)
	}
	for i := range c.deliveries {
		noteAttempts(x.attempts, x.suspect, &c.deliveries[i])
	}
	known := make(map[uint64]*checkpointSegment, len(c.segments))
	for i := range c.segments {
		known[c.segments[i].number] = &c.segments[i]
	}
	return known
}

// cover takes over what a checkpoint knows of one segment.
func (l *File) cover(s *segment, k *checkpointSegment) error {
	s.base, s.last = k.base, k.last
	same := s.life == k.life
	if same {
		s.end, s.synced = k.end, k.end
	} else if !s.rewritten {
		return &DamageError{
			File: segmentName(l.o.Dir, s.number), Reason: "it is not the one that the checkpoint needs",
		}
	} else {
		s.end, s.synced = s.size, s.size
	}
	if !same || l.openIndex(s) != nil {
		l.o.Logger.Info("the index of a segment is made again",
			"segment", segmentName(l.o.Dir, s.number))
		if err := l.rebuildIndex(s); err != nil {
			return err
		}
		l.supply.sealed = append(l.supply.sealed, s)
	}
	live := make(map[uint32]*run, len(k.runs))
	for i := range k.runs {
		live[k.runs[i].queue] = &k.runs[i]
	}
	for i := range s.runs.list {
		r := &s.runs.list[i]
		if known := live[r.queue]; known == nil {
			r.drop()
		} else {
			r.live, r.settled = known.live, known.settled
			delete(live, r.queue)
		}
		if !same && r.live > 0 {
			s.recount(r, s.runs.entries[i])
		}
		s.runs.live += int(r.live)
	}
	if same && len(live) > 0 {
		return &DamageError{
			File: segmentName(l.o.Dir, s.number), Reason: "messages that the checkpoint needs are gone",
		}
	}
	return nil
}

// recount finds out which messages of a run wait when the segment was written again after the
// checkpoint: those that are there and were not settled before.
func (s *segment) recount(r *run, entries []runEntry) {
	var waiting []uint32
	for _, e := range entries {
		if r.waits(e.rel) {
			waiting = append(waiting, e.rel)
		}
	}
	r.settled, r.live = new(settledSet), uint32(len(waiting))
	for rel := range s.records() {
		if len(waiting) > 0 && waiting[0] == rel {
			waiting = waiting[1:]
			continue
		}
		r.settled.add(rel, s.records())
	}
	if r.live == 0 {
		r.drop()
	}
}

// rebuildIndex reads all of a segment that a checkpoint covers to find its messages again. Its
// frames must be sound up to the end.
func (l *File) rebuildIndex(s *segment) error {
	name := segmentName(l.o.Dir, s.number)
	s.runs = runs{}
	cursor := frameCursor{segment: s, at: segmentHeadBytes}
	for cursor.at < s.end {
		h, frame, ok, err := cursor.read()
		if err != nil {
			return fmt.Errorf("read of %s: %w", name, err)
		}
		if !ok {
			return &DamageError{File: name, Offset: cursor.at, Reason: "a frame is damaged"}
		}
		if err := s.note(cursor.at+frameHeadBytes, frame[frameHeadBytes:]); err != nil {
			return &DamageError{File: name, Offset: cursor.at, Reason: err.Error()}
		}
		cursor.at += h.bytes
	}
	s.runs.seal()
	s.runs.live = 0
	return nil
}

// note notes the messages among the records of a frame, and in their transactions.
func (s *segment) note(offset int64, b []byte) error {
	for len(b) > 0 {
		h, err := broker.ReadRecordHead(b)
		if err != nil {
			return err
		}
		if h.At < s.base || h.At > s.last {
			return fmt.Errorf("%w: record %d is not of %d to %d", broker.ErrRecordDamaged, h.At, s.base,
				s.last)
		}
		switch h.Type {
		case broker.RecordPublish:
			p, err := broker.ReadPublication(b, h)
			if err != nil {
				return err
			}
			for i := range h.Queues {
				s.runs.add(h.Queue(b, i), runEntry{uint32(h.At - s.base), uint32(offset)}, p)
			}
		case broker.RecordTransaction:
			inner, skip, err := broker.TransactionParts(b[:h.Bytes])
			if err == nil {
				err = s.note(offset+int64(skip), inner)
			}
			if err != nil {
				return err
			}
		default: // the checkpoint knows what they say
		}
		b = b[h.Bytes:]
		offset += int64(h.Bytes)
	}
	return nil
}

// openSegment opens one file of the log; names come in order.
func (l *File) openSegment(file, name string) error {
	if strings.HasSuffix(name, indexSuffix) {
		return nil // it is opened with its segment
	}
	if strings.HasSuffix(name, tmpSuffix) { // a file that was being made
		if err := l.o.FS.Remove(file); err != nil {
			return fmt.Errorf("unfinished file: %w", err)
		}
		return nil
	}
	number, ok := segmentNumber(name)
	if !ok {
		return fmt.Errorf("%s does not belong into a log", file)
	}
	f, err := l.o.FS.Open(file)
	if err != nil {
		return fmt.Errorf("segment: %w", err)
	}
	s := &segment{number: number, file: f}
	l.index.segments = append(l.index.segments, s)
	l.supply.number = number
	return s.readHead(file)
}

// scan reads the frames of a segment. It reports whether there are any.
func (l *File) scan(s *segment) (used bool, err error) {
	name := segmentName(l.o.Dir, s.number)
	s.base, s.last, s.seq = l.index.last+1, l.index.last, l.seq
	cursor := frameCursor{segment: s, at: segmentHeadBytes}
	for {
		h, frame, ok, err := cursor.read()
		if err != nil {
			return used, fmt.Errorf("read of %s: %w", name, err)
		}
		if !ok {
			break
		}
		if want := l.seq + uint64(min(h.count, 1)); h.seq != want {
			return used, &DamageError{File: name, Offset: cursor.at, Reason: fmt.Sprintf(
				"frame %d follows frame %d: what lay between them was durable", h.seq, l.seq)}
		}
		if err := l.index.account(place{s, cursor.at + frameHeadBytes}, frame[frameHeadBytes:]); err != nil {
			return used, &DamageError{File: name, Offset: cursor.at, Reason: err.Error()}
		}
		l.seq, used = h.seq, true
		s.synced = max(s.synced, min(h.synced, cursor.at))
		cursor.at += h.bytes
		if h.count > 0 { // a mark need not be durable, so nobody may count on it
			s.end = cursor.at
		}
	}
	return used, l.checkEnd(s, cursor.at, name)
}

// checkEnd looks behind the frames of a segment, which reach up to from: a later frame that knew the
// bytes at the end to be durable proves that they were damaged since. Others were cut off from what
// came before them by a power loss, and must not come back to life: they are noted for settleTail.
func (l *File) checkEnd(s *segment, from int64, name string) error {
	cursor := frameCursor{segment: s, at: from}
	later, found, err := cursor.search()
	if err != nil {
		return fmt.Errorf("read of %s: %w", name, err)
	}
	for ; found; later, found, err = cursor.search() {
		if later.synced > s.end {
			return &DamageError{File: name, Offset: s.end, Reason: fmt.Sprintf(
				"a frame is damaged that was durable when the one at %d was written", cursor.at)}
		}
		s.stale = true
		cursor.at += frameAlignBytes
	}
	if err != nil {
		return fmt.Errorf("read of %s: %w", name, err)
	}
	return nil
}

// settleTail decides what becomes of the segments when all are read: tail is the last that holds
// frames, what is newer is spare. The log goes on in a fresh segment if there is one: see goOn.
func (l *File) settleTail(tail int) error {
	segments, tailed := l.index.segments, tail >= len(l.covered)
	for i, s := range segments {
		if i < tail && s.runs.open() {
			s.runs.seal()
		}
		if s.stale {
			if i < tail {
				return &DamageError{
					File: segmentName(l.o.Dir, s.number), Offset: s.end,
					Reason: "frames lie behind a gap, and a newer segment says that all were durable",
				}
			}
			if err := s.erase(); err != nil {
				return fmt.Errorf("cut of %s: %w", segmentName(l.o.Dir, s.number), err)
			}
		}
	}
	if tailed {
		s := segments[tail]
		if err := s.rewrite(); err != nil {
			return fmt.Errorf("sync of %s: %w", segmentName(l.o.Dir, s.number), err)
		}
		l.supply.size = max(l.o.FirstSegmentBytes, min(s.size, l.o.LastSegmentBytes))
	}
	l.supply.spares = append(l.supply.spares, segments[tail+1:]...)
	l.index.segments = segments[:tail+1]
	if tailed {
		l.tail = segments[tail]
		l.supply.sealed = append(l.supply.sealed, segments[len(l.covered):tail]...)
	}
	l.covered = nil
	l.mu.Lock()
	l.last = l.index.last
	l.mu.Unlock()
	l.written.Store(uint64(l.last))
	l.synced.Store(uint64(l.last))
	return nil
}

// rewrite makes durable what no frame says to be. After the end of a process it may be on no disk
// yet, and after a sync that failed the system takes it for written: so it is written again.
func (s *segment) rewrite() error {
	buf := make([]byte, min(s.end-s.synced, zeroChunkBytes))
	for at := s.synced; at < s.end; at += int64(len(buf)) {
		part := buf[:min(s.end-at, int64(len(buf)))]
		if _, err := s.file.ReadAt(part, at); err != nil {
			return err
		}
		if _, err := s.file.WriteAt(part, at); err != nil {
			return err
		}
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.synced = s.end
	return nil
}

// erase fills the segment behind its frames with zeros.
func (s *segment) erase() error {
	if check.Bug == check.KeepTornTail {
		return nil
	}
	zeros := make([]byte, min(s.room(), zeroChunkBytes))
	for at := s.end; at < s.size; at += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros[:min(s.size-at, int64(len(zeros)))], at); err != nil {
			return err
		}
	}
	s.stale = false
	return s.file.Sync()
}
