// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"strings"
	"sync"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// delivery is one received message. Nothing of it is borrowed.
type delivery struct {
	consumer      string
	tag           uint64
	redelivered   bool
	exchange, key string
	props         wire.Properties
	body          []byte
}

// consumer is one subscription of a channel. Both functions are called by the connection's reader
// and must not block.
type consumer struct {
	deliver  func(*delivery) error
	canceled func() // by the hub: the queue is gone
}

// confirm is a published message whose confirm is outstanding.
type confirm struct {
	messageID string
	done      chan error // one value
	returned  *Error     // set before the confirm when the message reached no queue
}

// channel is one AMQP channel. Everything the hub sends comes in through method, header and
// bodyFrame, called by the connection's reader only.
type channel struct {
	conn *Conn
	id   uint16

	rpc     chan struct{}    // held during a synchronous method
	answers chan wire.Method // the answer to it
	done    chan struct{}    // closed after err is set

	// content is the message that the reader puts together.
	content struct {
		open     bool
		returned *Error // not nil: a basic.return
		got      bool   // a basic.get-ok
		size     uint64
		headed   bool
		delivery delivery
	}

	mu        sync.Mutex
	err       error
	closing   bool
	consumers map[string]consumer
	lastSeq   uint64 // of confirms
	lowSeq    uint64 // no confirm below it is outstanding
	confirms  map[uint64]*confirm
	byMessage map[string]*confirm
	waiting   map[string]asker // by correlation id
}

// asker gets the answers to one message, from the connection's reader: it must not block.
type asker interface {
	answer(*delivery)
	ended(error)
}

func newChannel(c *Conn) *channel {
	return &channel{
		conn: c, rpc: make(chan struct{}, 1), answers: make(chan wire.Method, 1),
		done: make(chan struct{}), consumers: make(map[string]consumer),
	}
}

// send queues one method frame.
func (ch *channel) send(ctx context.Context, m wire.Method) error {
	return ch.conn.writer.append(ctx, func(dst []byte) []byte {
		return m.AppendFrame(dst, ch.id)
	})
}

// call sends a synchronous method and returns its answer. When ctx ends before that, the channel is
// closed: the next method would take the late answer for its own.
func (ch *channel) call(ctx context.Context, m wire.Method) (wire.Method, error) {
	select {
	case ch.rpc <- struct{}{}:
	case <-ch.done:
		return nil, ch.cause()
	case <-ctx.Done():
		return nil, contextError(ctx, m.ID().String())
	}
	defer func() { <-ch.rpc }()
	if err := ch.send(ctx, m); err != nil {
		return nil, err
	}
	select {
	case answer := <-ch.answers:
		return answer, nil
	case <-ch.done:
		return nil, ch.cause()
	case <-ctx.Done():
		ch.close()
		return nil, contextError(ctx, m.ID().String())
	}
}

func (ch *channel) cause() error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.err
}

// close ends the channel from this side. Its number is free when the hub agrees.
func (ch *channel) close() {
	ch.mu.Lock()
	if ch.closing {
		ch.mu.Unlock()
		return
	}
	ch.closing = true
	ch.mu.Unlock()
	bye := wire.ChannelClose{ReplyCode: uint16(wire.ReplySuccess), ReplyText: "bye"}
	ch.conn.writer.force(func(dst []byte) []byte { return bye.AppendFrame(dst, ch.id) })
	ch.end(errorf(CodeUnreachable, "channel closed"))
}

// end lets all who wait on the channel go, once.
func (ch *channel) end(err error) {
	ch.endWith(err, func(int) error {
		return &Error{
			Code: CodeBadReply, Message: "lost after it was sent: " + err.Error(), cause: err,
		}
	})
}

// endWith is end; lost says what those hear whose messages are on their way.
func (ch *channel) endWith(err error, lost func(n int) error) {
	ch.mu.Lock()
	if ch.err != nil {
		ch.mu.Unlock()
		return
	}
	ch.err = err
	confirms, waiting := ch.confirms, ch.waiting
	ch.confirms, ch.byMessage, ch.waiting = nil, nil, nil
	clear(ch.consumers)
	close(ch.done)
	ch.mu.Unlock()
	fate := lost(len(confirms) + len(waiting))
	for _, c := range confirms {
		c.done <- fate
	}
	for _, a := range waiting {
		a.ended(fate)
	}
}

// method handles a method frame; an error ends the connection.
func (ch *channel) method(f wire.Frame) error {
	id, args, err := f.SplitMethod()
	if err != nil {
		return err
	}
	if ch.content.open {
		return wire.NewUnexpectedFrame(f)
	}
	if handled, err := ch.asynchronous(id, args); handled || err != nil {
		return err
	}
	m, err := wire.NewMethod(id)
	if err != nil {
		return err
	}
	if err := m.Decode(args); err != nil {
		return err
	}
	if id == wire.IDChannelCloseOk {
		ch.conn.forget(ch)
		return nil
	}
	return ch.answered(m)
}

