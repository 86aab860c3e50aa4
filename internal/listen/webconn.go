// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

const (
	// goodbyeTime is what a client has to answer a close in, and to read why it is closed.
	goodbyeTime = time.Second
	// lingerBytes is how much is read and dropped meanwhile.
	lingerBytes = 1 << 20
	// pumpBytes is how much is read at a time.
	pumpBytes = 4 << 10
)

// errEarly ends a connection whose messages before the login are too large together.
var errEarly = errors.New("too much before the login")

// errNotText ends a connection with a text message that is not UTF-8 (RFC 6455 §8.1).
var errNotText = errors.New("a text message is not UTF-8")

// webConn is a WebSocket as a net.Conn. What comes in goes through a pipe, whose deadlines end a
// read and nothing else; those of the library end the connection.
type webConn struct {
	net.Conn          // the near end of the pipe: reads, and their deadlines
	far      net.Conn // the end that the pump writes to
	ws       *websocket.Conn
	raw      *lingering
	kind     atomic.Int32 // of the client's last message, which answers have too
	code     atomic.Int32 // of the good-bye
	bye      sync.Once
	in       atomic.Bool // logged in
	left     atomic.Bool // the good-bye has been said
	early    int         // octets that were read before the login; the pump's

	// Of the request; the handler's.
	user, password string
	basic          bool

	mu   sync.Mutex
	held []byte // the beginning of a character, which the next write ends
}

func newWebConn(ws *websocket.Conn, raw *lingering) *webConn {
	near, far := net.Pipe()
	c := &webConn{Conn: near, far: far, ws: ws, raw: raw}
	c.kind.Store(int32(websocket.MessageText))
	c.code.Store(int32(websocket.StatusNormalClosure))
	return c
}

// loggedIn ends the limits of who has not logged in.
func (c *webConn) loggedIn(messageBytes int64) {
	c.in.Store(true)
	c.password = ""
	c.ws.SetReadLimit(messageBytes)
	if in, ok := c.raw.Conn.(interface{ LoggedIn() }); ok {
		in.LoggedIn()
	}
}

// pump passes on what comes in, until either side ends.
func (c *webConn) pump() {
	defer c.far.Close()
	buffer := make([]byte, pumpBytes)
	for {
		kind, message, err := c.ws.Reader(context.Background())
		if err == nil {
			c.kind.Store(int32(kind))
			err = c.pass(message, kind == websocket.MessageText, buffer)
		}
		if err != nil {
			c.ended(err)
			return
		}
	}
}

