// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// sink is a channel's [broker.Sink]: what the heart says becomes frames in the connection's
// output buffer. Any goroutine may call it.
type sink struct {
	c       *conn
	channel uint16
	quiet   atomic.Bool // the channel is closed: nothing more may appear on it; set under mu

	mu        sync.Mutex // after a queue's and a session's lock, before the output buffer
	confirmed uint64     // everything up to here is safe
	told      uint64     // what the client knows of it
	nacked    []uint64   // above told: already refused, so no ack may cover them
	pending   *commit    // a transaction waits instead of the client
	poisoned  []uint64   // deliveries that cannot be sent; as many as may be unsettled
	unfit     bool       // the last basic.get met one
	// timedOut is how long a delivery waited in vain for its acknowledgement.
	timedOut time.Duration
}

var _ broker.TimedSink = (*sink)(nil)

// silence is for a channel that closes. It waits for who is appending a confirm just now: after
// close-ok the number may be another channel's.
func (s *sink) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet.Store(true)
}

// methodBytes bounds what a content method takes beside its names: frame, ids and fixed fields.
const methodBytes = 64

// Deliver implements broker.Sink: basic.deliver, or get-ok when there is no consumer. A message that
// this client cannot be sent (its properties are unreadable, or do not fit a frame) is left out, and
// the read loop dead-letters it.
func (s *sink) Deliver(d *broker.Delivery) int {
	m := d.Message
	if len(d.ReplyTo) > 0 || d.Count > 0 || !plain(m) {
		return s.deliverEdited(d)
	}
	// The usual case has a path of its own: what it needs is small enough to stay in registers
	// and cache.
	content := s.contentOf(m)
	if !content.Fits() {
		s.poison(d, errUnfit)
		return s.c.out.End(s.c.out.Begin())
	}
	size := methodBytes + len(m.Exchange) + len(m.Key) + content.Size()
	if m.Shared != nil && s.c.out.Shares() && content.Frames() <= sharedFrames {
		buf := s.beginDelivery(size-len(m.Body), d)
		return s.c.out.End(s.shareBody(content.AppendHeader(s.appendMethod(buf, d)), &content, m))
	}
	return s.c.out.End(content.Append(s.appendMethod(s.beginDelivery(size, d), d)))
}

// deliverEdited delivers a message whose properties go out changed or converted.
func (s *sink) deliverEdited(d *broker.Delivery) int {
	m := d.Message
	var o outgoing
	err := o.prepare(s, d)
	size := methodBytes + len(m.Exchange) + len(m.Key) + o.size()
	buf := s.beginDelivery(size, d)
	start := len(buf)
	if err == nil {
		buf, err = o.append(s.appendMethod(buf, d))
	}
	if err == nil {
		return s.c.out.End(buf)
	}
	room := s.c.out.End(buf[:start])
	s.poison(d, err)
	return room
}

// sharedFrames bounds the frames of a body that goes out of the memory it lies in: one write takes so
// many. Smaller frames are cheaper to copy.
const sharedFrames = 31

// shareBody appends the body frames without copying what is in them.
func (s *sink) shareBody(buf []byte, content *wire.Content, m *broker.Message) []byte {
	for i := range content.Frames() {
		var part []byte
		buf, part = content.AppendPartHead(buf, i)
		s.c.out.Share(buf, part, m.Shared)
		buf = append(buf, wire.FrameEnd)
	}
	return buf
}

func (s *sink) beginDelivery(size int, d *broker.Delivery) []byte {
	if d.Consumer != nil {
		size += len(d.Consumer.Tag)
	}
	return s.c.out.BeginSize(size)
}

// appendMethod appends what stands before the content.
func (s *sink) appendMethod(buf []byte, d *broker.Delivery) []byte {
	m := d.Message
	if d.Consumer == nil {
		method := wire.BasicGetOk{
			DeliveryTag: d.Tag, Redelivered: d.Redelivered, Exchange: m.Exchange,
			RoutingKey: m.Key, MessageCount: uint32(d.Remaining),
		}
		return method.AppendFrame(buf, s.channel)
	}
	method := wire.BasicDeliver{
		ConsumerTag: wire.BorrowBytes(d.Consumer.Tag), DeliveryTag: d.Tag,
		Redelivered: d.Redelivered, Exchange: m.Exchange, RoutingKey: m.Key,
	}
	return method.AppendFrame(buf, s.channel)
}

// plain reports whether a message came through this protocol and goes out as it came.
func plain(m *broker.Message) bool { return own(m) && m.Plain() }

// own reports whether the raw properties are of this protocol.
func own(m *broker.Message) bool {
	return m.Format != nil && m.Format.ID() == broker.FormatAMQP091
}

func (s *sink) contentOf(m *broker.Message) wire.Content {
	return wire.Content{
		Channel: s.channel, FrameMax: s.c.frameMax, Properties: m.Props, Body: m.Body,
	}
}

// Cancel implements broker.Sink; only clients that asked for it are told (RabbitMQ extension).
func (s *sink) Cancel(c *broker.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.client.cancelNotify && !s.quiet.Load() {
		s.c.send(s.channel, &wire.BasicCancel{ConsumerTag: c.Tag, NoWait: true})
	}
}

// Confirm implements broker.Sink. The client hears of it at the next Flush, once for all.
func (s *sink) Confirm(upTo uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = max(s.confirmed, upTo)
	if s.pending != nil {
		s.pending.progress(s.confirmed)
	}
}

