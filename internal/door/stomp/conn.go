// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/output"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

const (
	// lingerTime is how long a connection stays after its last frame, so that the peer reads it.
	lingerTime = time.Second
	// lingerBytes is how much is read and dropped meanwhile.
	lingerBytes = 64 << 20
	// confirmWait is how long DISCONNECT waits for publishes to be safe.
	confirmWait = 10 * time.Second
)

// conn is one connection. What has no lock belongs to the read loop.
type conn struct {
	door    *Door
	dialect dialect
	net     net.Conn
	// loggedIn tells the listener; it clears the read deadline.
	loggedIn func()
	peer     string
	out      *output.Buffer
	reader   *wire.Reader

	// Set by login, before the session can call the sink. version is written under the output's
	// lock, as abort may read it at any time.
	version  wire.Version
	vhost    string
	user     string
	name     string // the session's, in CONNECTED and message-id
	clientID string
	registry *broker.Connection
	session  *broker.Session

	message       broker.Message        // used for every SEND
	raw           []byte                // its headers
	sent          sendHeaders           // what else they said
	same          bool                  // the three hold for a SEND that repeats the headers
	settles       []broker.SettleParams // of the last ACK or NACK
	declared      map[string]struct{}
	subscriptions map[string]*subscription // by tag
	transactions  map[string]*transaction
	held          int  // bytes in transactions
	done          bool // the conversation is over
	receipts      receipts
	beat          heartBeat

	shut bool // nothing may be appended any more; guarded by the output's lock

	wake    chan struct{} // the heart has news for a read loop that waits
	woken   atomic.Bool
	aborted atomic.Bool
	blocked atomic.Bool // an alarm lasts

	mu       sync.Mutex // a leaf
	poisoned []uint64
	reason   *fault // of an abort
}

// messageConn is a connection whose end has a code, as a WebSocket's has.
type messageConn interface {
	// EndWith sets the code of the good-bye that CloseWrite or Close says.
	EndWith(code int)
}

// endUnreadable is the code after octets that are no frame: data that are not what their type says
// (RFC 6455 §7.4.1). RabbitMQ's door ends so, too.
const endUnreadable = 1007

func newConn(d *Door, nc net.Conn, loggedIn func()) *conn {
	c := &conn{
		door: d, net: nc, loggedIn: loggedIn, peer: nc.RemoteAddr().String(),
		wake:     make(chan struct{}, 1),
		declared: make(map[string]struct{}), subscriptions: make(map[string]*subscription),
	}
	c.dialect = d.newDialect(c)
	c.out = output.New(nc, output.Options{
		LimitBytes: d.options.OutputBytes, OnDrain: c.drained, ReadOn: true,
	})
	c.reader = wire.NewReader(nc, wire.BeforeLogin())
	return c
}

// serve speaks until the connection ends.
func (c *conn) serve() {
	c.startBeat()
	c.run()
	c.end()
}

// drained lets deliveries go on when the output has room again.
func (c *conn) drained() {
	if s := c.session; s != nil {
		s.Resume()
	}
}

// force ends the connection from outside.
func (c *conn) force(reason string) {
	c.abort(newFault("connection_forced", "%s\n", reason), nil)
	c.out.Flush()
}

// run reads and handles batches of frames until the conversation ends.
func (c *conn) run() {
	for !c.done && !c.aborted.Load() {
		if _, err := c.reader.Fill(); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				c.readEnded(err)
				return
			}
			c.attend()
			continue
		}
		c.beat.fills.Add(1)
		c.beat.busy.Store(true)
		c.batch()
		c.flush()
		failed := c.out.Throttle() // it waits for a peer that reads too slowly, and may well send
		c.beat.busy.Store(false)
		if failed != nil && !output.Gone(failed) { // else it may have sent more before it went
			return
		}
	}
}

// flush writes what the batch appended, to this connection and to others.
func (c *conn) flush() {
	if c.session != nil {
		c.session.Flush()
		return
	}
	c.out.Flush()
}

// batch handles the frames that are in the buffer.
func (c *conn) batch() {
	for !c.done && !c.aborted.Load() && c.reader.Next() {
		c.beat.frames.Add(1)
		f := c.reader.Frame()
		if err := c.handle(f); err != nil {
			c.refuse(err, f)
			return
		}
		if f.Command == wire.Send && (c.blocked.Load() || c.receipts.crowded()) {
			c.hold()
		}
	}
	c.beat.pending.Store(int64(c.reader.Pending()))
	if err := c.reader.Err(); err != nil {
		c.refuse(wireFault(err), c.reader.Frame())
	}
}

