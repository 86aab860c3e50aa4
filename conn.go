// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// closeWait bounds how long Close waits for the hub's answer.
const closeWait = 2 * time.Second

// Conn is one connection to a hub. Its methods are safe for concurrent use, and so is using it from
// any number of operations and services at once. It has one reading and one writing goroutine,
// which end with it.
type Conn struct {
	options    dialOptions
	nc         net.Conn
	source     *deadlineReader
	reader     *wire.Reader
	writer     writer
	frameMax   uint32 // octets
	channelMax uint16
	heartbeat  time.Duration

	idPrefix string
	nextID   atomic.Uint64

	asks     lazyChannel // calls and gathers: direct reply-to is per channel
	sends    lazyChannel // confirmed messages to queues and amq.topic
	publicly lazyChannel // the same to other exchanges: a missing one closes the channel

	running sync.WaitGroup
	done    chan struct{} // closed after err is set

	mu          sync.Mutex
	err         error
	channels    map[uint16]*channel
	lastChannel uint16
}

// start runs the connection's goroutines.
func (c *Conn) start() {
	c.idPrefix = rand.Text()[:12] + "-"
	c.running.Add(2)
	go func() {
		defer c.running.Done()
		c.read()
	}()
	go func() {
		defer c.running.Done()
		if err := c.writer.run(c.nc, c.heartbeat, c.done); err != nil {
			c.fail(unreachable(err))
		}
	}()
}

// newID returns a name that is unique, for messages and correlation.
func (c *Conn) newID() string {
	return c.idPrefix + strconv.FormatUint(c.nextID.Add(1), 36)
}

// Done is closed when the connection has ended, by Close or by a fault; see Err.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection. What is outstanding fails with CodeUnreachable or CodeBadReply;
// deliveries that handlers still hold go back to their queues. It is safe to call twice.
func (c *Conn) Close() {
	select {
	case <-c.done:
		return
	default:
	}
	bye := wire.ConnectionClose{ReplyCode: uint16(wire.ReplySuccess), ReplyText: "bye"}
	c.writer.force(func(dst []byte) []byte { return bye.AppendFrame(dst, 0) })
	select {
	case <-c.done: // the reader has seen close-ok
	case <-time.After(closeWait):
		c.fail(errClosed())
	}
	c.running.Wait()
}

func errClosed() *Error { return errorf(CodeUnreachable, "connection closed") }

// fail ends the connection, once.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	channels := make([]*channel, 0, len(c.channels))
	for _, ch := range c.channels {
		channels = append(channels, ch)
	}
	clear(c.channels)
	c.mu.Unlock()
	c.writer.fail(err)
	c.nc.Close()
	close(c.done)
	for _, ch := range channels {
		ch.end(err)
	}
}

// read is the reading goroutine.
func (c *Conn) read() {
	for {
		f, err := c.reader.Next()
		if err != nil {
			c.fail(unreachable(err))
			return
		}
		if err := c.frame(f); err != nil {
			c.fail(err)
			return
		}
	}
}

// frame handles one frame; an error ends the connection.
func (c *Conn) frame(f wire.Frame) error {
	if f.Channel == 0 {
		return c.control(f)
	}
	c.mu.Lock()
	ch := c.channels[f.Channel]
	c.mu.Unlock()
	if ch == nil {
		return errorf(CodeBadReply, "the hub used channel %d, which is not open", f.Channel)
	}
	switch f.Type {
	case wire.FrameMethod:
		return ch.method(f)
	case wire.FrameHeader:
		return ch.header(f.Payload)
	case wire.FrameBody:
		return ch.bodyFrame(f.Payload)
	default:
		return wire.NewUnexpectedFrame(f)
	}
}

// control handles a frame of the connection itself.
func (c *Conn) control(f wire.Frame) error {
	if f.Type == wire.FrameHeartbeat {
		return nil
	}
	id, args, err := f.SplitMethod()
	if err != nil {
		return err
	}
	switch id { //nolint:exhaustive // the hub sends no other on channel 0
	case wire.IDConnectionClose:
		var m wire.ConnectionClose
		if err := m.Decode(args); err != nil {
			return err
		}
		// The socket is closed right after; the hub does not insist on its close-ok.
		_ = c.nc.SetWriteDeadline(time.Now().Add(closeWait))
		_, _ = c.nc.Write((&wire.ConnectionCloseOk{}).AppendFrame(nil, 0))
		return replyError(m.ReplyCode, m.ReplyText)
	case wire.IDConnectionCloseOk:
		return errClosed()
	case wire.IDConnectionBlocked, wire.IDConnectionUnblocked:
		return nil // what is sent meanwhile waits for its confirm
	}
	return errorf(CodeBadReply, "the hub said %v", id)
}

// openChannel opens a channel.
func (c *Conn) openChannel(ctx context.Context) (*channel, error) {
	ch := newChannel(c)
	if err := c.register(ch); err != nil {
		return nil, err
	}
	if _, err := ch.call(ctx, &wire.ChannelOpen{}); err != nil {
		ch.close()
		return nil, err
	}
	return ch, nil
}

// register gives a channel a free number.
func (c *Conn) register(ch *channel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if len(c.channels) >= int(c.channelMax) {
		return errorf(CodeQuota, "all %d channels of the connection are in use", c.channelMax)
	}
	id := c.lastChannel
	for {
		if id++; id > c.channelMax || id == 0 {
			id = 1
		}
		if _, taken := c.channels[id]; !taken {
			break
		}
	}
	c.lastChannel, ch.id = id, id
	c.channels[id] = ch
	return nil
}

// forget frees a channel's number.
func (c *Conn) forget(ch *channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channels[ch.id] == ch {
		delete(c.channels, ch.id)
	}
}

// lazyChannel is a channel that is opened when it is needed, and again when it has ended.
type lazyChannel struct {
	turn chan struct{} // a mutex that a context can end the wait for
	ch   *channel
}

func newLazyChannel() lazyChannel { return lazyChannel{turn: make(chan struct{}, 1)} }

// get returns the open channel. setup prepares a new one.
func (l *lazyChannel) get(
	ctx context.Context, c *Conn, setup func(context.Context, *channel) error,
) (*channel, error) {
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, contextError(ctx, "open a channel")
	}
	defer func() { <-l.turn }()
	if l.ch != nil {
		select {
		case <-l.ch.done:
		default:
			return l.ch, nil
		}
	}
	ch, err := c.openChannel(ctx)
	if err != nil {
		return nil, err
	}
	if err := setup(ctx, ch); err != nil {
		ch.close()
		return nil, err
	}
	l.ch = ch
	return ch, nil
}