// answered hands an answer to who called.
func (ch *channel) answered(m wire.Method) error {
	select {
	case ch.answers <- m:
	default:
		if !ch.isClosing() {
			return errorf(CodeBadReply, "the hub said %v unasked", m.ID())
		}
	}
	return nil
}

// gotten is the answer to basic.get with its content.
type gotten struct {
	wire.BasicGetOk

	delivery *delivery
}

func (ch *channel) isClosing() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.closing
}

// asynchronous handles what the hub may say at any time.
func (ch *channel) asynchronous(id wire.MethodID, args []byte) (handled bool, err error) {
	switch id { // the rest are answers
	case wire.IDBasicDeliver:
		return true, ch.openDelivery(args)
	case wire.IDBasicReturn:
		return true, ch.openReturn(args)
	case wire.IDBasicGetOk:
		return true, ch.openGet(args)
	case wire.IDBasicAck:
		var m wire.BasicAck
		if err := m.Decode(args); err != nil {
			return true, err
		}
		ch.confirmed(m.DeliveryTag, m.Multiple, nil)
	case wire.IDBasicNack:
		var m wire.BasicNack
		if err := m.Decode(args); err != nil {
			return true, err
		}
		ch.confirmed(m.DeliveryTag, m.Multiple, errorf(CodeQueueFull, "the hub refused the message"))
	case wire.IDBasicCancel:
		var m wire.BasicCancel
		if err := m.Decode(args); err != nil {
			return true, err
		}
		ch.cancelled(m.ConsumerTag)
	case wire.IDChannelFlow:
		var m wire.ChannelFlow
		if err := m.Decode(args); err != nil {
			return true, err
		}
		ok := wire.ChannelFlowOk(m)
		ch.conn.writer.force(func(dst []byte) []byte { return ok.AppendFrame(dst, ch.id) })
	case wire.IDChannelClose:
		return true, ch.closedByHub(args)
	default:
		return false, nil
	}
	return true, nil
}

func (ch *channel) closedByHub(args []byte) error {
	var m wire.ChannelClose
	if err := m.Decode(args); err != nil {
		return err
	}
	ch.conn.writer.force(func(dst []byte) []byte {
		return (&wire.ChannelCloseOk{}).AppendFrame(dst, ch.id)
	})
	ch.mu.Lock()
	crossed := ch.closing
	ch.closing = true // there is nothing left to close
	ch.mu.Unlock()
	if !crossed { // else close-ok to our own close is still to come on this number
		ch.conn.forget(ch)
	}
	e := replyError(m.ReplyCode, m.ReplyText)
	ch.endWith(e, func(n int) error {
		if n == 1 {
			return e // there is no other message that the hub can have meant
		}
		return &Error{
			Code: CodeBadReply, Message: "lost with another message: " + e.Error(), cause: e,
		}
	})
	return nil
}

func (ch *channel) cancelled(tag string) {
	ch.mu.Lock()
	c, ok := ch.consumers[tag]
	delete(ch.consumers, tag)
	ch.mu.Unlock()
	if ok {
		c.canceled()
	}
}

func (ch *channel) openDelivery(args []byte) error {
	var m wire.BasicDeliver
	if err := m.Decode(args); err != nil {
		return err
	}
	ch.content.open = true
	ch.content.delivery = delivery{
		consumer: string(m.ConsumerTag), tag: m.DeliveryTag, redelivered: m.Redelivered,
		exchange: string(m.Exchange), key: string(m.RoutingKey),
	}
	return nil
}

func (ch *channel) openGet(args []byte) error {
	var m wire.BasicGetOk
	if err := m.Decode(args); err != nil {
		return err
	}
	ch.content.open, ch.content.got = true, true
	ch.content.delivery = delivery{
		tag: m.DeliveryTag, redelivered: m.Redelivered,
		exchange: string(m.Exchange), key: string(m.RoutingKey),
	}
	return nil
}

func (ch *channel) openReturn(args []byte) error {
	var m wire.BasicReturn
	if err := m.Decode(args); err != nil {
		return err
	}
	e := replyError(m.ReplyCode, string(m.ReplyText))
	if len(m.Exchange) == 0 {
		e = errorf(CodeNoService, "no queue '%s'", m.RoutingKey)
	}
	ch.content.open, ch.content.returned = true, e
	return nil
}

