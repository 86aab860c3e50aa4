// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync/atomic"
)

// Bounds of a Spread.
const (
	maxSpreadQueues   = 1_000
	maxSpreadBindings = 100_000
	spreadLinks       = 4 // connections that consume, each a part of the queues
	spreadExchange    = "bench.spread"
	topicKeyPrefix    = "site."
	topicKeySuffix    = ".temp"
)

// topicCopies is how many bindings of a topic exchange match a key, each of another queue.
const topicCopies = 4

// Spread is one publisher whose messages go through an exchange to several queues each, transient
// and acknowledged by their delivery.
//
// A topic exchange has topicCopies bindings for each of its routing keys, one of them literal, three
// with wildcards; message m has key m modulo their number and goes to the queues from m modulo
// Queues on. A fan-out exchange has one binding for each queue.
type Spread struct {
	Exchange  string // its type: topic or fanout
	Queues    int
	Bindings  int // of a topic exchange, a multiple of topicCopies x Queues
	BodyBytes int
}

// Validate says what is wrong with a spread.
func (s Spread) Validate() error {
	switch {
	case s.Queues < topicCopies || s.Queues > maxSpreadQueues:
		return fmt.Errorf("spread: %d queues are not in %d..%d", s.Queues, topicCopies, maxSpreadQueues)
	case s.BodyBytes < minBodyBytes || s.BodyBytes > maxBodyBytes:
		return fmt.Errorf("spread: a body of %d bytes is too small or too large", s.BodyBytes)
	case s.Exchange == "fanout":
		return nil
	case s.Exchange != "topic":
		return fmt.Errorf("spread: %q is neither topic nor fanout", s.Exchange)
	case s.Bindings < 1 || s.Bindings > maxSpreadBindings || s.Bindings%(topicCopies*s.Queues) != 0:
		return fmt.Errorf("spread: %d bindings are too few, too many, or no multiple of %d x %d",
			s.Bindings, topicCopies, s.Queues)
	default:
		return nil
	}
}

// copies returns how many queues a message goes to.
func (s Spread) copies() int {
	if s.Exchange == "topic" {
		return topicCopies
	}
	return s.Queues
}

// keys returns how many routing keys there are.
func (s Spread) keys() int {
	if s.Exchange == "topic" {
		return s.Bindings / topicCopies
	}
	return 1
}

// binding returns queue and pattern of a binding.
func (s Spread) binding(i int) (queue int, pattern string) {
	if s.Exchange != "topic" {
		return i, ""
	}
	key, form := i/topicCopies, i%topicCopies
	digits := fmt.Sprintf("%0*x", queueDigits, key)
	pattern = [topicCopies]string{
		topicKeyPrefix + digits + topicKeySuffix,
		topicKeyPrefix + digits + ".*",
		"*." + digits + topicKeySuffix,
		topicKeyPrefix + digits + ".#",
	}[form]
	return (key + form) % s.Queues, pattern
}

// bindings returns how many bindings there are.
func (s Spread) bindings() int {
	if s.Exchange == "topic" {
		return s.Bindings
	}
	return s.Queues
}

// place returns the number that message m has among those of queue q, which counts the copies of
// every turn over all queues as one run. It is exact for messages that go to q; of any other it is
// that of the next one that does.
func (s Spread) place(m uint64, q int) uint64 {
	queues, copies := uint64(s.Queues), uint64(s.copies())
	at := m + copies - 1 // of queue 0
	if at < uint64(q) {
		return 0
	}
	at -= uint64(q)
	return at/queues*copies + min(at%queues, copies)
}

// spreadBatch is a run of pre-encoded messages whose routing keys take turns.
type spreadBatch struct {
	batch
	keyAt int
	keys  uint64
}

func newSpreadBatch(s Spread) *spreadBatch {
	key := topicKeyPrefix + fmt.Sprintf("%0*x", queueDigits, 0) + topicKeySuffix
	msg, at := appendPublish(nil, content{
		exchange: spreadExchange, key: []byte(key), body: filler(s.BodyBytes),
	})
	return &spreadBatch{
		batch: *newBatch(messageLayout{encoded: msg, seqAt: at.body, hexAt: -1}),
		keyAt: at.key + len(topicKeyPrefix), keys: uint64(s.keys()),
	}
}

// fill implements source.
func (b *spreadBatch) fill(first uint64, n int) []byte {
	out := b.batch.fill(first, n)
	if b.keys > 1 {
		for i, at := 0, b.keyAt; i < n; i, at = i+1, at+b.stride {
			putHex(out[at:at+queueDigits], (first+uint64(i))%b.keys)
		}
	}
	return out
}

// spreader is a Spread under way.
type spreader struct {
	Spread
	run     *run
	flow    *gate
	through atomic.Uint64 // deliveries
	sent    uint64        // messages; written by publish before it ends
	takers  []*spreadTaker
}

// spreadTaker consumes every spreadLinks-th queue. Its counts belong to its link's reader.
type spreadTaker struct {
	of     *spreader
	lane   *lane
	link   *link
	first  int
	queues []checker // of the queues first, first+spreadLinks, …
	got    uint64
}

