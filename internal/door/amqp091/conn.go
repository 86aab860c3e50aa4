// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/output"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Bounds of the end of a connection.
const (
	// closeWait is how long the client may take to answer connection.close.
	closeWait = 30 * time.Second
	// discardTime and discardBytes bound what is read on after an error, so that the client
	// sees the close instead of a reset.
	discardTime  = 3 * time.Second
	discardBytes = 16 << 20
	// flushWait bounds the writing of the last answers.
	flushWait = 5 * time.Second
)

// conn is one client. All fields without a note belong to the read loop.
type conn struct {
	door *Door
	nc   net.Conn
	in   *wire.Reader
	out  *output.Buffer // any goroutine
	log  *slog.Logger

	broker     *broker.Connection
	loggedIn   func() // tells the listener
	user       string
	client     client
	frameMax   uint32
	channelMax int
	beats      monitor

	channels map[uint16]*channel
	last     *channel     // of the last frame: most connections use one
	touched  []*channel   // that got frames in this read batch
	partial  []*channel   // whose content outlived a read batch
	held     int          // octets of bodies being put together, over all channels
	placed   *broker.Body // what the reader reads a frame's payload into just now

	running   bool        // logged in and not ending: a read that is ended early goes on
	explained bool        // the log has why the handshake failed
	woken     atomic.Bool // wakeReader was called

	forced atomic.Pointer[string] // set by force: why the connection is to end
	block  blocking

	resumeMu sync.Mutex // guards sessions for the writer's Resume
	sessions map[uint16]*broker.Session
}

// client is what the other side said about itself.
type client struct {
	name           string
	properties     wire.Table
	cancelNotify   bool
	blockedNotify  bool
	failureClose   bool // authentication_failure_close
	authentication string
	// specQos: basic.qos without global is meant as the specification has it, one limit for the
	// whole channel and at once, where RabbitMQ has one for each consumer to come.
	specQos bool
}

func newConn(d *Door, nc net.Conn, loggedIn func()) *conn {
	c := &conn{
		door: d, nc: nc, loggedIn: loggedIn,
		frameMax: wire.HandshakeFrameBytes,
		channels: make(map[uint16]*channel),
		sessions: make(map[uint16]*broker.Session),
		log:      d.options.Logger.With("door", Name, "peer", nc.RemoteAddr().String()),
	}
	c.in = wire.NewReader(c)
	c.in.SetPlace(c.place)
	c.out = output.New(nc, output.Options{
		LimitBytes: d.options.OutputLimitBytes, StallTimeout: 0, OnDrain: c.resume, ReadOn: true,
	})
	c.beats.c = c
	c.block.c = c
	return c
}

// Read implements io.Reader for the wire's reader: any octet is a sign of life.
func (c *conn) Read(p []byte) (int, error) {
	for {
		c.beats.listening.Store(true)
		n, err := c.nc.Read(p)
		c.beats.listening.Store(false)
		if n > 0 {
			c.beats.heard.Store(true)
			c.beats.expect()
			return n, err
		}
		if !c.attend(err) {
			return n, err
		}
	}
}

// serve is the life of the connection.
func (c *conn) serve() {
	defer func() {
		c.beats.stop()
		_ = c.out.Close() // closed already in every orderly end
		c.out.Wait()
		c.closeBroker()
	}()
	if !c.handshake() {
		return
	}
	log := c.log.With("user", c.user, "vhost", c.broker.VHost)
	log.Info("connection opened", "client_name", cut(c.client.name))
	if err := c.loop(); err != nil {
		log.Warn("connection closed", "error", err)
		return
	}
	log.Info("connection closed")
}

// closeBroker closes the sessions and deletes the exclusive queues.
func (c *conn) closeBroker() {
	if c.broker != nil {
		c.broker.Close()
	}
}

// loop reads batch after batch. It returns nil after an orderly close.
func (c *conn) loop() error {
	for {
		if err := c.batch(); err != nil {
			return c.end(err)
		}
	}
}

