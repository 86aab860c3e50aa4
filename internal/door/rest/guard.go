// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// Guard returns a listener whose connections are refused with 400 when an HTTP/1 request is framed
// in a way that two readers may read differently, which net/http still accepts: a line of the head
// that ends in LF alone, a CR inside a line, a folded line, Content-Length beside Transfer-Encoding
// (RFC 9112 §2.2, §5.2, §6.3). HTTP/2 and what follows an upgrade pass unread. Its connections are
// behind TLS already, if they are at all.
func Guard(l net.Listener) net.Listener { return guardListener{l} }

type guardListener struct{ net.Listener }

// Accept implements net.Listener.
func (l guardListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newGuardConn(c), nil
}

// guardConn watches what net/http reads. Read is called by one goroutine at a time.
type guardConn struct {
	net.Conn
	reads   deadline
	writes  deadline // if resumes
	resumes bool
	framing framing
	poison  []byte // what net/http reads instead of the rest, when there is a fault
	refused bool
}

// LoggedIn passes on that a request has come, to a listener that bounds the time until then.
func (c *guardConn) LoggedIn() { loggedIn(c.Conn) }

// Identity passes on whom the client's verified certificate names.
func (c *guardConn) Identity() string {
	if known, ok := c.Conn.(interface{ Identity() string }); ok {
		return known.Identity()
	}
	return ""
}

// connKey is where a request's context has its connection.
type connKey struct{}

// requestCame tells the listener that the client is one that asks. Half a request is none, and a
// WebSocket logs in by itself.
func requestCame(r *http.Request) {
	if r.URL.Path == webSocketPath {
		return
	}
	if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		loggedIn(c)
	}
}

func loggedIn(c net.Conn) {
	if l, ok := c.(interface{ LoggedIn() }); ok {
		l.LoggedIn()
	}
}

// poisoned ends any line and begins a header that net/http answers with 400 and a close.
const poisoned = "\r\n\x00:\r\n\r\n"

// Read implements net.Conn.
func (c *guardConn) Read(p []byte) (int, error) {
	if c.refused {
		n := copy(p, c.poison)
		c.poison = c.poison[n:]
		if n == 0 && len(p) > 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	if len(p) == 1 && !c.reads.rest() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.read(p)
	good, ok := c.framing.scan(p[:n])
	if !ok {
		c.refused, c.poison = true, []byte(poisoned)
		if good == 0 {
			return c.Read(p)
		}
		return good, nil
	}
	return n, err
}

// Where a framing stands.
const (
	inHead = iota
	inBody
	inChunkSize
	inChunk
	inChunkEnd
	inTrailer
	inStream // nothing to watch any more
)

// lineMax is how much of a line is kept: enough for the fields that frame a message.
const lineMax = 64

// framing follows the boundaries of HTTP/1 requests.
type framing struct {
	state int
	left  int64 // of a body or chunk

	line    [lineMax]byte
	length  int  // of the line so far, whatever is kept of it
	cr      bool // the last octet was CR
	first   bool // a request line was read
	sized   bool // Content-Length
	chunked bool // Transfer-Encoding
	upgrade bool
	body    int64
}

// scan reads on; it returns how much of b is good, and false at the first fault.
func (f *framing) scan(b []byte) (good int, ok bool) {
	for i := 0; i < len(b); {
		switch f.state {
		case inStream:
			return len(b), true
		case inBody, inChunk:
			n := min(f.left, int64(len(b)-i))
			f.left -= n
			i += int(n)
			if f.left == 0 {
				f.bodyEnds()
			}
		default:
			n, ok := f.whole(b[i:])
			if i += n; !ok {
				return i, false
			}
			if n > 0 {
				continue
			}
			if !f.octet(b[i]) {
				return i, false
			}
			i++
		}
	}
	return len(b), true
}

func (f *framing) bodyEnds() {
	if f.state == inChunk {
		f.state = inChunkEnd
	} else {
		f.next()
	}
}

// next begins the next request.
func (f *framing) next() { *f = framing{state: inHead} }

// whole takes a line that is there from its first octet to its last and has no other CR in it, as nearly
// all have, and returns its size. Where there is a fault, that is where its LF is.
func (f *framing) whole(b []byte) (size int, ok bool) {
	if f.length > 0 || f.cr {
		return 0, true
	}
	end := bytes.IndexByte(b, '\r')
	if end < 0 || end+1 == len(b) || b[end+1] != '\n' || bytes.IndexByte(b[:end], '\n') >= 0 {
		return 0, true
	}
	copy(f.line[:], b[:end])
	f.length = end
	ok = f.lineEnds()
	f.length = 0
	if !ok {
		return end + 1, false
	}
	return end + 2, true
}

// octet takes one octet of a line.
func (f *framing) octet(c byte) bool {
	switch {
	case c == '\n' && !f.cr:
		// In a chunk's own lines net/http refuses it itself, and there the handler answers.
		return f.state != inHead && f.state != inTrailer
	case c == '\n':
		f.cr = false
		ok := f.lineEnds()
		f.length = 0
		return ok
	case f.cr:
		return false
	case c == '\r':
		f.cr = true
		return true
	}
	if f.length < lineMax {
		f.line[f.length] = c
	}
	f.length++
	return true
}

func (f *framing) lineEnds() bool {
	line := f.line[:min(f.length, lineMax)]
	switch f.state {
	case inHead:
		return f.headLine(line)
	case inChunkSize:
		digits, _, _ := bytes.Cut(line, []byte{';'})
		n, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 16, 63)
		switch {
		case err != nil: // net/http refuses it
			f.state = inStream
		case n == 0:
			f.state = inTrailer
		default:
			f.state, f.left = inChunk, n
		}
	case inChunkEnd:
		f.state = inChunkSize
	case inTrailer:
		if f.length == 0 {
			f.next()
		}
	}
	return true
}

func (f *framing) headLine(line []byte) bool {
	switch {
	case !f.first && f.length == 0: // empty lines before a request line are allowed
		return true
	case !f.first:
		f.first = true
		if string(line) == "PRI * HTTP/2.0" {
			f.state = inStream
		}
		return true
	case f.length == 0:
		return f.headEnds()
	case line[0] == ' ' || line[0] == '\t':
		return false
	}
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		n, err := strconv.ParseInt(string(value), 10, 63)
		if err != nil || n < 0 || f.length > lineMax || (f.sized && n != f.body) {
			return false
		}
		f.sized, f.body = true, n
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		f.chunked = true
	case bytes.EqualFold(name, []byte("upgrade")):
		f.upgrade = true
	}
	return true
}

func (f *framing) headEnds() bool {
	switch {
	case f.sized && f.chunked:
		return false
	case f.upgrade:
		f.state = inStream
	case f.chunked:
		f.state = inChunkSize
	case f.body > 0:
		f.state, f.left = inBody, f.body
	default:
		f.next()
	}
	return true
}
