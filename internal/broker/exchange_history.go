// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// historyLength is how many messages an exchange of type x-recent-history keeps unless it says
	// otherwise, historyLengthMax the most that it may say.
	historyLength    = 20
	historyLengthMax = 10_000
	// historyBytes bounds the memory of one exchange's history; its oldest messages go first.
	historyBytes = 64 << 20
)

// history is the last messages that came through an exchange (RabbitMQ's x-recent-history), for the
// queue or exchange that is bound next. As in RabbitMQ it is in memory only.
type history struct {
	held *atomic.Int64

	mu       sync.Mutex // a leaf
	length   int
	bytes    int64
	messages []*Message // the oldest first
	closed   bool
}

func newHistory(x *Exchange) (*history, error) {
	h := &history{length: historyLength, held: &x.vh.b.alarm.held}
	v, ok := x.Arguments.Get("x-recent-history-length")
	if !ok {
		return h, nil
	}
	n, isNumber := integerOf(v)
	switch {
	case !isNumber || n <= 0:
		return nil, errorf(CodeBadRequest, "declare exchange", exchangeEntity(x.vh.name, x.Name),
			"Invalid argument %s, 'x-recent-history-length' must be a positive integer",
			erlang(v))
	case n > historyLengthMax:
		return nil, errorf(CodeBadRequest, "declare exchange", exchangeEntity(x.vh.name, x.Name),
			"Invalid argument %d, 'x-recent-history-length' must not be greater than %d",
			n, historyLengthMax)
	}
	h.length = int(n)
	return h, nil
}

// remember adds a message to the histories on its route, unless its header
// x-recent-history-no-store says not to.
func (r *route) remember(m *Message) {
	if len(r.histories) == 0 {
		return
	}
	if off, _ := m.headers().Get("x-recent-history-no-store"); off == true {
		return
	}
	for _, h := range r.histories {
		h.add(m)
	}
}

func (h *history) add(m *Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	kept := m.retain(h.held)
	h.messages = append(h.messages, kept)
	h.bytes += kept.kept()
	for len(h.messages) > h.length || h.bytes > historyBytes && len(h.messages) > 1 {
		first := h.messages[0]
		h.messages[0] = nil
		h.messages = h.messages[1:]
		h.bytes -= first.kept()
		first.release()
	}
}

// last returns what is kept, with one reference more on each.
func (h *history) last() []*Message {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*Message, len(h.messages))
	for i, m := range h.messages {
		out[i] = m.retain(nil)
	}
	return out
}

// clear lets go of everything, and takes nothing more; a nil history has nothing.
func (h *history) clear() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.messages {
		m.release()
	}
	h.messages, h.bytes, h.closed = nil, 0, true
}

// replay sends the history of a binding's source to its destination, before the binding counts, so
// that nothing comes twice: to a queue the oldest first, through an exchange, as RabbitMQ does, the
// newest. The virtual host's lock is held.
func (v *VirtualHost) replay(b *binding, t *turn) {
	messages := b.source.history.last()
	if b.target != nil {
		slices.Reverse(messages)
	}
	for _, m := range messages {
		// Routing may note something in the message, which others have, too.
		out := m.borrowed()
		if b.target != nil {
			if r := v.findRoute(b.target, out); len(r.queues) > 0 {
				v.put(out, r, t, owed{})
			}
		} else {
			v.put(out, &b.queue.named, t, owed{})
		}
		m.release()
	}
}
