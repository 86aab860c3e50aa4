// SPDX-License-Identifier: Apache-2.0

package line

import (
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// timeoutMaxMS bounds the time that a call, a gather or a wait may take: a day.
	timeoutMaxMS = 86_400_000
	// unreadFactor is how many times Options.OutputBytes may wait to be written to a client before answers
	// become errors: its subscriptions and its reading were stopped long before.
	unreadFactor = 32
)

// call asks a service and answers with its answer.
func (c *conn) call(cmd *command) *fault {
	timeout, err := timeoutOf(cmd, 1)
	if err != nil {
		return err
	}
	m, err := c.question(cmd)
	if err != nil {
		return err
	}
	id := string(cmd.id)
	c.owe(id)
	_, failed := c.session.Call(broker.CallParams{
		Service: string(m.Key), Message: m, Timeout: timeout,
		Done: func(answer *broker.Message, err *broker.Error) {
			c.open.remove(id)
			c.writeAnswer(id, "", answer, err)
			c.paid()
		},
	})
	m.Edited = false
	if failed != nil {
		c.open.remove(id)
		c.paid()
		return faultOf(failed)
	}
	return nil
}

// timeoutOf returns how long a request may take; 0 when it does not say.
func timeoutOf(cmd *command, least int64) (time.Duration, *fault) {
	ms, err := cmd.whole(memberTimeout, least, timeoutMaxMS, 0)
	return time.Duration(ms) * time.Millisecond, err
}

// question makes the message of a call, request or gather on a service.
func (c *conn) question(cmd *command) (*broker.Message, *fault) {
	if cmd.has(memberKey) {
		return nil, badRequest("'key' goes with 'exchange'")
	}
	if err := c.composer.compose(cmd, nil); err != nil {
		return nil, err
	}
	m := &c.composer.message
	var err *fault
	if m.Key, err = cmd.name(memberService); err != nil {
		return nil, err
	}
	c.correlate()
	return m, nil
}

// correlate gives the composed question a correlation id, if it has none.
func (c *conn) correlate() {
	c.asked++
	n := len(c.askedID)
	c.composer.correlate(strconv.AppendUint(append(c.askedID, '-'), c.asked, 10))
	c.askedID = c.askedID[:n]
}

// writeAnswer writes the answer to a question, or why there is none. more are members that come before
// it, each with its comma. It is called from any goroutine.
func (c *conn) writeAnswer(id, more string, m *broker.Message, err *broker.Error) {
	if c.isUnread() {
		c.door.late.Add(1)
		m, err = nil, &broker.Error{Code: broker.CodeOverloaded, Text: "the client does not read"}
	}
	size := 0
	if m != nil {
		size = m.Size()
	}
	b := c.out.BeginSize(size + headRoom)
	if !c.shut {
		b = append(appendHead(b, []byte(id)), more...)
		if err != nil {
			b = appendFault(b, faultOf(err))
		} else {
			b = appendAnswer(b, m, &c.check)
		}
		b = appendEnd(b)
	}
	c.out.End(b)
	c.flushSoon()
}

// isUnread reports whether so much waits for the client that it gets no answers any more.
func (c *conn) isUnread() bool {
	return c.out.Buffered() > unreadFactor*c.door.options.OutputBytes
}

// flushSoon flushes, unless the read loop is going to.
func (c *conn) flushSoon() {
	if !c.busy.Load() {
		c.out.Flush()
	}
}

// request asks a service; the answer is kept, and may be read through any door.
func (c *conn) request(cmd *command) *fault {
	timeout, err := timeoutOf(cmd, 1)
	if err != nil {
		return err
	}
	m, err := c.question(cmd)
	if err != nil {
		return err
	}
	c.composer.persist(true)
	var p broker.RequestParams
	p.Service, p.Message, p.Timeout = string(m.Key), m, timeout
	r, failed := c.session.Request(p)
	m.Edited = false
	if failed != nil {
		return faultOf(failed)
	}
	b, open := c.begin()
	if open {
		b = appendEnd(appendString(append(appendHead(b, cmd.id), `"request":`...), r.ID))
	}
	c.out.End(b)
	return nil
}

// result answers with where a request stands and, when it is there, the answer. It waits for as long as
// the client says.
func (c *conn) result(cmd *command) *fault {
	name, err := cmd.name(memberRequest)
	if err != nil {
		return err
	}
	timeout, err := timeoutOf(cmd, 0)
	if err != nil {
		return err
	}
	r, failed := c.session.FindRequest(string(name))
	if failed != nil {
		return faultOf(failed)
	}
	id := string(cmd.id)
	if timeout == 0 || isClosed(r.Ended()) {
		c.writeResult(id, r)
		return nil
	}
	if c.waiting.Load() >= int64(c.door.options.WaitsMax) {
		return newFault(codeQuota, "%d results are waited for", c.door.options.WaitsMax)
	}
	c.owe(id)
	c.waiting.Add(1)
	c.waits.Go(func() { c.awaitResult(id, r, timeout) })
	return nil
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// awaitResult waits until a request has ended, at most for a time, and answers.
func (c *conn) awaitResult(id string, r *broker.Request, timeout time.Duration) {
	late := make(chan struct{})
	timer := c.door.options.Broker.AfterFunc(timeout, func() { close(late) })
	defer timer.Stop()
	select {
	case <-r.Ended():
	case <-late:
	case <-c.gone:
		return
	}
	c.waiting.Add(-1)
	c.open.remove(id)
	c.writeResult(id, r)
	c.paid()
}

// writeResult writes where a request stands.
func (c *conn) writeResult(id string, r *broker.Request) {
	state := r.State()
	found, err := r.View(func(m *broker.Message) {
		state = r.State() // it may have come since
		c.writeAnswer(id, `"state":"`+string(state)+`",`, m, nil)
	})
	switch {
	case err != nil:
		c.refuseFrom(id, faultOf(err))
	case !found && state.Answered():
		c.refuseFrom(id, newFault(codeResultGone, "the answer is past its retention"))
	case !found:
		b, open := c.begin()
		if open {
			b = append(appendHead(b, []byte(id)), `"state":"`...)
			b = append(append(b, state...), '"')
			if p := r.Progress(); !p.At.IsZero() {
				b = appendString(append(b, `,"progress":`...), p.String())
			}
			b = appendEnd(b)
		}
		c.out.End(b)
		c.flushSoon()
	}
}

// refuseFrom answers with an error, from any goroutine.
func (c *conn) refuseFrom(id string, f *fault) {
	if f.code == codeInternal {
		c.log().Error("request failed", "trace_id", f.traceID, "error", f.cause)
	}
	b, open := c.begin()
	if open {
		b = appendEnd(appendFault(appendHead(b, []byte(id)), f))
	}
	c.out.End(b)
	c.flushSoon()
}
