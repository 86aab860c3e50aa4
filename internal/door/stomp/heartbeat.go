// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// idleTick is how often a connection without heart-beats is looked at.
	idleTick = 10 * time.Second
	// frameTime is how long any frame may take to arrive; a large one gets a second for each
	// frameRate octets of it.
	frameTime = 30 * time.Second
	frameRate = 1 << 10
	// silenceFactor times the agreed interval without an octet is the end of a connection.
	silenceFactor = 2
	// heartBeatMax bounds what a client may ask for.
	heartBeatMax = math.MaxInt32 * time.Millisecond
)

// heartBeat watches one connection: the time to log in, silence, frames that never end, and the
// octets that the client is to see. The read loop only counts; a timer compares.
type heartBeat struct {
	fills   atomic.Uint64 // reads that brought something
	frames  atomic.Uint64
	pending atomic.Int64 // octets of a frame that has not ended
	held    atomic.Bool  // the connection is not read because the hub does not want to
	busy    atomic.Bool  // it is not read because a batch is handled, which may wait for disk or peer

	mu       sync.Mutex
	timer    broker.Timer
	stopped  bool
	loggedIn bool
	every    interval

	// The timer's own.
	began      time.Time
	heard      time.Time // when fills grew last
	moved      time.Time // when frames grew last, or nothing was pending
	lastFills  uint64
	lastFrames uint64
}

// interval is a pair of heart-beat intervals; 0 is none.
type interval struct{ receive, send time.Duration }

// parseHeartBeat reads the header heart-beat "cx,cy": the client can send every cx ms and wants to
// hear something every cy ms (STOMP 1.2, Heart-beating).
func parseHeartBeat(value string) (interval, *fault) {
	x, y, ok := strings.Cut(value, ",")
	cx, errX := strconv.ParseUint(strings.TrimSpace(x), 10, 31)
	cy, errY := strconv.ParseUint(strings.TrimSpace(y), 10, 31)
	if !ok || errX != nil || errY != nil {
		return interval{}, badConnect("Invalid heart-beat header %q\n", shown([]byte(value))).
			of(faultHeartBeat, shown([]byte(value)))
	}
	ms := func(n uint64) time.Duration { return time.Duration(n) * time.Millisecond }
	return interval{receive: ms(cx), send: ms(cy)}, nil
}

// agree raises what a client proposes to the floor; none stays none.
func (i interval) agree(floor time.Duration) interval {
	raise := func(d time.Duration) time.Duration {
		if d == 0 {
			return 0
		}
		return min(max(d, floor), heartBeatMax)
	}
	return interval{receive: raise(i.receive), send: raise(i.send)}
}

// header returns the value for CONNECTED: what the hub sends, and what it wants.
func (i interval) header() string {
	return strconv.FormatInt(i.send.Milliseconds(), 10) + "," +
		strconv.FormatInt(i.receive.Milliseconds(), 10)
}

// startBeat starts the timer with the time to log in.
func (c *conn) startBeat() {
	h, b := &c.beat, c.door.options.Broker
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began = b.Now()
	h.heard, h.moved = h.began, h.began
	h.timer = b.AfterFunc(c.door.options.LoginTimeout, c.tick)
}

// setBeat switches to what was agreed at login.
func (c *conn) setBeat(every interval) {
	h := &c.beat
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loggedIn, h.every = true, every
	now := c.door.options.Broker.Now()
	h.heard, h.moved = now, now
	h.timer.Reset(h.next())
}

// stopBeat stops the timer for good.
func (c *conn) stopBeat() {
	h := &c.beat
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	h.timer.Stop()
}

// next returns when to look again: often enough to send within half the interval, and to notice
// silence soon after twice the interval.
func (h *heartBeat) next() time.Duration {
	next := idleTick
	if h.every.send > 0 {
		next = min(next, h.every.send/4)
	}
	if h.every.receive > 0 {
		next = min(next, h.every.receive/4)
	}
	return max(next, time.Millisecond)
}

// tick is the timer's function.
func (c *conn) tick() {
	h := &c.beat
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	if c.out.Err() != nil && h.held.Load() { // nobody is there to be held back
		c.aborted.Store(true)
		c.signal()
		return
	}
	if f := h.check(c.door.options.Broker.Now()); f != nil {
		c.abort(f, nil)
		c.out.Flush()
		return
	}
	if every := h.every.send; every > 0 && time.Since(c.out.LastWrite()) >= every/4 {
		b, open := c.beginFrame()
		if open && len(b) == 0 {
			b = append(b, '\n')
		}
		c.out.End(b)
		c.out.Flush()
	}
	h.timer.Reset(h.next())
}

// unheard reports whether a client that is there would not be heard.
func (h *heartBeat) unheard() bool { return h.held.Load() || h.busy.Load() }

// check returns why the connection must end, or nil.
func (h *heartBeat) check(now time.Time) *fault {
	if !h.loggedIn {
		return newFault("Login timed out", "no login came in time\n")
	}
	if fills := h.fills.Load(); fills != h.lastFills || h.unheard() {
		h.lastFills, h.heard = fills, now
	}
	if h.every.receive > 0 && now.Sub(h.heard) >= silenceFactor*h.every.receive {
		return newFault("Heart-beat missed", "nothing came for %d ms\n", now.Sub(h.heard).Milliseconds())
	}
	pending := h.pending.Load()
	if frames := h.frames.Load(); frames != h.lastFrames || pending == 0 || h.unheard() {
		h.lastFrames, h.moved = frames, now
	}
	allowed := max(frameTime, time.Duration(pending/frameRate)*time.Second)
	if now.Sub(h.moved) >= allowed {
		return newFault("Frame timed out", "a frame did not end for %d s\n",
			int64(now.Sub(h.moved).Seconds()))
	}
	return nil
}
