// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
)

// Envelope is what the heart reads of a message. The byte slices are borrowed from whoever made
// the message.
type Envelope struct {
	// Exchange and Key say where it was published.
	Exchange, Key []byte
	// CC holds further routing keys (the headers CC and BCC of RabbitMQ).
	CC            [][]byte
	ReplyTo       []byte
	CorrelationID []byte
	Type          []byte
	ContentType   []byte
	UserID        []byte
	// ExpirationMS is the time to live in milliseconds; it counts only if Expires is set.
	ExpirationMS int64
	Expires      bool
	Persistent   bool
	Priority     uint8
	// DeadlineMS is the time, in milliseconds since 1970 by the heart's clock, after which it is never
	// dispatched; 0 is none. Calls have one. [Broker.DeadlineOf] says it to others.
	DeadlineMS int64
	// DueMS is the time, in milliseconds since 1970 by the heart's clock, until which it waits in the delayed exchanges on
	// its route. Routing sets it; 0 is not at all.
	DueMS int64
}

// Message is an envelope, the raw properties in the format of their origin, headers that the hub
// adds, and an opaque body.
//
// A door fills one Message and may use it again for every publish: what the heart keeps it copies
// into a message of its own, once, however many queues take it.
type Message struct {
	Envelope
	// Format converts Props; nil when there are none.
	Format Format
	Props  []byte
	// Overlay holds headers that the hub adds to Props; a value of type Removed takes one away.
	Overlay Table
	// Edited says that the envelope's ReplyTo and expiration stand instead of those in Props.
	Edited bool
	Body   []byte
	// Shared is the memory that a large Body lies in, nil when it has none of its own. Who delivers the
	// message may retain it instead of copying the body.
	Shared *Body

	gather  *gather       // the row whose copies this is
	request *Request      // the stored request that this is
	row     *replyRow     // of the call that this is
	failure string        // of an endpoint's answer: see Reply
	buf     *buffer       // holds every slice above but a shared Body, when the heart owns the message
	held    *atomic.Int64 // counts the memory of kept messages
	refs    atomic.Int32
}

// Removed as an overlay's value takes that header away.
type Removed struct{}

// Plain reports whether Props can go out as they stand to a consumer of the same Format.
func (m *Message) Plain() bool { return !m.Edited && len(m.Overlay) == 0 }

// Size returns the bytes that the message counts for in limits: properties and body.
func (m *Message) Size() int { return len(m.Props) + len(m.Body) }

// Clone returns a copy of a message that a door made, which borrows no bytes.
func (m *Message) Clone() *Message {
	out := &Message{
		Envelope: m.Envelope, Format: m.Format, Props: bytes.Clone(m.Props), Overlay: m.Overlay,
		Edited: m.Edited, Body: bytes.Clone(m.Body),
	}
	for _, part := range [...]*[]byte{
		&out.Exchange, &out.Key, &out.ReplyTo, &out.CorrelationID, &out.Type, &out.ContentType,
		&out.UserID,
	} {
		*part = bytes.Clone(*part)
	}
	out.CC = slices.Clone(out.CC)
	for i := range out.CC {
		out.CC[i] = bytes.Clone(out.CC[i])
	}
	return out
}

// borrowed returns a message with what m says, to be changed where m must not be: it is no copy of the
// bytes, and lives no longer than they do.
func (m *Message) borrowed() *Message {
	return &Message{
		Envelope: m.Envelope, Format: m.Format, Props: m.Props, Overlay: m.Overlay, Edited: m.Edited,
		Body: m.Body, Shared: m.Shared, failure: m.failure,
	}
}

// Properties decodes the raw properties and applies what the hub changed. The result is the
// caller's.
func (m *Message) Properties() (Properties, error) {
	var p Properties
	if m.Format == nil {
		m.describe(&p)
	} else if err := m.Format.Decode(m.Props, &p); err != nil {
		return p, err
	}
	if m.Edited {
		m.applyEdits(&p)
	}
	for _, f := range m.Overlay {
		if _, gone := f.Value.(Removed); gone {
			p.Headers = p.Headers.Without(f.Name)
		} else {
			p.Headers = p.Headers.With(f.Name, f.Value)
		}
	}
	if len(p.Headers) > 0 {
		p.Set |= HasHeaders
	}
	return p, nil
}

// describe fills the properties of a message that the hub made: its envelope is all it has.
func (m *Message) describe(p *Properties) {
	set := func(at *string, from []byte, has PropertySet) {
		if len(from) > 0 {
			*at, p.Set = string(from), p.Set|has
		}
	}
	set(&p.CorrelationID, m.CorrelationID, HasCorrelationID)
	set(&p.ReplyTo, m.ReplyTo, HasReplyTo)
	set(&p.Type, m.Type, HasType)
	set(&p.ContentType, m.ContentType, HasContentType)
	set(&p.UserID, m.UserID, HasUserID)
	if m.Priority > 0 {
		p.Priority, p.Set = m.Priority, p.Set|HasPriority
	}
	if m.Persistent {
		p.DeliveryMode, p.Set = 2, p.Set|HasDeliveryMode
	}
	if m.Expires {
		p.Expiration, p.Set = formatInt(m.ExpirationMS), p.Set|HasExpiration
	}
}

