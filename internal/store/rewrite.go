// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
)

// survivor is a message of a sparse segment that some queue still needs.
type survivor struct {
	at     runEntry
	queues []uint32
}

// rewriteSegment writes a segment again with only what is not settled, so that one message which
// nobody settles keeps its own bytes on the disk and no others. The numbers of the messages stay; the
// new file has the old one's name, and another life. A start that has an older checkpoint finds
// out by that.
func (l *File) rewriteSegment(s *segment) error {
	list, err := l.survivors(s)
	if err != nil || len(list) == 0 {
		return err
	}
	name := segmentName(l.o.Dir, s.number)
	f, err := l.o.FS.Create(name + tmpSuffix)
	if err != nil {
		return fmt.Errorf("rewrite of a segment: %w", err)
	}
	again := &segment{
		number: s.number, life: l.o.Life(), file: f, rewritten: true, base: s.base, last: s.last,
	}
	if err := l.copySurvivors(s, again, list); err != nil {
		return errors.Join(fmt.Errorf("rewrite of %s: %w", name, err), f.Close(),
			l.o.FS.Remove(name+tmpSuffix))
	}
	return l.replace(s, again)
}

// survivors lists the messages of a segment that are not settled, by offset.
func (l *File) survivors(s *segment) ([]survivor, error) {
	x := &l.index
	queues := make(map[runEntry][]uint32)
	for i := range s.runs.list {
		r := &s.runs.list[i]
		x.mu.RLock()
		live := r.live > 0
		x.mu.RUnlock()
		if !live {
			continue
		}
		entries, err := s.allEntries(r) // without the lock: only this goroutine moves them
		if err != nil {
			return nil, err
		}
		for _, e := range x.waiting(s, r.queue, slices.Clone(entries)) {
			queues[e] = append(queues[e], r.queue)
		}
	}
	list := make([]survivor, 0, len(queues))
	for e, q := range queues {
		list = append(list, survivor{e, q})
	}
	slices.SortFunc(list, func(a, b survivor) int { return cmp.Compare(a.at.rel, b.at.rel) })
	return list, nil
}

// copySurvivors fills the new file, and gives it its name.
func (l *File) copySurvivors(from, to *segment, list []survivor) error {
	to.end = segmentHeadBytes
	b := &batch{buf: make([]byte, frameHeadBytes)}
	frame := frameHead{life: to.life}
	flush := func() error {
		frame.seq++
		frame.synced, frame.count = to.end, b.count
		frame.put(b.buf)
		if _, err := to.file.WriteAt(b.buf, to.end); err != nil {
			return err
		}
		to.end += int64(len(b.buf))
		b.buf, b.count = b.buf[:frameHeadBytes], 0
		return nil
	}
	in := blockReader{segment: from}
	for i, m := range list {
		r, h, err := in.message(l, m.at, list[min(i+readAhead, len(list)-1)].at)
		if err != nil {
			return err
		}
		r.Queues = append(r.Queues[:0], m.queues...)
		p := broker.Publication{
			BodyBytes: len(r.Message.Body), Persistent: r.Message.Persistent,
			Expires: r.Message.Expires || r.Message.DeadlineMS != 0,
		}
		for _, queue := range m.queues {
			to.runs.add(queue, runEntry{m.at.rel, uint32(to.end) + uint32(len(b.buf))}, p)
		}
		b.buf = broker.AppendRecord(b.buf, r, h.RecordMark)
		b.count++
		if len(b.buf) >= l.o.FrameBytes || i == len(list)-1 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	to.runs.seal()
	to.size, to.synced = to.end, to.end
	if _, err := to.file.WriteAt(to.head(), 0); err != nil {
		return err
	}
	return to.file.Sync()
}

// replace puts the new file in the old one's place. What was settled meanwhile is known by number, so
// the runs only get new entries.
func (l *File) replace(s, again *segment) error {
	name := segmentName(l.o.Dir, s.number)
	l.reading.Lock()
	defer l.reading.Unlock()
	err := l.o.FS.Rename(name+tmpSuffix, name)
	if err == nil {
		err = l.o.FS.SyncDir(path.Join(l.o.Dir, walDir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rewrite of %s: %w", name, err), again.file.Close())
	}
	x := &l.index
	x.mu.Lock()
	old, oldIndex := s.file, s.index
	s.file, s.life, s.size, s.end, s.synced = again.file, again.life, again.size, again.end, again.end
	s.rewritten, s.sparse, s.index = true, false, nil
	s.runs.entries = make([][]runEntry, len(s.runs.list))
	s.runs.facts = make([]runFacts, len(s.runs.list))
	first := uint32(0)
	for i := range s.runs.list {
		r := &s.runs.list[i]
		r.first, r.stored = first, 0
		if j := again.runs.index(r.queue); j >= 0 {
			s.runs.entries[i], r.stored = again.runs.entries[j], again.runs.list[j].stored
			s.runs.facts[i] = again.runs.facts[j]
		}
		first += r.stored
	}
	x.mu.Unlock()
	err = old.Close()
	if oldIndex != nil {
		err = errors.Join(err, oldIndex.Close())
	}
	if err != nil {
		return fmt.Errorf("rewrite of %s: %w", name, err)
	}
	return l.writeIndex(s)
}
