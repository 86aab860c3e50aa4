// SPDX-License-Identifier: Apache-2.0

package broker

// refuses reports whether the queue is full and refuses a message; a refused one is dead-lettered
// when the queue says so. The queue's lock is held.
func (q *Queue) refuses(m *Message, t *turn) bool {
	if q.args.overflow == dropHead || !q.args.limited() {
		return false
	}
	full := q.args.maxLength >= 0 && int64(q.ready) >= q.args.maxLength ||
		q.args.maxBytes >= 0 && int64(q.bytes+len(m.Body)) > q.args.maxBytes
	if full && q.args.overflow == rejectPublishDLX {
		q.deadLetter(entry{msg: t.keep(m)}, reasonMaxLength, t)
	}
	return full
}

// exceeds reports whether the queue is longer than its limits allow.
func (q *Queue) exceeds() bool {
	return q.args.maxLength >= 0 && int64(q.ready) > q.args.maxLength ||
		q.args.maxBytes >= 0 && int64(q.bytes) > q.args.maxBytes
}

// dropOverflow drops from the head what exceeds the queue's limits. Where the head is not in memory,
// it is dropped when it is.
func (q *Queue) dropOverflow(t *turn) {
	for q.ready > q.behind.messages && q.exceeds() {
		q.deadLetter(q.pop(q.first()), reasonMaxLength, t)
	}
}
