// SPDX-License-Identifier: Apache-2.0

package line

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/output"
	"github.com/parley-ipc/parley/internal/trace"
)

const (
	// lingerTime is how long a connection stays after its last line, so that the peer reads it.
	lingerTime = time.Second
	// lingerBytes is how much is read and dropped meanwhile.
	lingerBytes = 64 << 20
	// lineTime is how long any line may take to arrive; a long one gets a second for each lineRate
	// octets of it.
	lineTime = 30 * time.Second
	lineRate = 1 << 10
)

// conn is one connection. What has no lock belongs to the read loop.
type conn struct {
	door *Door
	net  net.Conn
	// loggedIn tells the listener; it clears the read deadline.
	loggedIn func()
	peer     string
	out      *output.Buffer
	check    scanner // of what goes out; guarded by the output's lock
	reader   reader
	command  command
	composer composer

	// Set by login, before the session can call the sink.
	vhost    string
	user     string
	registry *broker.Connection
	session  *broker.Session

	login    broker.Timer // ends the time to log in
	subs     map[string]*subscription
	returned bool // the message of the publish under way reached no queue
	asked    uint64
	askedID  []byte // the correlation id of the last question, for those without one
	// lineBegan and lineEnd are when a line that is not complete began, and until when it has to end.
	lineBegan, lineEnd time.Time
	done               bool // the conversation is over

	confirms confirms
	open     openIDs
	letters  letters
	waits    sync.WaitGroup // for the results of requests
	waiting  atomic.Int64   // of waits
	owed     atomic.Int64   // answers that come later
	gone     chan struct{}  // closed when nobody is answered any more

	shut bool // nothing may be appended any more; guarded by the output's lock

	wake    chan struct{} // there is news for a read loop that waits
	woken   atomic.Bool
	aborted atomic.Bool
	blocked atomic.Bool // an alarm lasts
	leaving atomic.Bool // the client sends no more, and waits for answers
	busy    atomic.Bool // the read loop is in a batch, and flushes at its end

	mu     sync.Mutex // a leaf
	chores []func()   // for the read loop, which alone calls the session
	reason *fault     // of an abort
}

func newConn(d *Door, nc net.Conn, loggedIn func()) *conn {
	c := &conn{
		door: d, net: nc, loggedIn: loggedIn, peer: nc.RemoteAddr().String(),
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
		subs: make(map[string]*subscription),
	}
	c.composer.bodyMax = d.options.BodyBytes
	c.open.limit = d.options.OpenMax
	c.out = output.New(nc, output.Options{
		LimitBytes: d.options.OutputBytes, OnDrain: c.drained, ReadOn: true,
	})
	c.reader = reader{src: nc, limit: beforeLoginBytes}
	return c
}

// serve speaks until the connection ends.
func (c *conn) serve() {
	limit := c.door.options.LoginTimeout
	c.login = c.door.options.Broker.AfterFunc(limit, func() {
		c.abort(nil, refusedLogin("no login within %v", limit))
		c.out.Flush()
	})
	c.run()
	c.end()
}

// drained lets deliveries go on when the output has room again.
func (c *conn) drained() {
	if s := c.session; s != nil {
		s.Resume()
	}
}

// drain ends the connection because the hub stops.
func (c *conn) drain() { c.force(codeDraining, "the hub stops") }

// force ends the connection from outside.
func (c *conn) force(code, message string) {
	c.abort(nil, newFault(code, "%s", message))
	c.out.Flush()
}

