// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"time"
)

// framing says where the body of an answer ends (RFC 9112 §6.3).
type framing uint8

const (
	framedNone   framing = iota // there is none
	framedLength                // after so many bytes
	framedChunks                // with a chunk of size 0
	framedClose                 // with the connection
)

// answerBody is the body of an answer, read from its connection. Close gives that back.
type answerBody struct {
	c      *conn
	frame  framing
	left   int64 // of the body, or of the chunk
	begun  bool  // a chunk was read
	stall  time.Duration
	err    error // how it ended; io.EOF is well
	closed bool

	trailer map[string][]string // nil: none
}

// Trailer implements broker.Trailer.
func (b *answerBody) Trailer() map[string][]string { return b.trailer }

// start frames the body of the answer whose head was read.
func (b *answerBody) start(method string, stall time.Duration) {
	h := &b.c.head
	*b = answerBody{c: b.c, stall: stall}
	switch {
	case method == "HEAD", h.code == 204, h.code == 304, h.length == 0:
		b.err = io.EOF
	case h.chunked:
		b.frame = framedChunks
	case h.length > 0:
		b.frame, b.left = framedLength, h.length
	default:
		b.frame, h.close = framedClose, true
	}
}

var errBodyClosed = errors.New("http: read of a body that is closed")

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, errBodyClosed
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	if b.stall > 0 { // it streams: only standing still ends it
		b.c.Extend(time.Now().Add(b.stall))
	}
	n, err := b.next(p)
	if err != nil {
		b.err = err
	}
	return n, err
}

func (b *answerBody) next(p []byte) (int, error) {
	if b.frame == framedChunks && b.left == 0 {
		if err := b.chunk(); err != nil {
			return 0, err
		}
	}
	if b.frame != framedClose {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.take(p)
	b.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && b.frame != framedClose:
		err = io.ErrUnexpectedEOF
	case err == nil && b.frame == framedLength && b.left == 0:
		err = io.EOF
	}
	return n, err
}

// take reads what is there already, or from the connection past the buffer.
func (b *answerBody) take(p []byte) (int, error) {
	c := b.c
	if c.at < c.end {
		n := copy(p, c.buf[c.at:c.end])
		c.at += n
		return n, nil
	}
	if len(p) >= len(c.buf) {
		return c.Read(p)
	}
	if err := c.fill(); err != nil {
		return 0, err
	}
	n := copy(p, c.buf[c.at:c.end])
	c.at += n
	return n, nil
}

// chunk reads the line before a chunk, and after the last one the trailers.
func (b *answerBody) chunk() error {
	if b.begun {
		if line, err := b.line(); err != nil || line != "" {
			return errors.Join(err, fmt.Errorf("%w: a chunk is longer than it says", errBadReply))
		}
	}
	b.begun = true
	line, err := b.line()
	if err != nil {
		return err
	}
	size, ok := chunkSize(line)
	if !ok {
		return fmt.Errorf("%w: a chunk without a size", errBadReply)
	}
	if b.left = size; size > 0 {
		return nil
	}
	return b.trailers()
}

// trailers reads the fields behind the last chunk (RFC 9112 §7.1.2).
func (b *answerBody) trailers() error {
	left := maxHeadBytes
	for range fieldsMost {
		line, err := b.line()
		switch {
		case err != nil:
			return err
		case line == "":
			return io.EOF
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if left -= len(line); !ok || left < 0 || !isToken(name) || !isValue(value) {
			return fmt.Errorf("%w: trailers that are none", errBadReply)
		}
		if b.trailer == nil {
			b.trailer = make(map[string][]string)
		}
		if name = nethttp.CanonicalHeaderKey(name); isTrailer(name) {
			b.trailer[name] = append(b.trailer[name], value)
		}
	}
	return fmt.Errorf("%w: more than %d trailers", errBadReply, fieldsMost)
}

// isTrailer reports whether a field may stand behind a body: not what frames it, says what it is, or
// belongs to this hop (RFC 9110 §6.5.1).
func isTrailer(name string) bool {
	return !isHop(name) && !strings.HasPrefix(name, "Content-")
}

// chunkSize reads a chunk's size; extensions behind it are ignored (RFC 9112 §7.1.1).
func chunkSize(line string) (int64, bool) {
	n, digits := int64(0), 0
	for ; digits < len(line); digits++ {
		c := line[digits]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return n, digits > 0 && (c == ';' || c == ' ' || c == '\t')
		}
		if digits == 15 {
			return 0, false
		}
		n = n<<4 | int64(c)
	}
	return n, digits > 0
}

// line reads a line of up to the buffer's size.
func (b *answerBody) line() (string, error) {
	c := b.c
	for seen := 0; ; {
		for i := c.at + seen; i < c.end; i++ {
			if c.buf[i] != '\n' {
				continue
			}
			line := c.buf[c.at:i]
			c.at = i + 1
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return "", fmt.Errorf("%w: a line that ends badly", errBadReply)
			}
			return string(line[:len(line)-1]), nil
		}
		if seen = c.end - c.at; seen >= bufferBytes {
			return "", fmt.Errorf("%w: a line of more than %d bytes", errBadReply, bufferBytes)
		}
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// Close gives the connection back, if everything was read, or is there.
func (b *answerBody) Close() error {
	if b.closed {
		return nil
	}
	if b.err == nil && b.frame == framedLength && b.left <= int64(b.c.end-b.c.at) {
		b.c.at += int(b.left)
		b.err = io.EOF
	}
	b.closed = true
	sent := b.c.upload == nil || b.c.upload.end()
	b.c.upload = nil
	b.c.release(errors.Is(b.err, io.EOF) && sent && !b.c.head.close)
	return nil
}
