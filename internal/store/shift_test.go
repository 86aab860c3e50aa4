// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// setClock is a Clock that stands still; its two clocks are set one by one.
type setClock struct {
	clock
	steady, wall time.Time
}

func (c *setClock) Now() time.Time { return c.steady }

func (c *setClock) Wall() time.Time { return c.wall }

// pass lets time elapse.
func (c *setClock) pass(d time.Duration) {
	c.steady, c.wall = c.steady.Add(d), c.wall.Add(d)
}

// times are those of a message, in seconds after the start of the test.
type times struct{ Appended, Deadline, Due time.Duration }

// shiftLog is a log whose messages have a deadline an hour after they were appended, and are due after
// two.
type shiftLog struct {
	*store.File
	t     *testing.T
	clock *setClock
	start time.Time
}

func (l *shiftLog) open(fs store.FS) {
	l.t.Helper()
	log, err := store.OpenFile(store.FileOptions{Dir: "data", FS: fs, Clock: l.clock})
	if err != nil {
		l.t.Fatal(err)
	}
	log.Bind(applied{})
	log.Start()
	l.File = log
}

type applied struct{}

func (applied) Apply(*broker.Record, broker.LSN) {}

func (l *shiftLog) put() {
	l.t.Helper()
	m := &broker.Message{Body: []byte("x")}
	m.Persistent = true
	m.DeadlineMS = l.clock.steady.Add(time.Hour).UnixMilli()
	m.DueMS = l.clock.steady.Add(2 * time.Hour).UnixMilli()
	r := &broker.Record{Type: broker.RecordPublish, Queues: []uint32{1}, Message: m}
	if _, err := l.Append(r, nil, 0); err != nil {
		l.t.Fatal(err)
	}
	if err := l.Wait(false); err != nil { // the next record has a batch of its own
		l.t.Fatal(err)
	}
}

// declare makes the queue, without which no message outlives its process.
func (l *shiftLog) declare() {
	l.t.Helper()
	declared := broker.Meta{Kind: broker.MetaQueueDeclare, VHost: "/", QueueID: 1}
	declared.Queue.Name, declared.Queue.Durable = "q", true
	if _, err := l.Append(&broker.Record{Type: broker.RecordMeta, Meta: &declared}, nil, 0); err != nil {
		l.t.Fatal(err)
	}
}

// times returns those of the messages as the log gives them back.
func (l *shiftLog) times() (got []times) {
	l.t.Helper()
	after := func(ms int64) time.Duration { return time.UnixMilli(ms).Sub(l.start) }
	err := l.ReadQueue(1, 0, func(_ broker.LSN, r *broker.Record) bool {
		got = append(got, times{
			after(r.TimeMS), after(r.Message.DeadlineMS), after(r.Message.DueMS),
		})
		return true
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

func (l *shiftLog) want(what string, want ...times) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.times()); diff != "" {
		l.t.Errorf("%s: times (-want +got)\n%s", what, diff)
	}
}

// TestClockSet: what a process has appended it reads with the same times, whatever was done to the wall
// clock; the next process goes by that.
func TestClockSet(t *testing.T) {
	t.Parallel()
	for _, jump := range [...]time.Duration{time.Hour, -time.Hour, 50 * 365 * 24 * time.Hour} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			t.Parallel()
			start := time.UnixMilli(1_700_000_000_000)
			c := &setClock{steady: start, wall: start}
			l := &shiftLog{t: t, clock: c, start: start}
			fs := newCrashFS()
			l.open(fs)
			l.declare()
			l.put()
			c.pass(time.Minute)
			c.wall = c.wall.Add(jump)
			l.put()
			c.pass(time.Minute)
			c.wall = c.wall.Add(jump + 7*time.Microsecond) // no time for the clocks to be the same
			l.put()
			at := func(d time.Duration) times { return times{d, d + time.Hour, d + 2*time.Hour} }
			l.want("same process", at(0), at(time.Minute), at(2*time.Minute))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}

			// The next process begins a minute later, by the wall clock.
			c.pass(time.Minute)
			c.steady = c.wall
			l.open(fs)
			opened := c.wall.Sub(start).Round(time.Millisecond)
			want := []times{
				at(min(0, opened)), at(min(jump+time.Minute, opened)),
				at(2*jump + 2*time.Minute),
			}
			l.want("next process", want...)
			c.wall = c.wall.Add(-jump)
			l.put()
			l.want("after another jump", append(want, at(opened))...)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestClockSetOften: however often the wall clock is set, the messages of earlier processes keep their
// times, and so do those that were appended since it was set a few times ago.
func TestClockSetOften(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(1_700_000_000_000)
	c := &setClock{steady: start, wall: start}
	l := &shiftLog{t: t, clock: c, start: start}
	fs := newCrashFS()
	l.open(fs)
	l.declare()
	l.put()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.open(fs)
	const often, few = 100, 50
	want := make([]times, 0, 1+often)
	for i := range 1 + often {
		at := time.Duration(i) * time.Second
		want = append(want, times{at, at + time.Hour, at + 2*time.Hour})
	}
	for range often {
		c.pass(time.Second)
		c.wall = c.wall.Add(time.Minute)
		l.put()
	}
	got := l.times()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	if got[0] != want[0] {
		t.Errorf("of the earlier process: %+v, want %+v", got[0], want[0])
	}
	if diff := cmp.Diff(want[often-few:], got[often-few:]); diff != "" {
		t.Errorf("the last ones: times (-want +got)\n%s", diff)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