// hold waits while an alarm lasts, or while too many receipts wait for the log. A client that is
// not read cannot be heard, so its heart-beat is not checked meanwhile.
func (c *conn) hold() {
	c.flush()
	c.beat.held.Store(true)
	for !c.aborted.Load() && (c.blocked.Load() || c.receipts.crowded()) {
		<-c.wake
	}
	c.beat.held.Store(false)
}

// attend does what a read was ended for.
func (c *conn) attend() {
	c.woken.Store(false)
	_ = c.net.SetReadDeadline(time.Time{}) // a closed connection fails the next read
	if c.woken.Load() {
		c.wakeReader() // it came between the two
	}
	if c.session != nil {
		c.rejectPoisoned()
		c.session.Flush()
	}
}

// readEnded logs why no more can be read, unless the client just left.
func (c *conn) readEnded(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	c.log().Info("connection lost", "error", err)
}

// refuse answers a frame with an ERROR and ends the conversation.
func (c *conn) refuse(f *fault, frame *wire.Frame) {
	receipt, _ := frame.Get("receipt")
	c.abort(f, receipt)
	c.done = true
}

// end closes the session, so that what is unsettled goes back to its queues, and then the
// connection: with time for the peer to read the last frame. Data that arrives at a closed socket
// resets the connection (RFC 1122 §4.2.2.13), and the peer may lose what it has not read.
func (c *conn) end() {
	c.stopBeat()
	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	if reason != nil {
		c.log().Info("connection ended with an error", "error", reason)
	}
	b := c.out.Begin()
	c.shut = true
	c.out.End(b)
	if c.registry != nil {
		c.session.Flush()
		c.registry.Close()
	}
	c.out.Flush()
	if m, ok := c.net.(messageConn); ok && reason != nil && reason.unreadable {
		m.EndWith(endUnreadable)
	}
	if c.done || reason != nil {
		half, ok := c.net.(interface{ CloseWrite() error })
		if ok && c.out.Drain(lingerTime) {
			_ = half.CloseWrite() // the close below is the one that counts
		}
		output.Discard(c.net, lingerBytes, lingerTime)
	}
	_ = c.out.Close() // nobody is left to tell
	c.out.Wait()
}

// handle handles one frame.
func (c *conn) handle(f *wire.Frame) *fault {
	if c.session == nil {
		return c.first(f)
	}
	if f.Command == wire.Send {
		return c.send(f)
	}
	if err := checkBody(c.version, f); err != nil {
		return err
	}
	command, idle := f.Command, false
	if command == wire.Unknown {
		command, idle = c.dialect.command(f.Word)
	}
	var err *fault
	switch command {
	case wire.Disconnect:
		c.disconnect(f)
		return nil
	case wire.Subscribe:
		return c.dialect.subscribe(f)
	case wire.Commit:
		return c.commit(f)
	case wire.Unsubscribe:
		err = c.dialect.unsubscribe(f)
	case wire.Ack, wire.Nack:
		err = c.acknowledge(f)
	case wire.Begin:
		err = c.begin(f)
	case wire.Abort:
		err = c.rollback(f)
	case wire.Connect, wire.Stomp:
		err = alreadyConnected()
	default:
		if !idle {
			err = badCommand(f)
		}
	}
	if err == nil {
		c.answer(f)
	}
	return err
}

// answer writes the RECEIPT that a frame asks for.
func (c *conn) answer(f *wire.Frame) {
	if id, ok := f.Get("receipt"); ok {
		_ = c.session.Settled() // of an ACK too; after an error of the log the hub ends
		c.writeReceipt(id)
	}
}

// checkBody refuses a body where 1.1 and 1.2 have none; line breaks, which people type, pass.
func checkBody(v wire.Version, f *wire.Frame) *fault {
	if v == wire.V10 || f.Command == wire.Unknown || f.Command >= wire.Connected {
		return nil // what no client sends is refused for its command
	}
	for _, octet := range f.Body {
		if octet != '\n' && octet != '\r' {
			return newFault("Invalid frame", "%q must not have a body\n", f.Word)
		}
	}
	return nil
}

// disconnect ends the conversation. Its RECEIPT is the last frame: every SEND before it is safe,
// and what belonged to the connection is gone, since clients come back at once.
func (c *conn) disconnect(f *wire.Frame) {
	c.done = true
	c.session.Flush()
	timeout := time.NewTimer(confirmWait)
	defer timeout.Stop()
	for !c.receipts.settled() && !c.aborted.Load() {
		select {
		case <-c.wake:
		case <-timeout.C:
			c.abort(newFault("internal_error", "messages are not safe yet\n"), nil)
		}
	}
	c.registry.Close() // ends deliveries too
	c.answer(f)
}
