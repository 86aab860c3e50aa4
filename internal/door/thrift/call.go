// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// nameBytesMax bounds the name of a service, which is a queue, and that of a method.
const nameBytesMax = 255

// Caller is who calls.
type Caller struct {
	Sessions          Sessions
	User, VHost, Peer string

	service string        // of the path, for HTTP
	request *http.Request // nil: it is not HTTP
}

// call is a message of a client on its way through the hub, and its answer. It is used again and
// again, so that a call whose service the hub calls itself allocates next to nothing.
type call struct {
	door    *Door
	ctx     context.Context //nolint:containedctx // a call is one
	caller  Caller
	message wire.Message
	kept    []byte // the message, when it is not borrowed from the connection

	reader    wire.Reader
	writer    wire.Writer
	head      wire.Head // of the message; the name is the method's alone
	bare      bool      // it was when it came
	arguments []byte    // the struct
	service   string
	// method is the one of the contract, nil when the service has none; json says that the service
	// wants JSON then.
	method *contract.Method
	json   bool
	// oneway says that nobody waits for an answer, refused that nothing is to be done any more, and err
	// why it cannot be.
	oneway, refused bool
	err             error

	question    broker.Message
	contentType string // of the question
	body        []byte // ″, where it is not the message
	transcoder  contract.Transcoder
	endpoint    broker.EndpointCall
	got         reply

	// answer is the whole message that answers, without what is around it; nothing is answered when it
	// is empty. closes says that the connection ends behind it.
	answer  []byte
	info    wire.Info
	texts   []byte // of info
	closes  bool
	outcome end
	word    string // the code of an exception that the hub made

	// Of the order of answers.
	done bool
	size int
}

// pool has calls that are not used.
type pool struct {
	door *Door
	free sync.Pool
}

func (p *pool) get() *call {
	if c, ok := p.free.Get().(*call); ok {
		return c
	}
	return &call{door: p.door, got: reply{done: make(chan struct{}, 1)}}
}

func (p *pool) put(c *call) {
	for _, b := range [...]*[]byte{&c.kept, &c.body, &c.answer, &c.texts, &c.got.own} {
		if cap(*b) > keepBytes {
			*b = nil
		}
	}
	c.ctx, c.caller, c.message, c.arguments = nil, Caller{}, wire.Message{}, nil
	c.head, c.method, c.err, c.endpoint = wire.Head{}, nil, nil, broker.EndpointCall{}
	key, contentType := c.question.Key[:0], c.question.ContentType[:0]
	c.question = broker.Message{Envelope: broker.Envelope{Key: key, ContentType: contentType}}
	c.got.clear()
	c.reader.Reset(wire.Binary, nil, wire.Limits{})
	c.writer.Reset(wire.Binary, nil)
	p.free.Put(c)
}

// begin takes a message in, which is borrowed.
func (c *call) begin(ctx context.Context, from Caller, m wire.Message) {
	c.ctx, c.caller, c.message = ctx, from, m
	c.answer, c.texts, c.info = c.answer[:0], c.texts[:0], wire.Info{Pairs: c.info.Pairs[:0]}
	c.closes, c.outcome, c.word = false, endReply, ""
}

// keep copies the message, so that its connection can be read on.
func (c *call) keep() { c.kept = c.message.Keep(c.kept) }

// run carries the call out: open and then finish.
func (c *call) run() {
	c.open()
	c.finish()
}

// open reads the message, and finds out what is to be done. It waits for nothing.
func (c *call) open() {
	c.oneway, c.refused, c.err = false, false, nil
	if err := c.read(); err != nil {
		c.refused = true
		c.refuse(err)
		return
	}
	if c.head.Type != wire.Call && c.head.Type != wire.Oneway {
		c.refused, c.closes, c.outcome = true, true, endOneway // thrift.md, Door
		c.door.faults.Add(1)
		return
	}
	if c.err = c.address(); c.err == nil {
		c.err = c.checkAlarm()
	}
	// Apache's Go client says that a oneway call is a call (rule 2): the contract knows better, or, where
	// there is none, the list of the service.
	switch {
	case c.head.Type == wire.Oneway:
		c.oneway = true
	case c.method != nil:
		c.oneway = c.method.Oneway
	default:
		c.oneway = c.door.options.Oneway(c.caller.VHost, c.service, c.head.Name)
	}
}

