// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// An exchange of type x-delayed-message routes as the type in its argument x-delayed-type does. A
// message with a positive number of milliseconds in the header x-delay waits first: not for its
// queues, which are found when it is due, but in a queue of the exchange's own (delays.go). Where it
// waits it is taken, so a mandatory one is not returned.
//
// Any exchange lets a message wait that a door publishes with a delay (PublishParams.Delay); it has the
// queue for that from the first such message on, and for good.

const (
	delayedType = "x-delayed-message"
	// delayedQueue comes before the exchange's name in the name of the queue in which its messages
	// wait. It is no queue of the virtual host; clients cannot declare one of such a name.
	delayedQueue = "amq.parley.delayed."
	delayHeader  = "x-delay"
)

// setDelayed gives the exchange the type that it has for messages that are due.
func (x *Exchange) setDelayed() error {
	kind, _ := x.Arguments.Text("x-delayed-type")
	if kind == "" || kind == delayedType {
		return errorf(CodeBadRequest, "declare exchange", exchangeEntity(x.vh.name, x.Name),
			"Invalid argument, 'x-delayed-type' must be an existing exchange type")
	}
	x.delays = true
	return x.setType(kind)
}

// openWaiting gives a delayed exchange the queue in which its messages wait, and logs it. The
// virtual host's lock is held.
func (x *Exchange) openWaiting() error {
	if !x.delays || x.waiting != nil {
		return nil
	}
	x.setWaiting(x.vh.b.queueID.Add(1))
	return x.vh.logMeta(x.Durable, x.waiting.meta(MetaQueueDeclare))
}

func (x *Exchange) setWaiting(id uint32) {
	p := QueueParams{
		Name: delayedQueue + x.Name, Durable: x.Durable, Exclusive: false, AutoDelete: false,
		Passive: false, Arguments: nil,
	}
	args, _ := parseQueueArguments("", p, "") // there are none, so none is bad
	x.waiting = newQueue(x.vh, id, p, args)
	x.waiting.delays = &delays{exchange: x}
}

// publishLater lets a message wait in its exchange, whatever the exchange's type is. It is routed when
// it is due; until then it is in one queue, that of what waits there.
func (s *Session) publishLater(m *Message, delay time.Duration, seq uint64) (int, error) {
	x, err := s.mayPublish(m)
	if err != nil {
		return 0, err
	}
	q, err := x.openLater()
	if err != nil {
		return 0, err
	}
	m.DueMS = s.vh.dueAfter((delay + time.Millisecond - 1).Milliseconds())
	r := &route{queues: []*Queue{q}, dynamic: true}
	r.tidy()
	return s.put(m, r, seq)
}

// openLater returns the queue of what waits in an exchange, which is made when it is first needed. It
// is logged before the first message in it, so whoever waits for that waits for both.
func (x *Exchange) openLater() (*Queue, error) {
	v := x.vh
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case x.deleted || v.deleted:
		return nil, v.noExchange("publish", x.Name)
	case x.waiting != nil:
		return x.waiting, nil
	}
	x.setWaiting(v.b.queueID.Add(1))
	return x.waiting, v.logMeta(x.Durable, x.waiting.meta(MetaQueueDeclare))
}

// closeWaiting drops what waits, with the exchange. The virtual host's lock is held.
func (x *Exchange) closeWaiting() error {
	if x.waiting == nil {
		return nil
	}
	err := x.vh.logMeta(x.Durable, x.waiting.meta(MetaQueueDelete))
	x.waiting.dropDelayed()
	return err
}

func (q *Queue) meta(kind MetaKind) Meta {
	return Meta{Kind: kind, Queue: q.QueueParams, QueueID: q.id}
}

// Delayed returns how many messages wait in an exchange of type x-delayed-message; others report
// false.
func (x *Exchange) Delayed() (messages int, ok bool) {
	x.vh.mu.RLock()
	q := x.waiting
	x.vh.mu.RUnlock()
	if q == nil || !x.delays {
		return 0, false
	}
	q.lock()
	defer q.unlock()
	return q.delays.waiting, true
}

// delayOf returns the milliseconds for which a message with these headers waits; 0 is not at all.
// As with RabbitMQ's plugin any number will do, and text that is a whole one.
func delayOf(headers Table) int64 {
	v, _ := headers.Get(delayHeader)
	if n, ok := integerOf(v); ok {
		return max(n, 0)
	}
	switch v := v.(type) {
	case string:
		n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return max(n, 0)
	case float32:
		return wholeOf(float64(v))
	case float64:
		return wholeOf(v)
	case Decimal:
		return wholeOf(float64(v.Value) / math.Pow10(int(v.Scale)))
	}
	return 0
}

// wholeOf returns the whole part of a positive number, as far as it can be counted in milliseconds.
func wholeOf(f float64) int64 {
	switch {
	case !(f >= 1):
		return 0 // NaN, too
	case f >= math.MaxInt64:
		return math.MaxInt64
	}
	return int64(f)
}

// undelayed is the header of a message that has waited: negative, so that it does not wait again
// and its consumers can see for how long it did. It is of RabbitMQ's type where that has room.
func undelayed(delay int64) any {
	if delay <= math.MaxInt32 {
		return int32(-delay)
	}
	return -delay
}

// dueAfter returns the time that is delay milliseconds from now. A begun millisecond counts, so that
// nothing is early.
func (v *VirtualHost) dueAfter(delay int64) int64 {
	now := v.b.clock.Now().Add(time.Millisecond - 1).UnixMilli()
	if delay > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + delay
}
