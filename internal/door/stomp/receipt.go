// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"slices"
	"sync"
	"sync/atomic"

	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// receiptsWaitingMax bounds the receipts that wait for the log; beyond it the connection is not
// read on.
const receiptsWaitingMax = 65_536

// receipts holds the RECEIPTs that wait until their publishes are safe. Without one that waits, a
// publish and its confirm cost a few atomic operations and no lock.
type receipts struct {
	seq     atomic.Uint64 // the publish that the read loop is in, or was last
	inside  atomic.Bool   // it is in it
	upTo    atomic.Uint64 // all publishes up to here are safe or refused
	refused atomic.Uint64 // the last publish that was refused
	count   atomic.Int64  // of waiting

	mu      sync.Mutex // before the output's lock
	waiting []waitingReceipt
}

// waitingReceipt is one RECEIPT and the publish that it waits for.
type waitingReceipt struct {
	seq uint64
	id  string
}

// begin counts a publish; the heart counts alike.
func (r *receipts) begin() {
	r.seq.Add(1)
	r.inside.Store(true)
}

// committed counts the publishes of a transaction, up to a number of the heart's.
func (r *receipts) committed(upTo uint64) {
	r.seq.Store(upTo)
	r.inside.Store(false)
}

// end ends a publish and says whether it was refused meanwhile.
func (r *receipts) end() (refused bool) {
	r.inside.Store(false)
	return r.refused.Load() == r.seq.Load()
}

// settled says whether all publishes so far are safe.
func (r *receipts) settled() bool { return r.upTo.Load() >= r.seq.Load() }

// crowded says whether too many receipts wait.
func (r *receipts) crowded() bool { return r.count.Load() >= receiptsWaitingMax }

// receiptAfterPublishes writes a RECEIPT when all publishes so far are safe: now, or in Confirm.
func (c *conn) receiptAfterPublishes(id []byte) {
	_ = c.session.Settled() // after an error of the log the hub ends
	r := &c.receipts
	if r.settled() {
		c.writeReceipt(id)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, waitingReceipt{seq: r.seq.Load(), id: string(id)})
	r.count.Add(1) // from here on Confirm sees it
	c.writeReceipts()
}

// writeReceipts writes the RECEIPTs that are due; the lock is held.
func (c *conn) writeReceipts() {
	r := &c.receipts
	upTo, n := r.upTo.Load(), 0
	for n < len(r.waiting) && r.waiting[n].seq <= upTo {
		c.writeReceipt([]byte(r.waiting[n].id))
		n++
	}
	r.waiting = slices.Delete(r.waiting, 0, n)
	r.count.Add(int64(-n))
}

// writeReceipt appends a RECEIPT.
func (c *conn) writeReceipt(id []byte) {
	b, open := c.beginFrame()
	if open {
		b = wire.AppendCommand(b, wire.Receipt)
		b = wire.AppendHeader(b, c.version, "receipt-id", id)
		b = c.appendEnd(b, nil)
	}
	c.out.End(b)
}

// Confirm implements broker.Sink.
func (c *conn) Confirm(upTo uint64) {
	r := &c.receipts
	for {
		have := r.upTo.Load()
		if have >= upTo || r.upTo.CompareAndSwap(have, upTo) {
			break
		}
	}
	if r.count.Load() > 0 {
		r.mu.Lock()
		c.writeReceipts()
		r.mu.Unlock()
	}
	if !r.inside.Load() {
		c.signal()
	}
}

// Nack implements broker.Sink: a queue refused a message. Its sender is told and closed; not to
// answer, as RabbitMQ does, leaves a client waiting for its RECEIPT.
func (c *conn) Nack(seq uint64) {
	r := &c.receipts
	r.refused.Store(seq)
	if r.inside.Load() && r.seq.Load() == seq {
		return // end sees it
	}
	var id []byte
	r.mu.Lock()
	for _, w := range r.waiting {
		if w.seq == seq {
			id = []byte(w.id)
		}
	}
	r.mu.Unlock()
	c.abort(refusedFault(), id)
}

// refusedFault is a SEND that a queue refused, or that the log lost.
func refusedFault() *fault {
	return newFault("Message refused", "a queue is full, or the message could not be stored\n")
}
