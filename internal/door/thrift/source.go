// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

var (
	// errSlow ends a connection whose message has begun and does not end.
	errSlow = errors.New("a message took too long")
	// errStopped ends the reading of a connection that the hub ends.
	errStopped = errors.New("the hub ends the connection")
)

// idleError ends a read during which nothing came for a while, and nothing had begun.
type idleError struct{}

func (idleError) Error() string { return "nothing came" }

// Timeout tells a Stream that it may be read on.
func (idleError) Timeout() bool { return true }

// zlibTailBytes may follow the last octet of a message in a stream of zlib: the marker of its flush.
const zlibTailBytes = 16

// source is what a connection's Stream reads from. It bounds the time of a message from its first
// octet, and notices when there is none for long. It belongs to who reads the connection.
type source struct {
	conn    net.Conn
	stream  *wire.Stream
	limit   time.Duration // of a message
	idle    time.Duration // after it without one the buffers are given back
	stopped *atomic.Bool  // the connection ends

	first  byte // read while there were no buffers
	waits  bool // first has not been given out
	begun  time.Time
	since  int       // octets since the last whole message
	armed  time.Time // when a read ends at the latest
	inSlow bool      // armed is the end of a message that has begun
}

// await waits for the first octet of a message without a buffer for it, and returns it.
func (s *source) await() (byte, error) {
	if s.waits {
		return s.first, nil
	}
	s.arm(time.Time{}, false)
	for {
		if s.stopped.Load() {
			return 0, errStopped
		}
		var one [1]byte
		n, err := s.conn.Read(one[:])
		if n > 0 {
			s.first, s.waits = one[0], true
			return s.first, nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
	}
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.waits {
		s.waits = false
		p[0] = s.first
		s.since++
		return 1, nil
	}
	for {
		now := time.Now()
		if s.partial() {
			if s.begun.IsZero() {
				s.begun = now
			}
			most := max(s.limit, time.Duration(s.stream.Buffered()/messageRate)*time.Second)
			s.arm(s.begun.Add(most), true)
		} else if s.inSlow || s.armed.Sub(now) < s.idle {
			s.arm(now.Add(2*s.idle), false)
		}
		if s.stopped.Load() { // whoever stops it sets the deadline after that
			return 0, errStopped
		}
		n, err := s.conn.Read(p)
		s.since += n
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		switch {
		case s.stopped.Load():
			return 0, errStopped
		case s.inSlow:
			return 0, errSlow
		case !s.stream.Inflating() && time.Since(s.armed) >= 0:
			return 0, idleError{} // a stream of zlib keeps what it has
		}
		s.armed = time.Time{}
	}
}

// partial reports whether a message has begun.
func (s *source) partial() bool {
	return s.stream.Buffered() > 0 || s.stream.Inflating() && s.since > zlibTailBytes ||
		!s.stream.Inflating() && s.since > 0
}

// whole notes the end of a message.
func (s *source) whole() { s.begun, s.since = time.Time{}, 0 }

// arm sets when reads end; they end never where that is zero.
func (s *source) arm(at time.Time, slow bool) {
	if at.Equal(s.armed) && slow == s.inSlow {
		return
	}
	s.armed, s.inSlow = at, slow
	_ = s.conn.SetReadDeadline(at) // fails only on a closed connection
}
