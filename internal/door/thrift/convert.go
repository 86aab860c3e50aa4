// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// Content types of bodies that are whole Thrift messages (THRIFT-3250). Others are taken too: see
// isThrift.
const (
	typeBinary  = "application/vnd.apache.thrift.binary"
	typeCompact = "application/vnd.apache.thrift.compact"
	typeJSON    = "application/vnd.apache.thrift.json"
	typeApache  = "application/x-thrift"
	typePlain   = "application/json"
	typeOctets  = "application/octet-stream"
)

// persistentMode is the delivery mode of messages that outlive the hub.
const persistentMode = 2

// typeOf returns the content type of a protocol.
func typeOf(p wire.Protocol) string {
	switch p {
	case wire.Compact:
		return typeCompact
	case wire.JSON:
		return typeJSON
	case wire.Binary:
	}
	return typeBinary
}

// isThrift reports whether a body of that content type is a Thrift message. Which protocol it is shows
// by its first octets.
func isThrift(contentType []byte) bool {
	t, _, _ := bytes.Cut(contentType, []byte{';'})
	t = bytes.TrimSpace(t)
	for _, known := range [...]string{typeBinary, typeCompact, typeJSON, typeApache} {
		if len(t) == len(known) && bytes.EqualFold(t, []byte(known)) {
			return true
		}
	}
	return false
}

// isUnknown reports whether a content type says nothing.
func isUnknown(contentType []byte) bool {
	return len(contentType) == 0 || string(contentType) == typeOctets
}

// appendMessage appends a whole message: a head, and a struct that is written already.
func (c *call) appendMessage(dst []byte, p wire.Protocol, h wire.Head, body []byte) []byte {
	w := &c.writer
	w.Reset(p, dst)
	w.MessageBegin(h)
	dst = w.Bytes()
	if p != wire.JSON {
		return append(dst, body...)
	}
	return append(append(append(dst, ','), body...), ']')
}

// compose makes the question's envelope and body, which calls m: where the service wants it, an object
// of JSON, else the message as it came, under the bare name of the method.
func (c *call) compose(t wire.MessageType, m *contract.Method) error {
	q, p := &c.question, c.message.Protocol
	q.Type = c.head.Name
	if m != c.method { // the contract has another one called
		q.Type = []byte(m.Name)
	}
	if c.json {
		c.contentType = typePlain
		var err error
		c.body, err = c.transcoder.ArgumentsToJSON(c.body[:0], m, p, c.arguments)
		if err != nil {
			return &problem{word: codeBadRequest, detail: err.Error()}
		}
		q.ContentType, q.Body = append(q.ContentType[:0], c.contentType...), c.body
		return nil
	}
	c.contentType = typeOf(p)
	q.ContentType = append(q.ContentType[:0], c.contentType...)
	if t == c.head.Type && !c.head.Lax && c.bare && m == c.method {
		q.Body = c.message.Bytes // it is that already
		return nil
	}
	h := wire.Head{Name: q.Type, Type: t, Seq: c.head.Seq}
	c.body = c.appendMessage(c.body[:0], p, h, c.arguments)
	q.Body = c.body
	return nil
}

// addProperties makes the question's properties, for a queue.
func (c *call) addProperties(timeout time.Duration, persistent bool) error {
	q := &c.question
	p := broker.Properties{
		Set:         broker.HasContentType | broker.HasType | broker.HasCorrelationID,
		ContentType: string(q.ContentType), Type: string(q.Type),
		CorrelationID: "thrift-" + strconv.FormatUint(c.door.asked.Add(1), 10),
	}
	for key, value := range c.headers() {
		p.Headers = append(p.Headers, broker.Field{Name: string(key), Value: string(value)})
	}
	if q.Persistent = persistent; persistent {
		p.DeliveryMode, p.Set = persistentMode, p.Set|broker.HasDeliveryMode
	}
	if timeout > 0 {
		b := c.door.options.Broker
		end := b.ToWall(b.Now().Add(timeout)) // others have the wall clock
		p.Headers = append(p.Headers, broker.Field{
			Name: broker.HeaderDeadline, Value: end.UTC().Format(broker.DeadlineLayout),
		})
		q.ExpirationMS, q.Expires = max(1, timeout.Milliseconds()), true
		p.Expiration, p.Set = strconv.FormatInt(q.ExpirationMS, 10), p.Set|broker.HasExpiration
	}
	if len(p.Headers) > 0 {
		p.Set |= broker.HasHeaders
	}
	raw, err := broker.HubFormat{}.Append(nil, &p)
	if err != nil {
		return err
	}
	q.Format, q.Props, q.CorrelationID = broker.HubFormat{}, raw, []byte(p.CorrelationID)
	return nil
}

