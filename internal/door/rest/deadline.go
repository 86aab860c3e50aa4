// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"net"
	"os"
	"sync"
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
	have time.Time // what the connection has; zero: none. It is never later than want.
}

// move says until when reads or writes may take.
func (d *deadline) move(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
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
	return errors.Join(c.reads.move(t), c.writes.move(t))
}

// SetReadDeadline implements net.Conn.
func (c *guardConn) SetReadDeadline(t time.Time) error { return c.reads.move(t) }

// SetWriteDeadline implements net.Conn.
func (c *guardConn) SetWriteDeadline(t time.Time) error { return c.writes.move(t) }

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
	g := &guardConn{Conn: c}
	g.reads.set, g.writes.set = c.SetReadDeadline, c.SetWriteDeadline
	return g
}
