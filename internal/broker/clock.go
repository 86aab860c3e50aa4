// SPDX-License-Identifier: Apache-2.0

package broker

import "time"

// Clock is the heart's only source of time. Implementations are safe for concurrent use.
//
// All that the heart decides, and every time that it keeps, is by Now: only elapsed time counts, and
// nobody who sets the wall clock makes anything early or late. What people, other processes and the log
// read is by Wall. The two meet where such a time comes in or goes out: [Broker.FromWall],
// [Broker.ToWall], and in the log, which keeps the one and gives back the other.
type Clock interface {
	// Now returns a steady time, with its monotonic reading: it began as the wall clock's, and both of
	// its readings advance with elapsed time alone.
	Now() time.Time
	// Wall returns what the wall clock shows.
	Wall() time.Time
	// AfterFunc calls f in its own goroutine after d.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending AfterFunc.
type Timer interface {
	// Stop reports whether it prevented the call.
	Stop() bool
	// Reset starts it again, d from now.
	Reset(d time.Duration) bool
}

// clockStep is from what on a difference of the two clocks counts: smaller ones come from reading one
// after the other, and times would be rounded to and fro for them.
const clockStep = 100 * time.Millisecond

// ClockShift returns by how much the wall clock of c is ahead of its steady one since it was set, or
// since the machine slept: 0 for most of the time.
func ClockShift(c Clock) time.Duration {
	shift := c.Wall().Round(0).Sub(c.Now().Round(0)) // the readings, not the elapsed time
	if shift.Abs() < clockStep {
		return 0
	}
	return shift.Round(time.Millisecond)
}

// Now returns the time by the heart's clock, which is steady: it is compared with other times of the
// heart, and shown to nobody.
func (b *Broker) Now() time.Time { return b.clock.Now() }

// ToWall returns what the wall clock shows, as far as is known now, at a time of the heart's clock.
func (b *Broker) ToWall(t time.Time) time.Time { return t.Round(0).Add(ClockShift(b.clock)) }

// FromWall returns when, by the heart's clock, the wall clock shows t, if nobody sets it until then.
func (b *Broker) FromWall(t time.Time) time.Time {
	now := b.clock.Now()
	return now.Add(t.Round(0).Add(-ClockShift(b.clock)).Sub(now.Round(0)))
}

// DeadlineOf returns when a call that is delivered ends, by the wall clock, and how much time it has
// left, 0 at least: each hop gets the remaining time (resilience.md). The message has a deadline.
func (b *Broker) DeadlineOf(m *Message) (at time.Time, left time.Duration) {
	end := b.timeOf(m.DeadlineMS)
	return b.ToWall(end), max(end.Sub(b.clock.Now()), 0)
}

// timeOf returns a time of the heart's clock, in milliseconds since 1970, with a monotonic reading: who
// compares it with time.Now compares elapsed time.
func (b *Broker) timeOf(ms int64) time.Time {
	now := b.clock.Now()
	return now.Add(time.UnixMilli(ms).Sub(now.Round(0)))
}
