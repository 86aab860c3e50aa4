// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Bounds of what may be half received.
const (
	// partialTimeout is how long a frame or a body may take to arrive at least, and
	// partialBytesPerSecond how much longer a large one may.
	partialTimeout        = 30 * time.Second
	partialBytesPerSecond = 1000

	// idleTick is how often the bounds above are looked at when there are no heartbeats.
	idleTick = 15 * time.Second
	// silentChecks of the heartbeat interval without an octet mean that the client is gone.
	silentChecks = 2
)

// monitor sends heartbeats and watches for a client that is gone or drips (§4.2.7). It runs on
// the broker's clock: twice in a heartbeat interval.
type monitor struct {
	c        *conn
	interval time.Duration // 0: no heartbeats

	mu      sync.Mutex
	timer   broker.Timer
	stopped bool
	ticks   int
	silent  int

	heard  atomic.Bool // octets came since the last check
	paused atomic.Bool // the socket is not read (connection.blocked)
	// listening: the socket is being read. What waits for the disk meanwhile hears nobody.
	listening atomic.Bool
	partial   atomic.Int64 // deadline of what is half received, ns since 1970; 0: nothing is
}

// start begins the ticks.
func (m *monitor) start(interval time.Duration) {
	m.interval = interval
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer = m.c.door.options.Broker.AfterFunc(m.period(), m.tick)
}

func (m *monitor) period() time.Duration {
	if m.interval == 0 {
		return idleTick
	}
	return min(m.interval/2, idleTick)
}

// stop ends the ticks; one that is running may still append a heartbeat.
func (m *monitor) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	if m.timer != nil {
		m.timer.Stop()
	}
}

func (m *monitor) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	now := m.c.door.options.Broker.Now()
	switch {
	case m.c.out.Err() != nil:
		m.c.block.end() // nobody is there to be held back
		return
	case m.late(now):
		m.c.abortFor("partial frame or body timed out")
		return
	case m.gone():
		m.c.abortFor("missed heartbeats from client")
		return
	}
	if m.interval > 0 && m.quiet(now) {
		// What a read loop has appended that waits for the disk now is as good as a heartbeat.
		if m.c.out.Buffered() == 0 {
			m.c.out.End(wire.AppendHeartbeat(m.c.out.Begin()))
		}
		m.c.out.Flush()
	}
	m.timer.Reset(m.period())
}

// quiet reports whether nothing was written for about half an interval: a tick that comes a little
// early must not wait for the next.
func (m *monitor) quiet(now time.Time) bool {
	return now.Sub(m.c.out.LastWrite()) >= m.interval/2-m.period()/4
}

// hears reports whether a client that is there would be heard.
func (m *monitor) hears() bool { return m.listening.Load() && !m.paused.Load() }

func (m *monitor) late(now time.Time) bool {
	deadline := m.partial.Load()
	return deadline != 0 && now.UnixNano() > deadline && m.hears()
}

// gone reports whether two checks in a row, an interval apart, found that no octet had come.
func (m *monitor) gone() bool {
	if m.interval == 0 {
		return false
	}
	m.ticks++
	if time.Duration(m.ticks)*m.period() < m.interval {
		return false
	}
	m.ticks = 0
	if m.heard.Swap(false) || !m.hears() {
		m.silent = 0
		return false
	}
	m.silent++
	return m.silent >= silentChecks
}

// expect bounds the arrival of a frame that has begun, unless something is awaited already.
func (m *monitor) expect() {
	if m.partial.Load() == 0 {
		m.await(time.Time{}, true)
	}
}

// await bounds the arrival of what the end of a read batch leaves half received: a body by its
// deadline (zero: none), and a frame. Only whole frames move the bound of a frame.
func (m *monitor) await(body time.Time, frame bool) {
	if frame {
		d := m.c.door.options.Broker.Now().Add(
			max(partialTimeout, time.Duration(m.c.frameMax/partialBytesPerSecond)*time.Second))
		if body.IsZero() || d.Before(body) {
			body = d
		}
	}
	switch {
	case !body.IsZero():
		m.partial.Store(body.UnixNano())
	case m.partial.Load() != 0:
		m.partial.Store(0)
	}
}
