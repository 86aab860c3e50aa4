// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// topicExchange is where methods are published that the contract says it of.
const topicExchange = "amq.topic"

// publish publishes a call on a topic. A oneway one is done then; the void one is answered when the
// message is safe.
func (c *call) publish() error {
	if err := c.compose(wire.Oneway, c.method); err != nil {
		return err
	}
	if err := c.addProperties(0, !c.oneway); err != nil {
		return err
	}
	c.question.Exchange = []byte(topicExchange)
	c.question.Key = append(c.question.Key[:0], c.method.Publish...)
	if c.oneway {
		session, err := c.caller.Sessions.Take()
		if err != nil {
			return err
		}
		var p broker.PublishParams
		_, err = session.Publish(&c.question, p)
		c.caller.Sessions.Give(session)
		return err
	}
	if err := c.publishSafely(); err != nil {
		return err
	}
	return c.answerVoid()
}

// answerVoid answers without a value.
func (c *call) answerVoid() error {
	w := &c.writer
	w.Reset(c.message.Protocol, c.body[:0])
	w.StructBegin()
	w.StructEnd()
	c.body = w.Bytes()
	c.answerResult(c.body)
	return nil
}

// publishSafely publishes through a session of its own, and waits until the log has the message.
func (c *call) publishSafely() error {
	session, err := c.caller.Sessions.Take()
	if err != nil {
		return err
	}
	at := session.Connection()
	c.caller.Sessions.Give(session)
	told := &confirmed{}
	told.wake = make(chan struct{})
	own, err := at.OpenSession(told)
	if err != nil {
		return err
	}
	defer own.Close()
	own.EnableConfirms()
	var p broker.PublishParams
	if _, err := own.Publish(&c.question, p); err != nil {
		return err
	}
	own.Flush()
	select {
	case <-told.wake:
	case <-c.ctx.Done():
		return &broker.Error{Code: broker.CodeCanceled, Op: "publish", Text: "the caller went away"}
	}
	if told.refused {
		return &broker.Error{Code: broker.CodeQueueFull, Op: "publish", Text: "a queue refused the message"}
	}
	return nil
}

// confirmed is the sink of a session that publishes one message.
type confirmed struct {
	silence

	once    sync.Once
	wake    chan struct{} // closed when the hub has said what became of it
	refused bool
}

// Confirm implements broker.Sink.
func (f *confirmed) Confirm(uint64) { f.once.Do(func() { close(f.wake) }) }

// Nack implements broker.Sink.
func (f *confirmed) Nack(uint64) {
	f.once.Do(func() {
		f.refused = true
		close(f.wake)
	})
}