// Nack implements broker.Sink.
func (s *sink) Nack(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.tellConfirms()
	}
	if s.confirmed+1 == seq {
		s.confirmed = seq // settled too: the heart does not confirm it
	}
	if s.pending != nil {
		s.pending.refused = true
		s.pending.progress(s.confirmed)
		return
	}
	i, _ := slices.BinarySearch(s.nacked, seq)
	s.nacked = slices.Insert(s.nacked, i, seq)
	if !s.quiet.Load() {
		nack := wire.BasicNack{DeliveryTag: seq}
		s.c.out.End(nack.AppendFrame(s.c.out.Begin(), s.channel))
	}
}

// Return implements broker.Sink.
func (s *sink) Return(m *broker.Message, _ *broker.Error) {
	if s.quiet.Load() {
		return
	}
	var o outgoing
	err := o.prepare(s, &broker.Delivery{Message: m})
	method := returnOf(m)
	buf := s.c.out.BeginSize(len(m.Exchange) + len(m.Key) + methodBytes + o.size())
	start := len(buf)
	if err == nil {
		buf, err = o.append(method.AppendFrame(buf, s.channel))
	}
	if err != nil { // it came in over this channel, so it is readable and fits
		s.c.log.Warn("message not returned", "channel", s.channel, "error", err)
		buf = buf[:start]
	}
	s.c.out.End(buf)
}

// Block implements broker.Sink.
func (s *sink) Block(reason string) { s.c.block.set(reason) }

// Flush implements broker.Sink.
func (s *sink) Flush() {
	s.mu.Lock()
	s.tellConfirms()
	s.mu.Unlock()
	s.c.out.Flush()
}

// tellConfirms acknowledges up to confirmed. A number that was nacked ends a run: no ack with
// multiple may be the first to cover it.
func (s *sink) tellConfirms() {
	if s.confirmed <= s.told || s.pending != nil {
		return
	}
	for len(s.nacked) > 0 && s.nacked[0] <= s.confirmed {
		s.tellUpTo(s.nacked[0] - 1)
		s.told = max(s.told, s.nacked[0])
		s.nacked = s.nacked[1:]
	}
	s.tellUpTo(s.confirmed)
}

func (s *sink) tellUpTo(n uint64) {
	if n <= s.told {
		return
	}
	ack := wire.BasicAck{DeliveryTag: n, Multiple: n > s.told+1}
	s.told = n
	if !s.quiet.Load() {
		s.c.out.End(ack.AppendFrame(s.c.out.Begin(), s.channel))
	}
}

// outgoing is a message on its way into the buffer: as it came, edited in place, or converted.
type outgoing struct {
	content wire.Content
	edited  bool
	view    wire.PropertyView
	edit    wire.PropertyEdit
	added   int // octets of the edit's headers
}

// prepare takes a message as a delivery shows it.
func (o *outgoing) prepare(s *sink, d *broker.Delivery) (err error) {
	m := d.Message
	o.content = s.contentOf(m)
	switch {
	case d.Count == 0 && plain(m) && len(d.ReplyTo) == 0:
	case own(m) && o.view.Parse(m.Props) == nil:
		o.edited = true
		o.setEdit(m, d.ReplyTo, d.Overlay())
	default:
		o.content.Properties, err = converted(d)
	}
	return err
}

// setEdit says how the raw properties change on their way out.
func (o *outgoing) setEdit(m *broker.Message, replyTo []byte, overlay broker.Table) {
	e := &o.edit
	if m.Edited {
		e.Drop = wire.HasReplyTo | wire.HasExpiration
		if len(m.ReplyTo) > 0 {
			e.Set |= wire.HasReplyTo
			e.ReplyTo = m.ReplyTo
		}
		if m.Expires {
			e.Set |= wire.HasExpiration
			e.Expiration = strconv.AppendInt(nil, m.ExpirationMS, 10)
		}
	}
	if len(replyTo) > 0 {
		e.Set |= wire.HasReplyTo
		e.ReplyTo = replyTo
	}
	if len(overlay) == 0 {
		return
	}
	e.Headers = tableOut(overlay)
	o.added = headersHead + len(e.Headers.AppendFields(nil))
	for _, f := range overlay {
		if _, gone := f.Value.(broker.Removed); gone {
			e.DropHeaders = append(e.DropHeaders, f.Name)
		}
	}
}

// converted turns the properties of another protocol, or of the hub itself, into ours.
func converted(d *broker.Delivery) ([]byte, error) {
	p, err := d.Properties()
	if err != nil {
		return nil, err
	}
	w := propertiesOut(&p)
	return w.Append(nil), nil
}

// headersHead is the length before a table of headers.
const headersHead = 4

// size bounds the octets of header and body frames.
func (o *outgoing) size() int {
	n := o.content.Size()
	if o.edited {
		n += len(o.edit.ReplyTo) + len(o.edit.Expiration) + o.added + 2
	}
	return n
}

// errUnfit is a content header that a client must refuse: it cannot be split (§4.2.6.1).
var errUnfit = errors.New("properties do not fit a frame")

// append appends header and body frames.
func (o *outgoing) append(buf []byte) ([]byte, error) {
	if !o.edited {
		if !o.content.Fits() {
			return buf, errUnfit
		}
		return o.content.Append(buf), nil
	}
	start := len(buf)
	buf = o.content.AppendEditedHeader(buf, &o.view, &o.edit)
	if uint64(len(buf)-start) > uint64(o.content.FrameMax) {
		return buf, errUnfit
	}
	return o.content.AppendBody(buf), nil
}