// finish does it. It waits for the service, unless the call is oneway.
func (c *call) finish() {
	defer c.count()
	if c.refused {
		return
	}
	if c.oneway {
		c.outcome = endOneway
	}
	if c.err == nil {
		c.err = c.do()
	}
	switch {
	case c.err == nil:
	case c.oneway:
		c.lost(c.err)
	default:
		c.fail(c.err)
	}
}

// read takes the message apart.
func (c *call) read() error {
	m, r := &c.message, &c.reader
	r.Reset(m.Protocol, m.Bytes, c.door.limits)
	head, err := r.MessageBegin()
	if err != nil {
		c.readHead()
		return err
	}
	c.head = head
	c.arguments, err = c.rest(m.Shape.Transport == wire.Unframed && m.Protocol != wire.JSON)
	return err
}

// rest returns the struct that is all behind the head which the reader has read. Nothing may follow it:
// to whom the message goes on that might be the next one. One that has been walked is not walked again.
func (c *call) rest(walked bool) ([]byte, error) {
	r := &c.reader
	all := r.Rest()
	if walked {
		return all, nil
	}
	from := r.Offset()
	if err := r.Skip(wire.Struct); err != nil {
		return nil, err
	}
	body := all[:r.Offset()-from]
	if err := r.MessageEnd(); err != nil {
		return nil, err
	}
	if r.Protocol() == wire.JSON { // a comma is before it
		body = trimJSON(body)
	}
	if len(r.Rest()) > 0 && (r.Protocol() != wire.JSON || len(trimJSON(r.Rest())) > 0) {
		return nil, &wire.Error{
			Kind: wire.InvalidData, At: r.Offset(), Text: "octets behind the message",
		}
	}
	return body, nil
}

