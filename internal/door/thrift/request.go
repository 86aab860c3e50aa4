// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// sibling returns a method of the same contract that the method of the call is about.
func (c *call) sibling(name string) (*contract.Method, error) {
	known := c.door.options.Contracts.Operations(c.caller.VHost, c.service)
	if known != nil {
		if m := known.Method([]byte(name)); m != nil {
			return m, nil
		}
	}
	return nil, problemf(codeNoMethod, "the contract of '%s' has no method '%s'", shown(c.service), name)
}

// request makes a request of a call of another method: its answer is kept. The answer to this one is
// the request's id.
func (c *call) request() error {
	of, err := c.sibling(c.method.Request)
	if err != nil {
		return err
	}
	if err := c.compose(wire.Call, of); err != nil {
		return err
	}
	timeout := c.timeout()
	if err := c.addProperties(timeout, true); err != nil {
		return err
	}
	session, err := c.caller.Sessions.Take()
	if err != nil {
		return err
	}
	var p broker.RequestParams
	p.Service, p.Message, p.Timeout = c.service, &c.question, timeout
	r, err := session.Request(p)
	c.caller.Sessions.Give(session)
	if err != nil {
		return err
	}
	w := &c.writer
	w.Reset(c.message.Protocol, c.body[:0])
	w.StructBegin()
	w.Field(wire.String, 0)
	w.Text([]byte(r.ID))
	w.StructEnd()
	c.body = w.Bytes()
	c.answerResult(c.body)
	return nil
}

// result waits for the answer of a request, whose id is the only argument, and answers with it.
func (c *call) result() error {
	id, err := c.onlyText()
	if err != nil {
		return err
	}
	session, err := c.caller.Sessions.Take()
	if err != nil {
		return err
	}
	r, err := session.FindRequest(id)
	c.caller.Sessions.Give(session)
	if err != nil {
		return err
	}
	timeout := c.patience()
	late := make(chan struct{})
	timer := c.door.options.Broker.AfterFunc(timeout, func() { close(late) })
	defer timer.Stop()
	select {
	case <-r.Ended():
	case <-late:
		return &broker.Error{Code: broker.CodeDeadline, Op: "result", Text: "the request has no answer yet"}
	case <-c.ctx.Done():
		return &broker.Error{Code: broker.CodeCanceled, Op: "result", Text: "the caller went away"}
	}
	found, err := r.View(func(m *broker.Message) {
		c.got.take(m, nil)
		<-c.got.done
	})
	switch {
	case err != nil:
		return err
	case found:
		return c.answerGot()
	case r.State().Answered():
		return &broker.Error{
			Code: broker.CodeResultGone, Op: "result", Text: "the answer is past its retention",
		}
	default:
		return &broker.Error{
			Code: broker.CodeDeadline, Op: "result", Text: "the request is " + string(r.State()),
		}
	}
}

// onlyText returns the first string among the arguments.
func (c *call) onlyText() (string, error) {
	r := &c.reader
	r.Reset(c.message.Protocol, c.arguments, c.door.limits)
	if err := r.StructBegin(); err != nil {
		return "", &problem{word: codeBadRequest, detail: err.Error()}
	}
	for {
		f, err := r.Field()
		switch {
		case err != nil:
		case f.Type == wire.Stop:
			return "", problemf(codeBadRequest, "the id of a request is needed")
		case f.Type == wire.String:
			text, err := r.Text()
			if err != nil {
				return "", &problem{word: codeBadRequest, detail: err.Error()}
			}
			return string(text), nil
		default:
			err = r.Skip(f.Type)
		}
		if err != nil {
			return "", &problem{word: codeBadRequest, detail: err.Error()}
		}
	}
}
