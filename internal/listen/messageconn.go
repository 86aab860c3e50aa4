// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"net/http"
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
