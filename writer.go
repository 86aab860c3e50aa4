// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"net"
	"sync"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Limits of a connection's output.
const (
	// maxUnsentBytes makes senders wait. One message more may exceed it.
	maxUnsentBytes = 4 << 20
	// keepBufferBytes is the largest buffer that an idle connection keeps.
	keepBufferBytes = 256 << 10
)

// writer collects frames and writes them from one goroutine, so that many small messages share a
// system call and no sender waits for the socket.
type writer struct {
	mu    sync.Mutex
	buf   []byte
	spare []byte
	err   error
	room  chan struct{} // closed when buf was taken; nil when nobody waits
	wake  chan struct{}
}

func (w *writer) init() { w.wake = make(chan struct{}, 1) }

// append lets fill append whole frames. It waits while too much is unsent, until ctx ends. fill
// runs under the writer's lock, so what it notes has the order of the wire; it must not block.
func (w *writer) append(ctx context.Context, fill func(dst []byte) []byte) error {
	for {
		w.mu.Lock()
		if w.err != nil {
			defer w.mu.Unlock()
			return w.err
		}
		if len(w.buf) < maxUnsentBytes {
			w.buf = fill(w.buf)
			w.mu.Unlock()
			w.signal()
			return nil
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return contextError(ctx, "send")
		}
	}
}

// force appends without waiting: for the few small frames that the reader owes the hub.
func (w *writer) force(fill func(dst []byte) []byte) {
	w.mu.Lock()
	if w.err == nil {
		w.buf = fill(w.buf)
	}
	w.mu.Unlock()
	w.signal()
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns what is to be written, and lets waiting senders go on.
func (w *writer) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.buf
	w.buf, w.spare = w.spare[:0], nil
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	return out
}

// giveBack returns a buffer that was written.
func (w *writer) giveBack(buf []byte) {
	if cap(buf) > keepBufferBytes {
		return
	}
	w.mu.Lock()
	w.spare = buf[:0]
	w.mu.Unlock()
}

// fail lets every sender end with err.
func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// run writes until done is closed or the socket fails. A write may take as long as the hub holds its
// publishers back (connection.blocked): it is the reader that gives up a hub which is silent too. A
// connection with nothing to say for half a
// heartbeat gets one (AMQP 0-9-1 §4.2.7).
func (w *writer) run(nc net.Conn, heartbeat time.Duration, done <-chan struct{}) error {
	var beat <-chan time.Time
	if heartbeat > 0 {
		t := time.NewTicker(heartbeat / 2)
		defer t.Stop()
		beat = t.C
	}
	idle := false
	for {
		select {
		case <-w.wake:
		case <-beat:
			if idle {
				w.force(wire.AppendHeartbeat)
			}
			idle = true
			continue
		case <-done:
			return nil
		}
		out := w.take()
		if len(out) == 0 {
			continue
		}
		idle = false
		if _, err := nc.Write(out); err != nil {
			return err
		}
		w.giveBack(out)
	}
}
