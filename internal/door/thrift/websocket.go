// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// The codes of a close (RFC 6455 §7.4.1).
const (
	closeNormal   = 1000
	closeAway     = 1001
	closeProtocol = 1002
)

// frames is what the messages of a WebSocket hold, one after the other.
type frames struct {
	ctx  context.Context //nolint:containedctx // io.Reader has none
	conn MessageConn
	rest []byte
}

// Read implements io.Reader.
func (f *frames) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		var err error
		if f.rest, err = f.conn.Read(f.ctx); err != nil {
			return 0, errors.Join(io.EOF, err)
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// serveWebSocket takes a request over: each message of it is one of Thrift, and so is each answer.
func (d *Door) serveWebSocket(w http.ResponseWriter, r *http.Request, from Caller) {
	conn, err := d.options.Upgrade(w, r, int64(d.limits.MessageBytes))
	if err != nil {
		return // the client has been told
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	var calling sync.Mutex // held from a call to its answer
	//nolint:contextcheck // it is the server's end, not the request's
	stop := context.AfterFunc(d.web.draining, func() {
		calling.Lock()
		defer calling.Unlock()
		_ = conn.Close(closeAway, "the hub stops") // the client may be gone
	})
	defer stop()
	stream := wire.NewStream(&frames{ctx: ctx, conn: conn}, d.limits)
	began := false // zlib: the head of the stream is written
	for {
		m, err := stream.Next()
		var broken *wire.Error
		switch {
		case err == nil:
		case !errors.As(err, &broken):
			_ = conn.Close(closeNormal, "") // the client may be gone
			return
		case !m.Detected:
			_ = conn.Close(closeProtocol, "") // ″
			return
		}
		calling.Lock()
		c := d.calls.get()
		c.begin(ctx, from, m)
		if err != nil {
			c.spoil(err)
		} else {
			c.run()
		}
		closes, failed := c.closes, d.writeFrame(ctx, conn, c, &began)
		d.calls.put(c)
		calling.Unlock()
		switch {
		case failed != nil:
			return
		case closes:
			_ = conn.Close(closeProtocol, "") // ″
			return
		}
	}
}

// writeFrame sends the answer of a call.
func (d *Door) writeFrame(ctx context.Context, conn MessageConn, c *call, began *bool) error {
	zlib := c.message.Shape.Zlib
	out := d.wrap(c, zlib)
	switch {
	case len(out) == 0:
		return nil
	case zlib && *began:
		out = out[zlibHeadBytes:]
	}
	*began = true
	late, cancel := context.WithDeadline(ctx, d.deadline(len(out)))
	defer cancel()
	return conn.Write(late, out)
}

// zlibHeadBytes is the head of a stream of zlib, which it has once.
const zlibHeadBytes = 2
