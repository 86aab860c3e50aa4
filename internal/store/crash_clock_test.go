// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// simClock is the clock of a simulation: time passes and somebody sets the wall clock when it says so,
// and no timer goes off.
type simClock struct{ setClock }

func newSimClock() *simClock {
	start := time.UnixMilli(1_700_000_000_000)
	return &simClock{setClock{steady: start, wall: start}}
}

func (*simClock) AfterFunc(time.Duration, func()) broker.Timer { return stopped{} }

// stopped is a timer that never goes off.
type stopped struct{}

func (stopped) Stop() bool               { return true }
func (stopped) Reset(time.Duration) bool { return true }

// simTimes are those of a message, in milliseconds since 1970; a time that it does not have is 0.
type simTimes struct{ appended, deadline, due int64 }

// later returns the times moved by some milliseconds.
func (t simTimes) later(ms int64) simTimes {
	t.appended += ms
	if t.deadline != 0 {
		t.deadline += ms
	}
	if t.due != 0 {
		t.due += ms
	}
	return t
}

// tick lets a little time pass, in which now and then somebody sets the wall clock.
func (s *simulation) tick() {
	s.clock.pass(time.Duration(1+s.rng.IntN(20)) * time.Millisecond)
	if s.rng.IntN(25) == 0 {
		s.setWall()
	}
}

// setWall sets the wall clock: by up to two hours, or back to the right time.
func (s *simulation) setWall() {
	jump := time.Duration(s.rng.IntN(4*3_600)-2*3_600) * time.Second
	if s.rng.IntN(4) == 0 {
		jump = s.clock.steady.Sub(s.clock.wall)
	}
	s.clock.wall = s.clock.wall.Add(jump)
}

// stamp notes when a message is appended, and gives it a deadline and a time when it is due, or not.
func (s *simulation) stamp(m *simMessage, to *broker.Message) {
	m.heart.appended = s.clock.steady.UnixMilli()
	if s.rng.IntN(3) == 0 {
		m.heart.deadline = m.heart.appended + 1 + s.rng.Int64N(7_200_000)
	}
	if s.rng.IntN(3) == 0 {
		m.heart.due = m.heart.appended + 1 + s.rng.Int64N(7_200_000)
	}
	to.DeadlineMS, to.DueMS = m.heart.deadline, m.heart.due
	m.wall = m.heart.later(s.clock.wall.Sub(s.clock.steady).Milliseconds())
}

// restart is what happens to the clocks until another process opens the log. From then on the messages
// that are there have other times by the heart's clock, and keep them.
func (s *simulation) restart() {
	s.clock.pass(time.Duration(s.rng.IntN(3_600)) * time.Second)
	if s.rng.IntN(3) == 0 {
		s.setWall() // while it was down
	}
	s.clock.steady = s.clock.wall
	if s.rng.IntN(8) == 0 {
		s.setWall() // between the start of the process and the opening of the log
	}
	opened, shift := s.clock.wall.UnixMilli(), s.clock.wall.Sub(s.clock.steady).Milliseconds()
	for _, m := range s.messages {
		m.heart = m.wall.later(-shift - max(m.wall.appended-opened, 0))
	}
}

// checkTimes holds the times of a message that was read against those that it should have.
func (s *simulation) checkTimes(at broker.LSN, r *broker.Record) {
	s.t.Helper()
	m := s.messages[at]
	if m == nil {
		return // a phantom is reported by others
	}
	if got := (simTimes{r.TimeMS, r.Message.DeadlineMS, r.Message.DueMS}); got != m.heart {
		s.t.Errorf("times, seed %d: message %d has %+v, want %+v", s.seed, at, got, m.heart)
	}
}

// hubClock is the clock of a process under synctest whose wall clock somebody sets.
type hubClock struct {
	clock
	started time.Duration // what the wall clock was ahead of the test's when the process began
	ahead   atomic.Int64  // what it has been set since
}

func (c *hubClock) Now() time.Time { return time.Now().Add(c.started) }

func (c *hubClock) Wall() time.Time { return c.Now().Add(time.Duration(c.ahead.Load())) }

// set sets the wall clock by an hour to or fro, now and then.
func (c *hubClock) set(rng *rand.Rand) {
	if rng.IntN(20) == 0 {
		c.ahead.Add(int64(time.Duration(2*rng.IntN(2)-1) * time.Hour))
	}
}

// next is the clock of the next process.
func (c *hubClock) next() *hubClock {
	return &hubClock{started: c.started + time.Duration(c.ahead.Load())}
}
