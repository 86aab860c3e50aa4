// SPDX-License-Identifier: Apache-2.0

package broker

import "sync"

// turnSteps bounds the dead letters and queue deletions that a caller does itself after
// unlocking; the rest goes to a goroutine of its own.
const turnSteps = 1_000

// turn is the list of what was found under locks and must be done after unlocking: sinks to flush,
// dead letters, queues that lost their last consumer, lost copies of gathers. A session has one; timers make theirs.
type turn struct {
	b       *Broker
	touched []*Session
	letters []deadLetter
	idle    []*Queue // auto-delete queues without consumers
	expired []*Queue // whose letters are among those above
	lost    []lostCopy
	// stored is the kept copy of the message being published, made when the first queue needs it.
	stored *Message
	// hops counts how deep replies to replies are.
	hops int
	// owes is who waits for the answer of a stored request to be durable, and pending says that its
	// ticket will tell.
	owes    owed
	pending bool
	// along goes into the log with the answer of a stored request, in one transaction.
	along *Record
}

func newTurn(b *Broker) *turn { return &turn{b: b} }

// touch remembers to flush a session; the flag keeps it to once per flush, whoever does it.
func (t *turn) touch(s *Session) {
	if !s.dirty.Load() && !s.dirty.Swap(true) {
		t.touched = append(t.touched, s)
	}
}

// keep returns the copy of m that queues hold, made once for all of them.
func (t *turn) keep(m *Message) *Message {
	if m.buf != nil {
		return m.retain(nil)
	}
	held := &t.b.alarm.held
	if t.stored == nil {
		t.stored = m.retain(held)
	}
	return t.stored.retain(held)
}

// dropStored gives back the turn's own reference to the kept copy.
func (t *turn) dropStored() {
	if t.stored != nil {
		t.stored.release()
		t.stored = nil
	}
}

// settle does the dead letters and deletions, which may find more of them, and tells gathers of copies
// that are lost.
func (t *turn) settle() {
	for step := 0; len(t.letters) > 0 || len(t.idle) > 0 || len(t.lost) > 0; step++ {
		if n := len(t.lost); n > 0 { // a queue loses a bounded number at once
			l := t.lost[n-1]
			t.lost[n-1] = lostCopy{}
			t.lost = t.lost[:n-1]
			l.gather.lose(l.n, t)
			continue
		}
		if step >= turnSteps {
			t.b.rest.take(t)
			break
		}
		if n := len(t.idle); n > 0 {
			q := t.idle[n-1]
			t.idle = t.idle[:n-1]
			q.vh.deleteIdle(q, t)
			continue
		}
		l := t.letters[0]
		t.letters = t.letters[1:]
		if len(t.letters) == 0 {
			t.letters = nil
		}
		l.publish(t)
	}
	for len(t.expired) > 0 {
		n := len(t.expired) - 1
		q := t.expired[n]
		t.expired = t.expired[:n]
		q.expiredSent()
	}
}

// flush writes what was appended to the outputs of this turn's sessions.
func (t *turn) flush() {
	t.b.running.log()
	for i, s := range t.touched {
		s.dirty.Store(false)
		s.sink.Flush()
		t.touched[i] = nil
	}
	t.touched = t.touched[:0]
}

// housekeeping does what long turns left, in order, in one goroutine that ends when nothing is left.
type housekeeping struct {
	b *Broker

	mu      sync.Mutex
	letters []deadLetter
	idle    []*Queue
	running bool
	ended   sync.WaitGroup
}

// take moves the rest of a turn here.
func (h *housekeeping) take(t *turn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letters, h.idle = append(h.letters, t.letters...), append(h.idle, t.idle...)
	t.letters, t.idle = nil, nil
	if !h.running {
		h.running = true
		h.ended.Go(h.run)
	}
}

func (h *housekeeping) run() {
	for {
		h.mu.Lock()
		n, m := min(len(h.letters), turnSteps/2), min(len(h.idle), turnSteps/2)
		if n+m == 0 {
			h.running = false
			h.letters, h.idle = nil, nil
			h.mu.Unlock()
			return
		}
		t := &turn{b: h.b, letters: h.letters[:n:n], idle: h.idle[:m:m]}
		h.letters, h.idle = h.letters[n:], h.idle[m:]
		h.mu.Unlock()
		t.finish() // what it finds beyond its steps comes back through take
	}
}

// finish is settle and flush, for callers without a batch of their own.
func (t *turn) finish() {
	t.dropStored()
	t.settle()
	t.flush()
}
