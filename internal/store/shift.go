// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// shiftsKept bounds how many times it is remembered that the wall clock was set. When it has been set
	// more often, what was appended after the first of them counts as appended before it.
	shiftsKept = 64
	// shiftStepMS is from what on another difference of the clocks is one.
	shiftStepMS = 100
	// markAge is for how long records get the same time: the clocks are read that seldom.
	markAge = time.Millisecond
)

// shifts is by how much the wall clock was ahead of the heart's when records were appended. The log has
// the times of the first, since an earlier process had another clock; what this process appended is
// given back with the very times that it had, however often the wall clock was set meanwhile.
type shifts struct {
	// list is by LSN; what is in it does not change. The first is that of all earlier processes.
	list []shift
	// What comes before first was appended by earlier processes, up to openedMS by the wall clock.
	first    broker.LSN
	openedMS int64
	// marked is the last mark, of read by the heart's clock.
	marked broker.RecordMark
	read   time.Time
}

type shift struct {
	from broker.LSN
	ms   int64
}

func newShifts(c broker.Clock, first broker.LSN) shifts {
	return shifts{
		list: []shift{{0, broker.ClockShift(c).Milliseconds()}}, first: first,
		openedMS: c.Wall().UnixMilli(),
	}
}

// mark returns the times for a record. A batch may fill for as long as the disk is busy, so each record
// has its own.
func (s *shifts) mark(c broker.Clock, at broker.LSN) broker.RecordMark {
	if now := c.Now(); now.Sub(s.read) >= markAge {
		s.read = now
		s.marked.ShiftMS = s.shift(c, at)
		s.marked.TimeMS = now.UnixMilli() + s.marked.ShiftMS
	}
	s.marked.At = at
	return s.marked
}

// shift returns by how much the wall clock is ahead, and remembers it for records from an LSN on.
func (s *shifts) shift(c broker.Clock, from broker.LSN) int64 {
	now := broker.ClockShift(c).Milliseconds()
	last := s.list[len(s.list)-1]
	if d := now - last.ms; d > -shiftStepMS && d < shiftStepMS {
		return last.ms // but for how long it took to read the clocks
	}
	if len(s.list) == shiftsKept {
		s.list = slices.Delete(slices.Clone(s.list), 1, 2)
	}
	s.list = append(s.list, shift{from, now})
	return now
}

// undo gives a record, as the log has it, its times by the heart's clock. One of the future was appended
// before somebody set the wall clock back, while there was no process: it was appended now.
func (s *shifts) undo(r *broker.Record, at broker.LSN) {
	i := len(s.list) - 1
	for i > 0 && s.list[i].from > at {
		i--
	}
	back := s.list[i].ms
	if at < s.first {
		back += max(r.TimeMS-s.openedMS, 0)
	}
	if back != 0 {
		r.Shift(-back)
	}
}
