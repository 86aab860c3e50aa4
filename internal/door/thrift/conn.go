// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/output"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

const (
	// lingerTime is how long a connection stays after its last answer, so that the peer reads it.
	lingerTime = time.Second
	// lingerBytes is how much is read and dropped meanwhile.
	lingerBytes = 64 << 20
	// lastWordTime is how long calls go on whose caller sends no more: it may be gone.
	lastWordTime = time.Second
	// drainTime is how long they go on when the hub stops.
	drainTime = 10 * time.Second
	// zlibFirst is the first octet of a stream of zlib.
	zlibFirst = 0x78
	// firstReadBytes is how much is read at a time of a client that is nobody.
	firstReadBytes = 512
)

// conn is one connection. One goroutine leads it: it reads, and carries a call out itself. A call that
// takes long goes on where it is, and another goroutine takes the lead (promote).
type conn struct {
	door   *Door
	net    net.Conn
	out    *output.Buffer
	member *member
	caller Caller

	// Of who leads.
	source source
	stream *wire.Stream

	answers answers
	ctx     context.Context //nolint:containedctx // of all calls: a connection is one
	cancel  context.CancelFunc
	slow    *time.Timer // promotes

	lead struct {
		sync.Mutex

		calling bool   // who leads is in a call
		turn    uint64 // and which one that is
	}

	stopped atomic.Bool // no message is read any more
	forced  atomic.Bool // nor is a call waited for
	handed  atomic.Bool // the connection is one of HTTP
	ended   chan struct{}
	err     error // why reading ended; of who leads
}

func newConn(d *Door, nc net.Conn) *conn {
	c := &conn{
		door: d, net: nc, ended: make(chan struct{}),
		member: newMember(d, nc),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.member.ended = c.force
	c.out = output.New(nc, output.Options{})
	c.answers.init(d, c.out)
	c.source = source{
		conn: nc, limit: d.options.MessageTime, idle: d.options.idle, stopped: &c.stopped,
	}
	c.stream = wire.NewStream(&c.source, d.limits)
	c.source.stream = c.stream
	c.slow = time.AfterFunc(time.Hour, c.promote)
	c.slow.Stop()
	return c
}

// serve speaks until the connection ends.
func (c *conn) serve(loggedIn func()) {
	defer c.cancel()
	if err := c.member.identify(); err != nil {
		c.refuse(err)
		return
	}
	loggedIn()
	c.caller = c.member.caller()
	first, err := c.source.await()
	switch {
	case err != nil:
		c.lost(err)
		_ = c.net.Close() // nobody is left to tell
		return
	case first >= 'A' && first <= 'Z': // no message begins so, and every method of HTTP does
		c.handed.Store(true)
		c.door.web.take(c.net, first, c.member)
		return
	}
	c.run()
	<-c.ended
}

// run reads messages and has them carried out, for as long as it has the lead.
func (c *conn) run() {
	for {
		m, err := c.next()
		if err != nil {
			c.fault(m, err)
			break
		}
		call := c.door.calls.get()
		call.begin(c.ctx, c.caller, m)
		more := c.stream.Buffered() > 0
		if more {
			call.keep()
		}
		call.open()
		c.answers.add(call)
		switch {
		case call.oneway, call.refused: // nothing is waited for, and sends keep their order
			call.finish()
			c.finish(call)
		case more:
			go c.carry(call)
		case !c.inline(call):
			return
		}
	}
	c.end()
}

// next returns the next message. While there is none for long, it holds no buffer.
func (c *conn) next() (wire.Message, error) {
	if err := c.out.Throttle(); err != nil {
		return wire.Message{}, err
	}
	for {
		if c.stopped.Load() {
			return wire.Message{}, errStopped
		}
		m, err := c.stream.Next()
		switch {
		case err == nil:
			c.source.whole()
			return m, nil
		case !errors.As(err, new(idleError)):
			return m, err
		}
		c.stream.Release()
		if _, err := c.source.await(); err != nil {
			return m, err
		}
	}
}

// inline carries a call out where it was read, and reports whether the lead is still here then.
func (c *conn) inline(call *call) (leads bool) {
	c.lead.Lock()
	c.lead.calling = true
	c.lead.turn++
	turn := c.lead.turn
	c.lead.Unlock()
	c.slow.Reset(promptTime)
	call.finish()
	c.lead.Lock()
	// Whoever took the lead may be in a call, too.
	if leads = c.lead.calling && c.lead.turn == turn; leads {
		c.lead.calling = false
	}
	c.lead.Unlock()
	if leads {
		c.slow.Stop()
	}
	c.finish(call)
	return leads
}

// promote gives the lead to another goroutine, when who had it is still in its call.
func (c *conn) promote() {
	c.lead.Lock()
	calling := c.lead.calling
	if calling {
		c.lead.calling = false
		c.stream.Detach() // the call borrows its message
	}
	c.lead.Unlock()
	if calling {
		c.run()
	}
}

// carry carries a call out.
func (c *conn) carry(call *call) {
	call.finish()
	c.finish(call)
}

// finish gives the answer of a call on. Behind one that closes the connection nothing is read.
func (c *conn) finish(call *call) {
	closes := call.closes
	if closes {
		c.stopped.Store(true)
	}
	c.answers.end(call)
	if closes {
		_ = c.net.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
	}
}

// fault ends the reading. Bytes that are no message are answered, when all before them are.
func (c *conn) fault(m wire.Message, err error) {
	c.err = err
	var broken *wire.Error
	if !errors.As(err, &broken) || !m.Detected || c.stopped.Load() {
		return
	}
	call := c.door.calls.get()
	call.begin(c.ctx, c.caller, m)
	c.answers.add(call)
	call.spoil(broken)
	c.answers.end(call)
}

// end waits for the calls under way and closes the connection.
func (c *conn) end() {
	defer close(c.ended)
	c.slow.Stop()
	c.settle()
	c.answers.wait()
	c.answers.close()
	c.member.close()
	c.lost(c.err)
	c.out.Flush()
	if !isEnd(c.err) && c.out.Err() == nil {
		half, ok := c.net.(interface{ CloseWrite() error })
		if c.out.Drain(lingerTime) && ok {
			_ = half.CloseWrite() // the close below is the one that counts
		}
		output.Discard(c.net, lingerBytes, lingerTime)
	}
	c.out.CloseAfterFlush(lingerTime)
	c.out.Wait()
}

// settle sees to it that the calls under way end: at once when nobody is left whom they could be
// answered, or soon.
func (c *conn) settle() {
	if c.answers.empty() {
		return
	}
	switch {
	case c.forced.Load():
		c.cancel()
	case isEnd(c.err):
		time.AfterFunc(lastWordTime, c.cancel)
	case errors.Is(c.err, errStopped):
		c.watch()
	case errors.As(c.err, new(*wire.Error)): // they were before the fault
	default:
		c.cancel()
	}
}

// isEnd reports whether the client has sent its last word.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// watch waits for the calls under way, within bounds: they end with the connection, whose end shows
// only to who reads it.
func (c *conn) watch() {
	_ = c.net.SetReadDeadline(time.Now().Add(drainTime)) // fails only on a closed connection
	var watching sync.WaitGroup
	watching.Go(func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(c.net, lingerBytes)) // any end will do
		c.cancel()
	})
	c.answers.wait()
	_ = c.net.SetReadDeadline(time.Unix(1, 0)) // ″
	watching.Wait()
}

