// SPDX-License-Identifier: Apache-2.0

package line

import (
	"strconv"
	"sync"
	"sync/atomic"
)

// confirmsWaitingMax bounds the answers that wait for the log; beyond it the connection is not read
// on.
const confirmsWaitingMax = 16_384

// confirms holds the answers to sends and publishes until their messages are safe. Its lock comes
// before the output's.
type confirms struct {
	count atomic.Int64 // of waiting

	mu      sync.Mutex
	seq     uint64 // of the last publish; the heart counts alike
	inside  uint64 // the publish that the read loop is in; 0: none
	refused bool   // that one
	upTo    uint64 // all publishes up to here are safe or refused
	waiting []waitingAnswer
	head    int // of waiting: what is before it is answered
}

// waitingAnswer is an answer that waits.
type waitingAnswer struct {
	seq     uint64
	id      string
	routed  int // -1 is not told
	refused bool
}

// crowded says whether too many answers wait.
func (f *confirms) crowded() bool { return f.count.Load() >= confirmsWaitingMax }

// begin counts a publish.
func (f *confirms) begin() {
	f.mu.Lock()
	f.seq++
	f.inside, f.refused = f.seq, false
	f.mu.Unlock()
}

// forget takes a publish back that the heart did not count: it refused it before.
func (f *confirms) forget() {
	f.mu.Lock()
	f.seq--
	f.inside = 0
	f.mu.Unlock()
}

// done ends a publish, and says whether it was refused, or is safe already.
func (f *confirms) done() (refused, safe bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inside = 0
	return f.refused, f.upTo >= f.seq
}

// answerWhenSafe answers a request whose message was published last, now or in Confirm. routed -1 is
// not told.
func (c *conn) answerWhenSafe(id []byte, routed int) *fault {
	f := &c.confirms
	refused, safe := f.done()
	switch {
	case refused:
		return refusedFault()
	case id == nil:
		return nil
	case safe:
		c.answerRouted(id, routed)
		return nil
	}
	own := string(id)
	c.owe(own)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, waitingAnswer{seq: f.seq, id: own, routed: routed})
	f.count.Add(1)
	c.answerConfirmed() // it may have come meanwhile
	return nil
}

// answerConfirmed writes the answers that are due; the lock is held.
func (c *conn) answerConfirmed() {
	f := &c.confirms
	from := f.head
	for f.head < len(f.waiting) && f.waiting[f.head].seq <= f.upTo {
		w := &f.waiting[f.head]
		f.head++
		c.open.remove(w.id)
		if w.refused {
			c.refuseLate(w.id)
		} else {
			c.answerRouted([]byte(w.id), w.routed)
		}
		c.paid()
		w.id = ""
	}
	f.count.Add(int64(from - f.head))
	if f.head*2 >= len(f.waiting) { // so that it costs little to move the rest
		n := copy(f.waiting, f.waiting[f.head:])
		clear(f.waiting[n:])
		f.waiting, f.head = f.waiting[:n], 0
	}
}

// answerRouted writes {id} or {id, routed}.
func (c *conn) answerRouted(id []byte, routed int) {
	if id == nil {
		return
	}
	if routed < 0 {
		c.answer(id)
		return
	}
	b, open := c.begin()
	if open {
		b = append(appendHead(b, id), `"routed":`...)
		b = appendEnd(strconv.AppendInt(b, int64(routed), 10))
	}
	c.out.End(b)
}

// refuseLate answers with the refusal of a message.
func (c *conn) refuseLate(id string) {
	b, open := c.begin()
	if open {
		b = appendEnd(appendFault(appendHead(b, []byte(id)), refusedFault()))
	}
	c.out.End(b)
}

// refusedFault is a message that a queue refused, or that the log lost.
func refusedFault() *fault {
	return newFault(codeQueueFull, "a queue is full, or the message could not be stored")
}

// Confirm implements broker.Sink. Its caller flushes.
func (c *conn) Confirm(upTo uint64) {
	f := &c.confirms
	f.mu.Lock()
	f.upTo = max(f.upTo, upTo)
	before := f.count.Load()
	if before > 0 {
		c.answerConfirmed()
	}
	f.mu.Unlock()
	if before >= confirmsWaitingMax {
		c.signal()
	}
}

// Nack implements broker.Sink: a queue refused a message.
func (c *conn) Nack(seq uint64) {
	f := &c.confirms
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inside == seq {
		f.refused = true
		return
	}
	for i := f.head; i < len(f.waiting); i++ {
		if f.waiting[i].seq == seq {
			f.waiting[i].refused = true
		}
	}
}