// trimJSON drops what separates values.
func trimJSON(b []byte) []byte {
	for len(b) > 0 && (b[0] == ',' || b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// do calls the service, or does what the contract says of the method instead.
func (c *call) do() error {
	m := c.method
	switch {
	case m != nil && m.Publish != "" && m.Gather == "":
		return c.publish()
	case c.oneway:
		return c.send()
	case m == nil:
		return c.ask()
	case m.Gather != "":
		return c.gather()
	case m.Request != "":
		return c.request()
	case m.Result != "":
		return c.result()
	default:
		return c.ask()
	}
}

// address finds out whom the message is for (thrift.md, Door).
func (c *call) address() error {
	service, method := wire.SplitName(c.head.Name)
	c.head.Name, c.bare = method, service == nil
	name := c.caller.service
	switch {
	case service != nil:
		if string(service) != c.service { // mostly it is that of the call before
			c.service = string(service)
		}
		name = c.service
	case name == "":
		name = c.unnamed()
	}
	c.service = name
	switch {
	case name == "":
		return problemf(codeNoService, "no service is named, and there is none for such messages")
	case len(name) > nameBytesMax || len(method) > nameBytesMax:
		return problemf(codeBadRequest, "a name is longer than %d bytes", nameBytesMax)
	}
	return c.describe(c.door.options.Contracts.Operations(c.caller.VHost, name))
}

// keyService is the key of a header of Kitex with the service's name in the IDL.
const keyService = "isn"

// unnamed returns the service of a message that has none in its name. It is the listener's, or the one
// that a client of Kitex names in its header, as it does in every call, when a contract describes that.
func (c *call) unnamed() string {
	o := &c.door.options
	if c.message.Shape.Transport != wire.KitexHeader {
		return o.Service
	}
	name, ok := c.message.Shape.Header.Get(keyService)
	if !ok || string(name) == o.Service {
		return o.Service
	}
	named := string(name)
	if o.Service != "" && o.Contracts.Operations(c.caller.VHost, named) == nil {
		return o.Service
	}
	return named
}

// describe finds what the contract of the service says of the method.
func (c *call) describe(known *contract.Operations) error {
	c.method, c.json = nil, false
	if known == nil {
		return nil
	}
	if c.method = known.Method(c.head.Name); c.method == nil {
		return problemf(codeNoMethod, "the contract of '%s' has no such method", shown(c.service))
	}
	c.json = !c.door.options.Thrift(c.caller.VHost, c.service)
	return nil
}

// checkAlarm refuses what brings messages in while memory or disk is short.
func (c *call) checkAlarm() error {
	if reason := c.door.options.Broker.Alarm(); reason != "" {
		return problemf(codeAlarm, "publishing is refused: %s", reason)
	}
	return nil
}

// ask calls the service and makes the answer of its answer.
func (c *call) ask() error {
	timeout := c.timeout()
	if err := c.compose(wire.Call, c.method); err != nil {
		return err
	}
	session, err := c.caller.Sessions.Take()
	if err != nil {
		return err
	}
	direct, err := session.Direct(c.service, &c.question)
	c.caller.Sessions.Give(session)
	if err != nil {
		return err
	}
	if !direct.Taken() {
		return c.askQueue(timeout)
	}
	defer direct.End()
	if timeout == 0 {
		timeout = broker.DefaultTimeout
	}
	e := &c.endpoint
	e.Idempotent = c.method != nil && c.method.Idempotent
	e.Message, e.Head, e.Answers, e.Attempt = &c.question, c, true, 1
	e.Deadline = c.door.options.Broker.Now().Add(timeout)
	got, err := direct.Call(c.ctx, e)
	if err != nil {
		return err
	}
	return c.answerReply(got)
}

// askQueue calls through the queue of the service.
func (c *call) askQueue(timeout time.Duration) error {
	if err := c.addProperties(timeout, false); err != nil {
		return err
	}
	session, err := c.caller.Sessions.Take()
	if err != nil {
		return err
	}
	asked, err := session.Call(broker.CallParams{
		Service: c.service, Message: &c.question, Timeout: timeout, Done: c.got.take,
	})
	c.caller.Sessions.Give(session)
	if err != nil {
		return err
	}
	select {
	case <-c.got.done:
	case <-c.ctx.Done():
		if asked.Cancel() {
			return &broker.Error{Code: broker.CodeCanceled, Op: "call", Text: "the caller went away"}
		}
		<-c.got.done // it is on its way
	}
	if c.got.err != nil {
		return c.got.err
	}
	return c.answerGot()
}

// count counts and logs the call.
func (c *call) count() {
	c.door.ended[c.outcome].Inc()
	log := c.door.options.Logger
	if !log.Enabled(c.ctx, slog.LevelDebug) {
		return
	}
	log.DebugContext(c.ctx, "call", "peer", c.caller.Peer, "vhost", c.caller.VHost,
		"user", c.caller.User, "service", shown(c.service), "operation", shown(c.head.Name),
		"answer", c.outcome.String(), "code", c.word, "trace_id", c.traceID())
}

// lost notes a message that is not answered and did not arrive. There may be many of them: they are
// counted, and logged as calls are.
func (c *call) lost(err error) {
	c.word = problemOf(err).word
	c.door.lost.Inc()
}

// reply is the answer of a service, as the heart hands it out.
type reply struct {
	done        chan struct{} // has a token when the rest is set
	err         error
	contentType []byte
	headers     broker.Table
	failure     string
	body        []byte
	own         []byte // what body is copied to
}

// clear drops what was answered.
func (r *reply) clear() {
	r.err, r.headers, r.failure, r.body = nil, nil, "", nil
	r.contentType, r.own = r.contentType[:0], r.own[:0]
}

// take is the end of a call through a queue; m is borrowed.
func (r *reply) take(m *broker.Message, failed *broker.Error) {
	if failed != nil {
		r.err = failed
	} else {
		r.own = append(r.own[:0], m.Body...)
		r.set(m, true)
		r.body, r.failure = r.own, m.Failure()
	}
	r.done <- struct{}{}
}

// set takes what an answer says of itself, and copies it.
func (r *reply) set(m *broker.Message, headers bool) {
	r.contentType = append(r.contentType[:0], m.ContentType...)
	if !headers || m.Format == nil && len(m.Overlay) == 0 { // then there are none
		return
	}
	p, err := m.Properties()
	if err != nil {
		r.err = &problem{
			word: codeBadReply, detail: "the properties of the service's answer cannot be read", cause: err,
		}
		return
	}
	r.headers = p.Headers
}
