// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"fmt"
	"iter"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/trace"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// Bounds of the headers that go on, and of those that come back.
const (
	headersMax     = 64
	headerBytesMax = 16 << 10
)

// Keys of THeader that say when a call ends (thrift.md, Door); in milliseconds. The second one is what a
// server should spend in its queue.
const (
	keyTimeout      = "client_timeout"
	keyQueueTimeout = "queue_timeout"
)

// headerStatus is the header in which a service that speaks HTTP says its status (rest.md, Calls).
const headerStatus = "http-status"

// timeout returns how long the call may take; 0 when the client does not say.
func (c *call) timeout() time.Duration {
	var text []byte
	switch h := &c.message.Shape.Header; {
	case c.caller.request != nil:
		text = []byte(c.caller.request.Header.Get("Connect-Timeout-Ms"))
	case h.Kitex:
		for key, value := range h.Ints() {
			if key == wire.KitexTimeoutMS {
				text = value
			}
		}
	case c.answersHeaders():
		text, _ = h.Get(keyTimeout)
	}
	switch {
	case len(text) > 0:
	case c.method != nil:
		return c.method.Timeout
	default:
		return 0
	}
	ms, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || ms == 0 {
		return 0
	}
	return min(time.Duration(ms)*time.Millisecond, timeoutMax)
}

// patience is timeout where the hub waits itself.
func (c *call) patience() time.Duration {
	if t := c.timeout(); t > 0 {
		return t
	}
	return broker.DefaultTimeout
}

// answersHeaders reports whether the form of the message has headers, and its answer too.
func (c *call) answersHeaders() bool {
	switch c.message.Shape.Transport {
	case wire.Headered, wire.KitexHeader, wire.FramedHeader:
		return true
	case wire.Unframed, wire.Framed, wire.Zlib:
	}
	return false
}

// headers yields what goes on to the service: the pairs of a header, as they are, or what HTTP has of
// the trace.
func (c *call) headers() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		if r := c.caller.request; r != nil {
			for _, name := range [...]string{"traceparent", "tracestate"} {
				value := r.Header.Get(name)
				if value != "" && !yield([]byte(name), []byte(value)) {
					return
				}
			}
			return
		}
		if !c.answersHeaders() {
			return
		}
		n, size := 0, 0
		for key, value := range c.message.Shape.Header.All() {
			size += len(key) + len(value)
			if n++; n > headersMax || size > headerBytesMax {
				return
			}
			if passes(key) && utf8.Valid(value) && !yield(key, value) {
				return
			}
		}
	}
}

// passes reports whether a header with that name goes on: not what is about this hop, and not what means
// something to the hub.
func passes(key []byte) bool {
	switch string(key) {
	case "", keyTimeout, keyQueueTimeout, "http-method", "http-path", "http-query", headerStatus:
		return false
	}
	const own = "parley-"
	return len(key) <= nameBytesMax && utf8.Valid(key) &&
		(len(key) < len(own) || !strings.EqualFold(string(key[:len(own)]), own))
}

// Get implements broker.Head.
func (c *call) Get(name string) string {
	if name == "content-type" {
		return c.contentType
	}
	for key, value := range c.headers() {
		if strings.EqualFold(string(key), name) {
			return string(value)
		}
	}
	return ""
}

// Each implements broker.Head.
func (c *call) Each(yield func(name, value string) bool) {
	if !yield("Content-Type", c.contentType) {
		return
	}
	for key, value := range c.headers() {
		if !yield(string(key), string(value)) {
			return
		}
	}
}

// traceID returns the trace that the message names, "" when it names none.
func (c *call) traceID() string {
	for key, value := range c.headers() {
		if string(key) != "traceparent" {
			continue
		}
		if at, ok := trace.Parse(value); ok {
			return at.Trace.String()
		}
	}
	return ""
}

// answerInfo makes the headers of the answer of those that the service gave.
func (c *call) answerInfo() {
	if !c.answersHeaders() || len(c.got.headers) == 0 {
		return
	}
	c.texts, c.info.Pairs = c.texts[:0], c.info.Pairs[:0]
	for _, f := range c.got.headers {
		from := len(c.texts)
		c.texts = append(c.texts, f.Name...)
		middle := len(c.texts)
		if !passesBack(f.Name) {
			c.texts = c.texts[:from]
			continue
		}
		c.texts = append(c.texts, textOf(f.Value)...)
		if len(c.texts) > headerBytesMax || len(c.info.Pairs) == headersMax {
			c.texts = c.texts[:from]
			return
		}
		// Where the texts move, the pairs before keep what they have.
		c.info.Pairs = append(c.info.Pairs, wire.Pair{
			Key: c.texts[from:middle:middle], Value: c.texts[middle:len(c.texts):len(c.texts)],
		})
	}
}

// passesBack reports whether a header of an answer goes to the client: not what frames the answer of a
// service that speaks HTTP, and not the hub's own.
func passesBack(name string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Content-Type", "Content-Length", "Content-Encoding", "Connection", "Date", "Server", "Via",
		"Transfer-Encoding", "Set-Cookie", "X-Death":
		return false
	}
	return passes([]byte(name)) && !strings.HasPrefix(name, "x-first-death") && !strings.HasPrefix(name, "x-last-death")
}

// textOf returns a header's value as text, "" where it has none.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case nil, broker.Table, broker.Array:
		return ""
	default:
		return fmt.Sprint(v)
	}
}