// batch waits for a frame, handles all that the read buffer holds, and writes what came of it.
func (c *conn) batch() error {
	f, err := c.in.Next()
	for err == nil {
		if err = c.frame(f); err != nil || !c.in.Ready() {
			break
		}
		f, err = c.in.Next()
	}
	if err != nil {
		return err
	}
	return c.endBatch()
}

// flushTouched tells the clients what the batch brought so far, this one's confirms included.
func (c *conn) flushTouched() {
	for _, ch := range c.touched {
		if ch.open {
			ch.session.Flush()
		}
	}
}

// errClosed ends the loop after connection.close and close-ok were exchanged.
var errClosed = errors.New("closed by the client")

// end finishes the connection for the reason that the loop met.
func (c *conn) end(err error) error {
	c.flushTouched() // what came before the end counts
	if errors.Is(err, errClosed) {
		c.out.CloseAfterFlush(flushWait)
		c.out.Wait()
		return nil
	}
	if reason := c.forced.Load(); reason != nil {
		c.closeWith(&fault{code: wire.ConnectionForced, text: *reason})
		return errors.New(*reason)
	}
	if f := asFault(err); f != nil {
		c.closeWith(f)
		return err
	}
	if errors.Is(err, io.EOF) {
		return errors.New("client closed the connection without connection.close")
	}
	return err
}

// closeWith tells the client why the connection ends and waits for its close-ok.
func (c *conn) closeWith(f *fault) {
	c.sayClose(f, c.closeTimeout())
	c.out.CloseAfterFlush(flushWait)
	c.out.Wait()
}

// sayClose writes connection.close and reads on until close-ok, for that long. The exclusive
// queues are gone before the client can read the close (amqp-0-9-1.md).
func (c *conn) sayClose(f *fault, wait time.Duration) {
	c.closeBroker()
	c.running = false
	c.send(0, &wire.ConnectionClose{
		ReplyCode: uint16(f.code), ReplyText: f.Error(),
		ClassID: f.method.Class(), MethodID: f.method.Method(),
	})
	c.out.Flush()
	_ = c.nc.SetReadDeadline(time.Now().Add(wait)) // the read reports a closed connection
	for {
		next, err := c.in.Next()
		if err != nil {
			if _, bad := errors.AsType[*wire.Error](err); bad {
				// The frames are out of step: read on, so that the close is not lost in a reset.
				output.Discard(c.nc, discardBytes, min(wait, discardTime))
			}
			return
		}
		if c.isCloseOk(next) {
			return
		}
	}
}

// closeTimeout is min(heartbeat, 30 s).
func (c *conn) closeTimeout() time.Duration {
	if c.beats.interval == 0 {
		return closeWait
	}
	return min(c.beats.interval, closeWait)
}

// isCloseOk reports whether a frame ends the wait for close-ok; a close that crossed ours does too.
func (c *conn) isCloseOk(f wire.Frame) bool {
	if f.Channel != 0 || f.Type != wire.FrameMethod {
		return false
	}
	switch id, _, _ := f.SplitMethod(); id {
	case wire.IDConnectionCloseOk:
		return true
	case wire.IDConnectionClose:
		c.send(0, &wire.ConnectionCloseOk{})
		return true
	default:
		return false
	}
}

// endBatch flushes what the batch touched, keeps what is half received, and waits where the client
// must not be read on.
func (c *conn) endBatch() error {
	for i, ch := range c.touched {
		ch.touched = false
		c.touched[i] = nil
		if !ch.open {
			continue
		}
		if err := ch.hold(); err != nil {
			return err
		}
		ch.session.Flush()
	}
	c.touched = c.touched[:0]
	c.out.Flush()
	var deadline time.Time
	for _, ch := range c.partial {
		if deadline.IsZero() || ch.content.deadline.Before(deadline) {
			deadline = ch.content.deadline
		}
	}
	c.beats.await(deadline, c.in.Pending() > 0)
	if err := c.block.wait(); err != nil {
		return err
	}
	// Held back here, the client's heartbeats are not heard; the output's own bound on a stall
	// watches over it then.
	c.beats.paused.Store(true)
	err := c.out.Throttle()
	c.beats.paused.Store(false)
	if err != nil && output.Gone(err) {
		return nil // it may have sent more before it went; the reads end by themselves
	}
	return err
}