// pass passes one message on.
func (c *webConn) pass(message io.Reader, text bool, buffer []byte) error {
	var check characters
	for {
		n, err := message.Read(buffer) // a limit counts what it inflates, piece by piece
		if text && !check.add(buffer[:n]) {
			return errNotText
		}
		if n > 0 {
			if _, err := c.far.Write(buffer[:n]); err != nil {
				return fmt.Errorf("pass message on: %w", err)
			}
			if c.tooEarly(n) {
				return errEarly
			}
		}
		switch {
		case errors.Is(err, io.EOF) && text && check.open():
			return errNotText
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// tooEarly counts octets that the door has taken, and reports whether these are too many for who has
// not logged in. A door that has said good-bye drops what it still takes.
func (c *webConn) tooEarly(n int) bool {
	if c.in.Load() || c.left.Load() {
		return false
	}
	c.early += n
	return c.early > earlyBytes
}

// ended tells the client why no more is read, unless it has left or has been told.
func (c *webConn) ended(err error) {
	var network net.Error
	code := websocket.StatusProtocolError
	switch {
	case errors.Is(err, io.ErrClosedPipe): // the door has closed the connection
		return
	case websocket.CloseStatus(err) != -1, errors.Is(err, io.EOF), errors.As(err, &network),
		errors.Is(err, net.ErrClosed):
		_ = c.ws.CloseNow()
		return
	case errors.Is(err, errNotText):
		code = websocket.StatusInvalidFramePayloadData
	case errors.Is(err, websocket.ErrMessageTooBig), errors.Is(err, errEarly):
		code = websocket.StatusMessageTooBig
	}
	// The library drops what still comes without a bound of its own, and leaves the code that it has
	// sent already.
	c.raw.linger.Store(true)
	_ = c.raw.SetDeadline(time.Now().Add(goodbyeTime))
	_ = c.ws.Close(code, "")
}

// Write sends what is whole of p as one message: as text if the client's last one was text and this
// is, else as binary.
func (c *webConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := p
	if len(c.held) > 0 {
		b = append(c.held, p...)
		c.held = nil
	}
	kind, end := websocket.MessageType(c.kind.Load()), len(b)
	if kind == websocket.MessageText {
		end -= incomplete(b)
		if !utf8.Valid(b[:end]) {
			kind, end = websocket.MessageBinary, len(b)
		}
	}
	if end < len(b) {
		c.held = append([]byte(nil), b[end:]...)
	}
	if end == 0 {
		return len(p), nil
	}
	if err := c.ws.Write(context.Background(), kind, b[:end]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// EndWith sets the code of the good-bye (RFC 6455 §7.4); without it, that is 1000. It counts until
// the good-bye is said.
func (c *webConn) EndWith(code int) { c.code.Store(int32(code)) }

// CloseWrite says good-bye. Reads end when the client has answered.
func (c *webConn) CloseWrite() error {
	c.bye.Do(func() {
		c.left.Store(true)
		code := websocket.StatusCode(c.code.Load())
		go func() { _ = c.ws.Close(code, "") }() // Close bounds it
	})
	return nil
}

// Close ends reads and writes at once; a good-bye still has its second.
func (c *webConn) Close() error {
	_ = c.CloseWrite() // it never fails
	_ = c.raw.SetDeadline(time.Now().Add(goodbyeTime))
	return c.Conn.Close()
}

// SetDeadline implements net.Conn.
func (c *webConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn. A write that passes it ends the connection.
func (c *webConn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }

// RemoteAddr returns the client's address.
func (c *webConn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// LocalAddr returns the hub's address.
func (c *webConn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// Identity returns whom the client's verified certificate names, or nothing.
func (c *webConn) Identity() string { return identity(c.raw.Conn) }

// BasicAuth returns the name and password that the client's request had, until it has logged in; ok
// is false if it had none, or if nobody is to look at them.
func (c *webConn) BasicAuth() (user, password string, ok bool) { return c.user, c.password, c.basic }

// lingering is a connection that may be read on for a moment before it is closed, so that the
// client reads the last frame: data that arrives at a closed socket resets it.
type lingering struct {
	net.Conn

	linger atomic.Bool
}

// Close closes the connection.
func (l *lingering) Close() error {
	if l.linger.Swap(false) && l.SetReadDeadline(time.Now().Add(goodbyeTime)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(l.Conn, lingerBytes)) // any end will do
	}
	return l.Conn.Close()
}

// incomplete returns how many octets at the end of b begin a character that does not end there.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// characters checks that text which comes in pieces is UTF-8.
type characters struct {
	part [utf8.UTFMax]byte
	n    int // octets of part: of a character that has not ended
}

// add takes the next piece and reports whether all is well so far.
func (c *characters) add(p []byte) bool {
	for c.n > 0 && len(p) > 0 {
		c.part[c.n] = p[0]
		c.n++
		p = p[1:]
		if utf8.FullRune(c.part[:c.n]) {
			if !utf8.Valid(c.part[:c.n]) {
				return false
			}
			c.n = 0
		}
	}
	if c.n > 0 {
		return true
	}
	whole := len(p) - incomplete(p)
	c.n = copy(c.part[:], p[whole:])
	return utf8.Valid(p[:whole])
}

// open reports whether the text ends within a character.
func (c *characters) open() bool { return c.n > 0 }
