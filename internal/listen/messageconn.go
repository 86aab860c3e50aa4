// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// errBinary ends a connection that takes text alone.
var errBinary = errors.New("a message is not text")

// MessageConn is a WebSocket of whole messages, all of them text. One goroutine reads; the other
// methods may be called by any.
type MessageConn struct{ ws *websocket.Conn }

// Upgrade takes a request over as a WebSocket whose messages have up to limit bytes, or answers it. The
// caller has looked at the request's origin. Nothing is compressed.
func Upgrade(w http.ResponseWriter, r *http.Request, limit int64) (*MessageConn, error) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(limit)
	return &MessageConn{ws}, nil
}

// Read returns the next message. One that is too large ends the connection with 1009, one that is not
// text with 1003, and text that is not UTF-8 with 1007.
func (c *MessageConn) Read(ctx context.Context) ([]byte, error) {
	kind, message, err := c.ws.Read(ctx)
	switch {
	case err != nil:
		return nil, err
	case kind != websocket.MessageText:
		return nil, errors.Join(errBinary, c.ws.Close(websocket.StatusUnsupportedData, ""))
	case !utf8.Valid(message):
		return nil, errors.Join(errNotText,
			c.ws.Close(websocket.StatusInvalidFramePayloadData, ""))
	}
	return message, nil
}

// Write sends one message. When ctx ends first, the connection has ended.
func (c *MessageConn) Write(ctx context.Context, message []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, message)
}

// Ping waits for the client's pong, which comes while somebody reads.
func (c *MessageConn) Ping(ctx context.Context) error { return c.ws.Ping(ctx) }

// Close sends a close and waits a moment for the client's.
func (c *MessageConn) Close(code int, reason string) error {
	return c.ws.Close(websocket.StatusCode(code), reason)
}

const (
	// binaryTime is how long a message of a BinaryConn may take once it has begun, and binaryRate, in
	// octets a second, what the time of a long one is reckoned by.
	binaryTime = 30 * time.Second
	binaryRate = 1 << 10
	// binaryStep is how the buffer of a message grows at least: by what comes.
	binaryStep = 4 << 10
)

// errNotBinary ends a connection that takes octets alone.
var errNotBinary = errors.New("a message is not binary")

// BinaryConn is a WebSocket of whole messages, all of them binary. One goroutine reads; the other
// methods may be called by any.
type BinaryConn struct{ MessageConn }

// UpgradeBinary takes a request over as a WebSocket whose messages have up to limit octets, or answers
// it. The caller has looked at the request's origin. Nothing is compressed.
func UpgradeBinary(w http.ResponseWriter, r *http.Request, limit int64) (*BinaryConn, error) {
	c, err := Upgrade(w, r, limit)
	if err != nil {
		return nil, err
	}
	return &BinaryConn{*c}, nil
}

// Read returns the next message, for which it waits as long as need be. One that is too large ends the
// connection with 1009, one that is not binary with 1003, and one that takes too long without a word.
func (c *BinaryConn) Read(ctx context.Context) ([]byte, error) {
	kind, from, err := c.ws.Reader(ctx)
	switch {
	case err != nil:
		return nil, err
	case kind != websocket.MessageBinary:
		return nil, errors.Join(errNotBinary, c.ws.Close(websocket.StatusUnsupportedData, ""))
	}
	late := time.AfterFunc(binaryTime, func() { _ = c.ws.CloseNow() })
	defer late.Stop()
	began := time.Now()
	var message []byte
	for {
		message = slices.Grow(message, max(binaryStep, len(message)))
		n, err := from.Read(message[len(message):cap(message)])
		message = message[:len(message)+n]
		if most := time.Duration(len(message)/binaryRate) * time.Second; most > binaryTime {
			late.Reset(most - time.Since(began))
		}
		switch {
		case errors.Is(err, io.EOF):
			return message, nil
		case err != nil:
			return nil, err
		}
	}
}

// Write sends one message. When ctx ends first, the connection has ended.
func (c *BinaryConn) Write(ctx context.Context, message []byte) error {
	return c.ws.Write(ctx, websocket.MessageBinary, message)
}