// answerReply makes the answer of what a service answered that the hub called itself.
func (c *call) answerReply(got *broker.Reply) error {
	if got.Stream == nil {
		m := got.Message // it stays until the call is over
		c.got.set(m, c.answersHeaders() || !isThrift(m.ContentType))
		c.got.body, c.got.failure = m.Body, got.Failure
		return c.answerGot()
	}
	defer got.Stream.Close()
	var err error
	c.got.own, err = readAll(c.got.own[:0], got.Stream, c.door.limits.MessageBytes)
	if err != nil {
		return err
	}
	c.got.body = c.got.own
	c.got.failure = got.Failure
	c.got.contentType = append(c.got.contentType[:0], got.Head.Get("content-type")...)
	if c.answersHeaders() {
		got.Head.Each(func(name, value string) bool {
			c.got.headers = append(c.got.headers, broker.Field{Name: name, Value: value})
			return len(c.got.headers) < headersMax
		})
	}
	return c.answerGot()
}

// readStepBytes is how a buffer grows that an answer is read into.
const readStepBytes = 4 << 10

// readAll reads up to limit octets behind dst.
func readAll(dst []byte, from io.Reader, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, max(readStepBytes, len(dst)))...)[:len(dst)]
		}
		n, err := from.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, problemf(codeBadReply, "the answer has more than %d octets", limit)
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

// answerGot makes the answer of what the service answered.
func (c *call) answerGot() error {
	if c.got.err != nil {
		return c.got.err
	}
	c.answerInfo()
	form, ok, _ := wire.Detect(c.got.body)
	ok = ok && form.Transport == wire.Unframed
	switch known := isThrift(c.got.contentType); {
	case known && len(c.got.body) == 0 && c.method == nil: // a oneway one, which the service knows
		c.outcome = endOneway
		return nil
	case known && !ok:
		return problemf(codeBadReply, "the service's answer is no message")
	case known, ok && isUnknown(c.got.contentType) && (form.Protocol != wire.JSON || c.isTJSON()):
		return c.answerThrift(form.Protocol)
	}
	if p := c.got.problem(); p != nil {
		return c.answerProblem(p)
	}
	if c.method == nil {
		return problemf(codeBadReply, "the service's answer is not of Thrift")
	}
	return c.answerJSON()
}

// isTJSON tells a message of TJSON from a list that a service answers as JSON.
func (c *call) isTJSON() bool {
	c.reader.Reset(wire.JSON, c.got.body, c.door.answerLimits)
	_, err := c.reader.MessageBegin()
	return err == nil
}

// answerThrift makes the answer of a whole message: its head is the caller's, and what it holds is
// copied, or converted where it is another protocol.
func (c *call) answerThrift(p wire.Protocol) error {
	r := &c.reader
	r.Reset(p, c.got.body, c.door.answerLimits)
	h, err := r.MessageBegin()
	if err != nil {
		return badReply(err)
	}
	if h.Type != wire.Reply && h.Type != wire.Exception {
		return problemf(codeBadReply, "the service answered with a %s", h.Type)
	}
	to := c.head
	to.Type = h.Type
	if h.Type == wire.Exception {
		c.outcome = endException
	}
	if p == c.message.Protocol {
		result, err := c.rest(false)
		if err != nil {
			return badReply(err)
		}
		c.answer = c.appendMessage(c.answer[:0], p, to, result)
		return nil
	}
	if h.Type == wire.Reply && (p == wire.JSON || c.message.Protocol == wire.JSON) {
		return c.convertResult(p)
	}
	w := &c.writer
	w.Reset(c.message.Protocol, c.answer[:0])
	if h.Type == wire.Exception {
		var e wire.ApplicationException
		if err := e.Read(r); err != nil {
			return badReply(err)
		}
		e.Append(w, to)
	} else if err := w.CopyMessage(r, to); err != nil {
		return badReply(err)
	}
	if err := w.Err(); err != nil {
		return badReply(err)
	}
	c.answer = w.Bytes()
	return nil
}

func badReply(err error) error {
	return &problem{word: codeBadReply, detail: "the service's answer cannot be read", cause: err}
}