// drain ends the connection because the hub stops: calls under way are answered.
func (c *conn) drain() {
	if c.handed.Load() {
		c.door.web.drain()
		return
	}
	c.stopped.Store(true)
	_ = c.net.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
}

// force ends the connection from outside.
func (c *conn) force(string) {
	c.forced.Store(true)
	c.cancel()
	if c.handed.Load() {
		_ = c.net.Close() // the request under way notices
		return
	}
	c.drain()
}

// refuse answers a client that may not come in, and closes the connection.
func (c *conn) refuse(refused error) {
	c.log().Info("login refused", "error", refused)
	limits := c.door.limits
	limits.MessageBytes, limits.FrameBytes = firstBytesMax, firstBytesMax
	// Within the listener's time to log in.
	first := bufio.NewReaderSize(c.net, firstReadBytes)
	if head, err := first.Peek(1); err != nil || head[0] == zlibFirst {
		c.err = errStopped // nothing is inflated for who is nobody
		c.end()
		return
	}
	c.stream = wire.NewStream(first, limits)
	if m, err := c.stream.Next(); err == nil {
		call := c.door.calls.get()
		call.begin(c.ctx, c.caller, m)
		c.answers.add(call)
		call.deny(refused)
		c.answers.end(call)
	}
	c.err = errStopped
	c.end()
}

// lost notes the end of a connection.
func (c *conn) lost(err error) {
	switch {
	case errors.As(err, new(*wire.Error)):
		c.door.faults.Add(1)
		c.log().Info("connection ended with an error", "error", err)
	case errors.Is(err, errSlow):
		c.door.faults.Add(1)
		c.log().Info("connection ended with an error", "error", err)
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) &&
		!errors.Is(err, errStopped):
		c.log().Info("connection lost", "error", err)
	default:
		c.log().Debug("connection closed")
	}
}

// log returns the logger with the connection's fields.
func (c *conn) log() *slog.Logger { return c.member.log() }
