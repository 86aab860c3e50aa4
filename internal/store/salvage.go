// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// SalvageReport is what a salvage found.
type SalvageReport struct {
	// Damage lists what is lost, or may be.
	Damage []*DamageError
	// Queues and Messages count what was copied; a message in two queues counts once.
	Queues, Messages int
}

// Salvage copies what is sound in a data directory that does not open into another, which must be
// new. It changes nothing in the old one. Every message counts as delivered before, and where
// acknowledgements were lost messages that were settled come back.
func Salvage(o FileOptions, to string) (_ *SalvageReport, err error) {
	from, err := NewFile(o)
	if err != nil {
		return nil, err
	}
	lock, err := from.o.FS.Lock(path.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	defer func() {
		from.supply.close()
		err = errors.Join(err, from.closeSegments(), lock.Close())
	}()
	s := salvage{from: from}
	from.index.gaps = true
	if err := s.read(); err != nil {
		return nil, err
	}
	return &s.report, s.copy(o, to)
}

// salvage is one Salvage.
type salvage struct {
	from   *File
	report SalvageReport
}

func (s *salvage) found(g *segment, offset int64, reason string) {
	s.report.Damage = append(s.report.Damage, &DamageError{
		File: segmentName(s.from.o.Dir, g.number), Offset: offset, Reason: reason,
	})
}

// read finds out what is sound.
func (s *salvage) read() error {
	l := s.from
	c, err := l.readCheckpoint()
	if err != nil || c == nil {
		reason := "no checkpoint is sound: what was settled may come back"
		if err != nil {
			reason += ": " + err.Error()
		}
		s.report.Damage = append(s.report.Damage, &DamageError{
			File: checkpointName(l.o.Dir, 0), Reason: reason,
		})
		c = &checkpoint{}
	}
	known := l.adopt(c)
	names, err := l.o.FS.List(path.Join(l.o.Dir, walDir))
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	for _, name := range names {
		number, ok := segmentNumber(name)
		if !ok || strings.HasSuffix(name, indexSuffix) || (number < c.replay && known[number] == nil) {
			continue
		}
		g, err := s.open(number)
		if err != nil {
			return err
		}
		if g == nil {
			continue
		}
		if k := known[number]; k != nil {
			delete(known, number)
			g.base, g.last = k.base, k.last
			s.frames(g, g.note)
			s.settled(g, k)
		} else {
			g.base = l.index.last + 1
			g.last = l.index.last
			s.frames(g, func(offset int64, b []byte) error {
				return l.index.account(place{g, offset}, b)
			})
			g.runs.seal()
		}
	}
	for number := range known {
		s.found(&segment{number: number}, 0, "it is gone, and the checkpoint needs it")
	}
	return l.index.forget()
}

// open opens a segment; nil is one that is damaged as a whole.
func (s *salvage) open(number uint64) (*segment, error) {
	l := s.from
	name := segmentName(l.o.Dir, number)
	f, err := l.o.FS.Open(name)
	if err != nil {
		return nil, fmt.Errorf("segment: %w", err)
	}
	g := &segment{number: number, file: f}
	if err := g.readHead(name); err != nil {
		s.found(g, 0, err.Error())
		if g.life == 0 {
			return nil, f.Close()
		}
		if have, err := f.Size(); err == nil {
			g.size = min(g.size, have) // what a shorter file has is read
		}
	}
	l.index.segments = append(l.index.segments, g)
	return g, nil
}

// frames hands on the records of every sound frame of a segment.
func (s *salvage) frames(g *segment, fn func(offset int64, records []byte) error) {
	cursor := frameCursor{segment: g, at: segmentHeadBytes}
	for {
		h, frame, ok, err := cursor.read()
		if err == nil && !ok {
			at := cursor.at
			if h, ok, err = cursor.search(); ok && err == nil {
				s.found(g, at, fmt.Sprintf("%d bytes are no frames", cursor.at-at))
				frame = cursor.buf
			}
		}
		switch {
		case err != nil:
			s.found(g, cursor.at, err.Error())
			return
		case !ok:
			g.end = cursor.at
			return
		}
		if err := fn(cursor.at+frameHeadBytes, frame[frameHeadBytes:]); err != nil {
			s.found(g, cursor.at, err.Error())
		}
		cursor.at += h.bytes
	}
}

// settled takes over what the checkpoint knows of a segment's messages.
func (s *salvage) settled(g *segment, k *checkpointSegment) {
	g.runs.seal()
	g.runs.live = 0
	for i := range g.runs.list {
		r := &g.runs.list[i]
		j := slices.IndexFunc(k.runs, func(known run) bool { return known.queue == r.queue })
		if j < 0 {
			r.drop()
			continue
		}
		want := k.runs[j].live
		r.settled = k.runs[j].settled
		g.recount(r, g.runs.entries[i])
		g.runs.live += int(r.live)
		if lost := int(want) - int(r.live); lost > 0 && !g.rewritten {
			s.found(g, g.end, fmt.Sprintf("%d messages of queue %d are lost", lost, r.queue))
		}
	}
}

// copy writes what was found into a new data directory.
func (s *salvage) copy(o FileOptions, dir string) error {
	o.Dir, o.OnFatal, o.OnFull = dir, nil, nil
	to, err := OpenFile(o)
	if err != nil {
		return err
	}
	to.Bind(nobody{})
	if to.last != 0 {
		return errors.Join(fmt.Errorf("%s holds a log already", dir), to.Close())
	}
	to.Start()
	for _, m := range s.from.index.structure.All() {
		if m.Kind == broker.MetaQueueDeclare {
			s.report.Queues++
		}
		if _, err := to.Append(&broker.Record{Type: broker.RecordMeta, Meta: &m.Meta}, nil, 0); err != nil {
			return errors.Join(err, to.Close())
		}
	}
	for _, g := range s.from.index.segments {
		if err := s.copySegment(g, to); err != nil {
			return errors.Join(err, to.Close())
		}
	}
	return to.Close()
}

func (s *salvage) copySegment(g *segment, to *File) error {
	list, err := s.from.survivors(g)
	if err != nil {
		return err
	}
	in := blockReader{segment: g}
	for i, m := range list {
		r, _, err := in.message(s.from, m.at, list[min(i+readAhead, len(list)-1)].at)
		if damage, ok := errors.AsType[*DamageError](err); ok {
			s.report.Damage = append(s.report.Damage, damage)
			continue
		}
		if err != nil {
			return err
		}
		r.Queues = append(r.Queues[:0], m.queues...)
		slices.Sort(r.Queues)
		to.Admit()
		if _, err := to.Append(r, nil, 0); err != nil {
			return err
		}
		s.report.Messages++
	}
	return nil
}

// nobody applies nothing.
type nobody struct{}

// Apply implements broker.Applier.
func (nobody) Apply(*broker.Record, broker.LSN) {}