// makeRoom waits until the output is below its limits, for answers that carry bodies: a batch of a few
// octets each may ask for any number of them.
func (c *conn) makeRoom() {
	if c.out.Buffered() > c.door.options.OutputLimitBytes {
		c.out.Flush()
		_ = c.out.Throttle() // what failed ends the loop after the batch
	}
}

// send appends one method.
func (c *conn) send(channel uint16, m wire.Method) {
	c.out.End(m.AppendFrame(c.out.Begin(), channel))
}

// force ends the connection with 320; any goroutine may call it.
func (c *conn) force(reason string) {
	c.forced.CompareAndSwap(nil, &reason)
	c.block.end()
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // wakes the read loop, which says goodbye
}

// abort closes the socket at once; any goroutine may call it.
func (c *conn) abort() {
	_ = c.out.Close() // its error is that of a socket which nobody needs any more
	c.block.end()
}

// abortFor is abort with a line in the log.
func (c *conn) abortFor(why string) {
	c.log.Warn("connection aborted", "reason", why)
	c.abort()
}

// resume is called by the writer when the output buffer has room again.
func (c *conn) resume() {
	c.resumeMu.Lock()
	sessions := make([]*broker.Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		sessions = append(sessions, s)
	}
	c.resumeMu.Unlock()
	for _, s := range sessions {
		s.Resume()
	}
}

// frame handles one frame.
func (c *conn) frame(f wire.Frame) error {
	if f.Channel == 0 {
		return c.frameZero(f)
	}
	ch := c.last
	if ch == nil || ch.id != f.Channel {
		if ch = c.channels[f.Channel]; ch == nil {
			return c.frameUnopened(f)
		}
		c.last = ch
	}
	if !ch.open {
		return ch.frameClosing(f)
	}
	if !ch.touched {
		ch.touched = true
		c.touched = append(c.touched, ch)
	}
	err := ch.frame(f)
	if err == nil {
		return nil
	}
	fault := toFault(err, ch.method)
	if fault.closesConnection() {
		return fault
	}
	ch.closeWith(fault)
	return nil
}

// frameUnopened handles a frame on a channel that is not open: only channel.open is right.
func (c *conn) frameUnopened(f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return expectedOpen(0)
	}
	id, args, err := f.SplitMethod()
	if err != nil {
		return err
	}
	switch id {
	case wire.IDChannelOpen:
	case wire.IDChannelCloseOk:
		return nil // late: both sides closed the channel at once
	default:
		return expectedOpen(id)
	}
	var m wire.ChannelOpen
	if err := m.Decode(args); err != nil {
		return toFault(err, id)
	}
	return c.openChannel(f.Channel)
}

// frameZero handles a frame of the connection itself.
func (c *conn) frameZero(f wire.Frame) error {
	switch f.Type {
	case wire.FrameHeartbeat:
		return nil
	case wire.FrameMethod:
	default:
		return wire.NewUnexpectedFrame(f)
	}
	id, args, err := f.SplitMethod()
	if err != nil {
		return err
	}
	switch id {
	case wire.IDConnectionClose:
		c.flushTouched()
		c.closeBroker()
		c.send(0, &wire.ConnectionCloseOk{})
		return errClosed
	case wire.IDConnectionUpdateSecret:
		return c.updateSecret(args)
	default:
	}
	if _, err := wire.NewMethod(id); err != nil {
		return toFault(err, id)
	}
	return faultf(wire.ChannelError, id, "unexpected method in connection state running")
}