func (ch *channel) header(payload []byte) error {
	if !ch.content.open || ch.content.headed {
		return errorf(CodeBadReply, "the hub sent a content header out of place")
	}
	var h wire.ContentHeader
	if err := h.Decode(payload); err != nil {
		return err
	}
	if h.BodySize > uint64(ch.conn.options.maxBodyBytes) {
		return errorf(CodeTooLarge, "message of %d bytes, more than the %d of WithMaxBodyBytes",
			h.BodySize, ch.conn.options.maxBodyBytes)
	}
	if err := ch.content.delivery.props.Decode(h.Properties); err != nil {
		return err
	}
	ch.content.headed, ch.content.size = true, h.BodySize
	if h.BodySize == 0 {
		return ch.complete()
	}
	return nil
}

// bodyFrame adds to the body; it grows as the bytes arrive, not as the header announced.
func (ch *channel) bodyFrame(payload []byte) error {
	d := &ch.content.delivery
	have := uint64(len(d.body) + len(payload))
	if !ch.content.headed || have > ch.content.size {
		return errorf(CodeBadReply, "the hub sent more body than it announced")
	}
	d.body = append(d.body, payload...)
	if have == ch.content.size {
		return ch.complete()
	}
	return nil
}

// complete hands a whole message on.
func (ch *channel) complete() error {
	d, returned, got := ch.content.delivery, ch.content.returned, ch.content.got
	ch.content.open, ch.content.headed, ch.content.returned = false, false, nil
	ch.content.delivery, ch.content.got = delivery{}, false
	switch {
	case returned != nil:
		ch.giveBack(&d, returned)
		return nil
	case got:
		return ch.answered(&gotten{delivery: &d})
	}
	ch.mu.Lock()
	c, ok := ch.consumers[d.consumer]
	ch.mu.Unlock()
	if !ok {
		return nil // cancelled meanwhile; what it holds goes back when the channel closes
	}
	return c.deliver(&d)
}

// giveBack notes that a message reached no queue.
func (ch *channel) giveBack(d *delivery, e *Error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if c := ch.byMessage[d.props.MessageID]; c != nil {
		c.returned = e
	}
	if a := ch.waiting[d.props.CorrelationID]; a != nil {
		delete(ch.waiting, d.props.CorrelationID)
		a.ended(e)
	}
}

// confirmed settles one confirm, or all up to it.
func (ch *channel) confirmed(seq uint64, multiple bool, err error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if seq > ch.lastSeq {
		return
	}
	if !multiple {
		ch.settle(seq, err)
		return
	}
	for ; ch.lowSeq <= seq; ch.lowSeq++ {
		ch.settle(ch.lowSeq, err)
	}
}

// settle answers the publisher of seq, if it is outstanding; the lock is held.
func (ch *channel) settle(seq uint64, err error) {
	c := ch.confirms[seq]
	if c == nil {
		return
	}
	delete(ch.confirms, seq)
	delete(ch.byMessage, c.messageID)
	if c.returned != nil {
		err = c.returned
	}
	c.done <- err
}

// enableConfirms makes the hub confirm every message of this channel.
func (ch *channel) enableConfirms(ctx context.Context) error {
	ch.mu.Lock()
	ch.confirms, ch.byMessage = make(map[uint64]*confirm), make(map[string]*confirm)
	ch.lowSeq = 1
	ch.mu.Unlock()
	_, err := ch.call(ctx, &wire.ConfirmSelect{})
	return err
}

// subscription says what to consume.
type subscription struct {
	queue    string
	tag      string
	prefetch uint16
	noAck    bool
}

// consume opens a consumer; deliveries may come before it returns.
func (ch *channel) consume(ctx context.Context, s subscription, c consumer) error {
	if s.prefetch > 0 {
		if _, err := ch.call(ctx, &wire.BasicQos{PrefetchCount: s.prefetch}); err != nil {
			return err
		}
	}
	ch.mu.Lock()
	ch.consumers[s.tag] = c
	ch.mu.Unlock()
	_, err := ch.call(ctx, &wire.BasicConsume{Queue: s.queue, ConsumerTag: s.tag, NoAck: s.noAck})
	return err
}

// declare declares a queue, and returns its name, messages and consumers.
func (ch *channel) declare(ctx context.Context, q *wire.QueueDeclare) (QueueInfo, error) {
	answer, err := ch.call(ctx, q)
	if err != nil {
		return QueueInfo{}, err
	}
	ok, is := answer.(*wire.QueueDeclareOk)
	if !is {
		return QueueInfo{}, errorf(CodeBadReply, "the hub answered %v to a declaration", answer.ID())
	}
	return QueueInfo{
		Name: strings.Clone(ok.Queue), Messages: int(ok.MessageCount), Consumers: int(ok.ConsumerCount),
	}, nil
}
