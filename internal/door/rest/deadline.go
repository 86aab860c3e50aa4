// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// deadlineTick is how far ahead a deadline is set at most, at first: the next one is later then and
// costs nothing.
const deadlineTick = 5 * time.Second

// deadline is one direction's deadline, set when it has to be. net/http and this door move deadlines
// several times in each request, nearly always further away; each time that is a lock and a timer of
// the runtime. Here a connection's deadline stays where it is until it passes, and who waits then
// looks at the one that is meant.
type deadline struct {
	set func(time.Time) error

	mu   sync.Mutex
	want time.Time // zero: none
	// have is what the connection has; zero: none. It is later than want only after a rest was ended,
	// until the next move.
	have time.Time

	resting bool          // somebody is in rest
	ended   chan struct{} // ends the rest
	timer   *time.Timer   // of the rest; nil before the first
}

// watchTime is how long net/http's look-out for a client that leaves, which is a read of one octet while
// the handler works, rests before it reads. Most handlers have ended by then, and a read that is
// begun and broken off costs a system call, two timers of the poller and a wake-up.
const watchTime = 20 * time.Millisecond

// rest waits for watchTime and reports true, or false when the deadline was moved into the past
// meanwhile. One at a time is in it.
func (d *deadline) rest() bool {
	d.mu.Lock()
	if !d.want.IsZero() && !time.Now().Before(d.want) {
		d.mu.Unlock()
		return false
	}
	d.resting = true
	if d.timer == nil {
		d.ended = make(chan struct{}, 1)
		d.timer = time.NewTimer(watchTime)
	} else {
		d.timer.Reset(watchTime)
	}
	d.mu.Unlock()
	select {
	case <-d.ended:
		d.timer.Stop()
		return false
	case <-d.timer.C:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.resting { // both at once
		<-d.ended
		return false
	}
	d.resting = false
	return true
}

// move says until when reads or writes may take.
func (d *deadline) move(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	if d.resting && !t.IsZero() && !time.Now().Before(t) {
		d.resting = false
		d.ended <- struct{}{} // there is room: it was resting
		return nil
	}
	if t.IsZero() || (!d.have.IsZero() && !d.have.After(t)) {
		return nil
	}
	d.have = t
	if now := time.Now(); t.Sub(now) > deadlineTick {
		d.have = now.Add(deadlineTick)
	}
	return d.set(d.have)
}

// passed is asked after an error: it reports false when that was the connection's deadline and not
// the one that is meant, and sets the next one then: a tick, which may have been left over from
// before, and where that has passed too the one that is meant, for somebody waits.
func (d *deadline) passed(err error, again bool) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if !d.want.IsZero() && !now.Before(d.want) {
		return true
	}
	d.have = d.want
	if tick := now.Add(deadlineTick); !again && (d.want.IsZero() || d.want.After(tick)) {
		d.have = tick
	}
	return d.set(d.have) != nil
}

// SetDeadline implements net.Conn.
func (c *guardConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *guardConn) SetReadDeadline(t time.Time) error { return c.reads.move(t) }

// SetWriteDeadline implements net.Conn.
func (c *guardConn) SetWriteDeadline(t time.Time) error {
	if !c.resumes {
		return c.Conn.SetWriteDeadline(t)
	}
	return c.writes.move(t)
}

// read reads within the deadline that is meant.
func (c *guardConn) read(p []byte) (int, error) {
	for again := false; ; again = true {
		n, err := c.Conn.Read(p)
		if n > 0 || err == nil || c.reads.passed(err, again) {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *guardConn) Write(p []byte) (int, error) {
	if !c.resumes {
		return c.Conn.Write(p)
	}
	sent := 0
	for again := false; ; again = true {
		n, err := c.Conn.Write(p[sent:])
		sent += n
		if err == nil || c.writes.passed(err, again) {
			return sent, err
		}
	}
}

func newGuardConn(c net.Conn) *guardConn {
	g := &guardConn{Conn: c, resumes: resumes(c)}
	g.reads.set, g.writes.set = c.SetReadDeadline, c.SetWriteDeadline
	return g
}

// resumes says whether a write that was cut off by its deadline can go on. Behind TLS it cannot: half a
// record may be out, and crypto/tls gives the same error from then on.
func resumes(c net.Conn) bool {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	_, err := socket.SyscallConn()
	return err == nil
}