func (m *Message) applyEdits(p *Properties) {
	p.ReplyTo = string(m.ReplyTo)
	p.Set &^= HasReplyTo
	if len(m.ReplyTo) > 0 {
		p.Set |= HasReplyTo
	}
	p.Expiration = ""
	p.Set &^= HasExpiration
	if m.Expires {
		p.Expiration, p.Set = formatInt(m.ExpirationMS), p.Set|HasExpiration
	}
}

var messagePool = sync.Pool{New: func() any { return new(Message) }}

// retain returns a message that outlives the caller's borrow, with one reference more. A message
// that the heart owns already is only counted.
func (m *Message) retain(held *atomic.Int64) *Message {
	if m.buf != nil {
		m.refs.Add(1)
		return m
	}
	s, _ := messagePool.Get().(*Message)
	s.Envelope = m.Envelope
	s.Format, s.Overlay, s.Edited = m.Format, m.Overlay, m.Edited
	s.gather, s.request, s.row, s.failure = m.gather, m.request, m.row, m.failure
	n := len(m.Exchange) + len(m.Key) + len(m.ReplyTo) + len(m.CorrelationID) + len(m.Type) +
		len(m.ContentType) + len(m.UserID) + len(m.Props)
	if len(m.Body) >= LargeBodyBytes {
		s.Shared, s.Body = m.ownBody()
	} else {
		n += len(m.Body)
	}
	s.buf = getBuffer(n)
	b := s.buf.b[:0]
	s.Exchange, b = keep(b, m.Exchange)
	s.Key, b = keep(b, m.Key)
	s.ReplyTo, b = keep(b, m.ReplyTo)
	s.CorrelationID, b = keep(b, m.CorrelationID)
	s.Type, b = keep(b, m.Type)
	s.ContentType, b = keep(b, m.ContentType)
	s.UserID, b = keep(b, m.UserID)
	s.Props, b = keep(b, m.Props)
	if s.Shared == nil {
		s.Body, _ = keep(b, m.Body)
	}
	if len(m.CC) > 0 {
		s.CC = make([][]byte, len(m.CC))
		for i, k := range m.CC {
			s.CC[i] = append([]byte(nil), k...)
		}
	}
	s.refs.Store(1)
	s.held = held
	held.Add(s.kept())
	return s
}

// ownBody returns the memory of a large body, held once more, and the body in it: a copy when it was
// borrowed.
func (m *Message) ownBody() (*Body, []byte) {
	if m.Shared != nil {
		m.Shared.Retain()
		return m.Shared, m.Body
	}
	b := NewBody(len(m.Body))
	n := copy(b.bytes, m.Body)
	return b, b.bytes[:n:n]
}

// clone returns a copy that is not counted and not pooled.
func (m *Message) clone() *Message {
	c := &Message{
		Envelope: Envelope{
			ExpirationMS: m.ExpirationMS, Expires: m.Expires, Persistent: m.Persistent,
			Priority: m.Priority, DeadlineMS: m.DeadlineMS, DueMS: m.DueMS,
		},
		Format: m.Format, Overlay: slices.Clone(m.Overlay), Edited: m.Edited,
	}
	c.Exchange, c.Key = bytes.Clone(m.Exchange), bytes.Clone(m.Key)
	c.ReplyTo, c.CorrelationID = bytes.Clone(m.ReplyTo), bytes.Clone(m.CorrelationID)
	c.Type, c.ContentType = bytes.Clone(m.Type), bytes.Clone(m.ContentType)
	c.UserID, c.Props, c.Body = bytes.Clone(m.UserID), bytes.Clone(m.Props), bytes.Clone(m.Body)
	for _, k := range m.CC {
		c.CC = append(c.CC, bytes.Clone(k))
	}
	return c
}

// kept returns the memory that a kept message takes.
func (m *Message) kept() int64 {
	n := int64(cap(m.buf.b)) + messageOverheadBytes
	if m.Shared != nil {
		n += int64(cap(m.Shared.bytes))
	}
	return n
}

// release gives one reference back; after the last one the message must not be touched.
func (m *Message) release() {
	if m.buf == nil || m.refs.Add(-1) > 0 {
		return
	}
	m.held.Add(-m.kept())
	putBuffer(m.buf)
	if m.Shared != nil {
		m.Shared.Release()
	}
	m.Envelope = Envelope{}
	m.Format, m.Props, m.Overlay, m.Edited, m.Body, m.Shared = nil, nil, nil, false, nil, nil
	m.gather, m.request, m.row, m.failure, m.buf, m.held = nil, nil, nil, "", nil, nil
	messagePool.Put(m)
}

// keep appends src to b, whose capacity suffices, and returns the copy and the longer b.
func keep(b, src []byte) (kept, rest []byte) {
	if len(src) == 0 {
		return nil, b
	}
	n := len(b)
	b = append(b, src...)
	return b[n:len(b):len(b)], b
}