// Fan publishes as the spread says and counts deliveries: the result's Messages are deliveries, and
// so are those that it says were sent and received.
func Fan(ctx context.Context, p Params, s Spread) (Result, error) {
	if err := s.Validate(); err != nil {
		return Result{}, err
	}
	ctx, r := newRun(ctx, p)
	f := &spreader{Spread: s, run: r}
	f.flow = newGate(max(aheadMessages(s.BodyBytes*s.copies()), 2*spreadLinks))
	drv := &amqpDriver{addr: p.Addr}
	out, err := drv.setUp(ctx, &amqpScanner{deliver: func(*delivery) {}}, f.declare)
	if err != nil {
		return Result{}, fmt.Errorf("publisher: %w", joinEnd(r, err))
	}
	r.add(out)
	for i := range spreadLinks {
		t := f.newTaker(i)
		t.link, err = drv.setUp(ctx, &amqpScanner{deliver: t.take}, t.subscribe)
		if err != nil {
			return Result{}, fmt.Errorf("consumer: %w", joinEnd(r, err))
		}
		r.add(t.link)
	}
	r.pump(out, nil)
	for _, t := range f.takers {
		r.pump(t.link, t.after)
	}
	r.start(f.publish)
	res := Result{Server: out.server}
	err = r.measure(&res)
	if err := firstError(err, r.finish()); err != nil {
		return res, err
	}
	for _, t := range f.takers {
		t.account(&res)
	}
	// A queue's numbers begin with the turn over all queues, its messages maybe later.
	res.Sent = f.sent * uint64(s.copies())
	return res, res.Check()
}

// declare makes exchange, queues and bindings.
func (f *spreader) declare(c *amqpConn) error {
	args := appendShortString(appendShortString([]byte{0, 0}, spreadExchange), f.Exchange)
	if err := c.call(exchangeDeclare, append(args, 0, 0, 0, 0, 0), exchangeDeclareOK); err != nil {
		return err
	}
	err := c.pipeline(f.Queues, queueDeclare, queueDeclareOK, func(i int) []byte {
		return declareArgs(laneQueue(i), 0, "")
	})
	if err != nil {
		return err
	}
	return c.pipeline(f.bindings(), queueBind, queueBindOK, func(i int) []byte {
		queue, pattern := f.binding(i)
		args := appendShortString([]byte{0, 0}, laneQueue(queue))
		args = appendShortString(appendShortString(args, spreadExchange), pattern)
		return append(args, 0, 0, 0, 0, 0)
	})
}

// publish sends until the run stops, and tells every taker how many of the messages are its.
func (f *spreader) publish() error {
	out := f.run.links[0]
	var err error
	f.sent, err = f.run.publish(out, newSpreadBatch(f.Spread), f.flow)
	for _, t := range f.takers {
		t.lane.sentAll(t.wanted(f.sent))
	}
	return err
}

func (f *spreader) newTaker(first int) *spreadTaker {
	t := &spreadTaker{of: f, lane: f.run.newLane(false), first: first}
	for q := first; q < f.Queues; q += spreadLinks {
		t.queues = append(t.queues, checker{next: f.place(0, q)})
	}
	f.takers = append(f.takers, t)
	return t
}

// wanted returns how many deliveries so many messages make here.
func (t *spreadTaker) wanted(sent uint64) uint64 {
	var n uint64
	for i := range t.queues {
		q := t.first + i*spreadLinks
		n += t.of.place(sent, q) - t.of.place(0, q)
	}
	return n
}

// subscribe consumes this taker's queues; the consumer's tag is the place among them.
func (t *spreadTaker) subscribe(c *amqpConn) error {
	return c.pipeline(len(t.queues), basicConsume, basicConsumeOK, func(i int) []byte {
		args := appendShortString([]byte{0, 0}, laneQueue(t.first+i*spreadLinks))
		const noAck = 1 << 1
		return append(appendShortString(args, strconv.Itoa(i)), noAck, 0, 0, 0, 0)
	})
}

// take accounts for one delivery.
func (t *spreadTaker) take(d *delivery) {
	i := 0
	for _, c := range d.consumer {
		i = 10*i + int(c-'0')
	}
	if i < 0 || i >= len(t.queues) || len(d.body) < minBodyBytes {
		t.of.run.cancel(fmt.Errorf("delivery of %d bytes to consumer %q", len(d.body), d.consumer))
		return
	}
	q := t.first + i*spreadLinks
	m := binary.BigEndian.Uint64(d.body)
	at := t.of.place(m, q)
	if t.of.place(m+1, q) != at+1 {
		t.of.run.cancel(fmt.Errorf("message %d came to queue %d, where it does not belong", m, q))
		return
	}
	t.queues[i].count(at)
	t.got++
}

// after publishes what one read has brought.
func (t *spreadTaker) after() error {
	before := t.lane.completed.Load()
	through := t.of.through.Add(t.got - before)
	t.of.flow.advance(through / uint64(t.of.copies()))
	t.lane.complete(t.got)
	return nil
}

// account adds what became of this taker's queues.
func (t *spreadTaker) account(res *Result) {
	for i := range t.queues {
		q := t.first + i*spreadLinks
		t.queues[i].account(res, t.of.place(t.of.sent, q))
	}
}