// run reads and handles batches of lines until the conversation ends.
func (c *conn) run() {
	for !c.done && !c.aborted.Load() {
		err := c.reader.fill()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.attend()
			continue
		case errors.Is(err, io.EOF):
			c.halfClosed()
			return
		default:
			if !errors.Is(err, net.ErrClosed) {
				c.log().Info("connection lost", "error", err)
			}
			return
		}
		c.busy.Store(true)
		c.batch()
		c.busy.Store(false)
		c.flush()
		c.timeLine()
		if err := c.out.Throttle(); err != nil && !output.Gone(err) {
			return // else it may have sent more before it went
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

// batch handles the lines that are in the buffer.
func (c *conn) batch() {
	for !c.done && !c.aborted.Load() {
		line, ok, err := c.reader.next()
		switch {
		case err != nil:
			c.refuse(nil, err)
			return
		case !ok:
			return
		case len(line) > 0: // an empty line is a sign of life
			c.line(line)
		}
	}
}

// line handles one line.
func (c *conn) line(line []byte) {
	cmd := &c.command
	err := cmd.parse(line)
	if err == nil {
		err = c.handle(cmd)
	}
	if err != nil {
		c.refuse(cmd.id, err)
	}
	if cmd.op.fills() && (c.blocked.Load() || c.confirms.crowded()) {
		c.hold()
	}
}

// fills reports whether an op puts messages into queues, so that an alarm holds back who sends it. An
// answer goes to who waits for it.
func (o op) fills() bool {
	switch o {
	case opSend, opPublish, opCall, opRequest, opGather:
		return true
	default:
		return false
	}
}

// refuse answers with an error; after a fatal one the conversation is over.
func (c *conn) refuse(id []byte, f *fault) {
	if f.code == codeInternal {
		c.log().Error("request failed", "trace_id", f.traceID, "error", f.cause)
	}
	if f.fatal {
		c.abort(id, f)
		c.done = true
		return
	}
	if id == nil && !c.command.has(memberID) {
		c.door.unanswered.Add(1)
		return
	}
	if f.traceID == "" {
		f.traceID = c.traceOf()
	}
	b, open := c.begin()
	if open {
		b = appendEnd(appendFault(appendHead(b, id), f))
	}
	c.out.End(b)
}

// traceOf returns the trace that the request under way names, if it does.
func (c *conn) traceOf() string {
	if !c.command.has(memberHeaders) || c.command.values[memberHeaders].kind != kindObject {
		return ""
	}
	headers, err := readTable(c.command.values[memberHeaders].text)
	if err != nil {
		return ""
	}
	parent, _ := headers.Text("traceparent")
	if at, ok := trace.Parse(parent); ok {
		return at.Trace.String()
	}
	return ""
}

// appendHead begins an answer: with the id, if there is one, and a comma behind it.
func appendHead(b, id []byte) []byte {
	if id == nil {
		return append(b, '{')
	}
	return append(append(append(b, `{"id":`...), id...), ',')
}

func appendEnd(b []byte) []byte { return append(b, "}\n"...) }

// answer writes {id} for a request that wants to hear that it was done.
func (c *conn) answer(id []byte) {
	if id == nil {
		return
	}
	b, open := c.begin()
	if open {
		b = appendEnd(append(append(b, `{"id":`...), id...))
	}
	c.out.End(b)
}

// begin locks the output and says whether anything may be appended: not behind the last word. The
// caller gives the slice to out.End in any case.
func (c *conn) begin() (b []byte, open bool) {
	b = c.out.Begin()
	return b, !c.shut
}

// hold waits while an alarm lasts, or while too many confirms wait for the log.
func (c *conn) hold() {
	c.busy.Store(false)
	c.flush()
	for !c.aborted.Load() && (c.blocked.Load() || c.confirms.crowded()) {
		<-c.wake
		c.work()
	}
	c.busy.Store(true)
}

// attend does what a read was ended for.
func (c *conn) attend() {
	woken := c.woken.Swap(false)
	_ = c.net.SetReadDeadline(time.Time{}) // a closed connection fails the next read
	if c.woken.Load() {
		c.wakeReader() // it came between the two
	}
	switch {
	case c.aborted.Load():
	case !woken && c.session == nil:
		c.refuse(nil, refusedLogin("no login in time"))
	case !woken:
		c.refuse(nil, lateLine())
	}
	c.work()
	c.flush()
	c.timeLine()
}

// lateLine is a line that has begun and does not end.
func lateLine() *fault {
	f := badRequest("a line took too long")
	f.fatal = true
	return f
}

// timeLine bounds the time for the rest of a line that has begun.
func (c *conn) timeLine() {
	pending := c.reader.pending()
	switch {
	case c.session == nil: // the time to log in is the bound
		return
	case pending == 0:
		if c.lineEnd.IsZero() {
			return
		}
		c.lineEnd = time.Time{}
	default:
		most := max(lineTime, time.Duration(pending/lineRate)*time.Second)
		if c.lineEnd.IsZero() {
			c.lineBegan = time.Now()
		}
		c.lineEnd = c.lineBegan.Add(most)
	}
	_ = c.net.SetReadDeadline(c.lineEnd) // ″
	if c.woken.Load() {
		c.wakeReader()
	}
}

// work does what others have left for the read loop.
func (c *conn) work() {
	for {
		c.mu.Lock()
		list := c.chores
		c.chores = nil
		c.mu.Unlock()
		if len(list) == 0 || c.session == nil {
			return
		}
		for _, do := range list {
			do()
		}
		c.session.Flush()
	}
}

// later leaves something for the read loop, which alone calls the session. There is one for each
// delivery at most, and one for each subscription.
func (c *conn) later(do func()) {
	c.mu.Lock()
	c.chores = append(c.chores, do)
	c.mu.Unlock()
	c.signal()
	c.wakeReader()
}

// halfClosed answers what has been read, after the client's last word (line.md, Rules).
func (c *conn) halfClosed() {
	if line := c.reader.last(); len(line) > 0 {
		c.busy.Store(true)
		c.line(line)
		c.busy.Store(false)
	}
	if c.session == nil || c.aborted.Load() {
		return
	}
	for _, sub := range c.subs {
		c.drop(sub)
	}
	c.letters.clear()
	c.session.Recover()
	c.flush()
	c.done = true
	c.leaving.Store(true)
	for !c.aborted.Load() && c.out.Err() == nil && c.owed.Load() > 0 {
		<-c.wake
		c.work()
	}
}

// end closes the session, so that what is unsettled goes back to its queues, and then the
// connection: with time for the peer to read the last line. Data that arrives at a closed socket
// resets the connection (RFC 1122 §4.2.2.13), and the peer may lose what it has not read.
func (c *conn) end() {
	c.login.Stop()
	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	if reason != nil {
		c.log().Info("connection ended with an error", "error", reason)
	}
	b := c.out.Begin()
	c.shut = true
	c.out.End(b)
	close(c.gone)
	c.letters.clear()
	if c.registry != nil {
		c.session.Flush()
		c.registry.Close()
		c.log().Info("connection closed")
	}
	c.waits.Wait()
	c.out.Flush()
	if c.done || reason != nil {
		half, ok := c.net.(interface{ CloseWrite() error })
		if c.written() && ok {
			_ = half.CloseWrite() // the close below is the one that counts
		}
		output.Discard(c.net, lingerBytes, lingerTime)
	}
	_ = c.out.Close() // nobody is left to tell
	c.out.Wait()
}

// written waits until the client has everything, as long as it goes on reading.
func (c *conn) written() bool {
	for {
		before := c.out.Written()
		switch {
		case c.out.Drain(lingerTime):
			return true
		case c.out.Err() != nil || c.out.Written() == before:
			return false
		}
	}
}

// abort ends the connection with a last word, from any goroutine and under a queue's lock if need be:
// it appends and wakes the read loop, which does the rest.
func (c *conn) abort(id []byte, f *fault) {
	b, open := c.begin()
	if open {
		switch {
		case f.fatal:
			b = appendHead(b, id)
		default:
			b = append(b, `{"event":"closing",`...)
		}
		b = appendEnd(appendFault(b, f))
		c.shut = true
	}
	c.out.End(b)
	if !open {
		return
	}
	c.mu.Lock()
	c.reason = f
	c.mu.Unlock()
	c.aborted.Store(true)
	c.signal()
	c.wakeReader()
}

// log returns the logger with the connection's fields.
func (c *conn) log() *slog.Logger {
	return c.door.options.Logger.With("vhost", c.vhost, "peer", c.peer, "user", c.user)
}

// signal wakes the read loop where it waits for the heart.
func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// wakeReader ends a read that is under way. The read loop looks at what there is to do after it has
// set its deadline, so the order of the two does not matter.
func (c *conn) wakeReader() {
	c.woken.Store(true)
	_ = c.net.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
}
