// SPDX-License-Identifier: Apache-2.0

package broker

// refuses reports whether the queue is full and refuses a message; a refused one is dead-lettered
// when the queue says so. The queue's lock is held.
func (q *Queue) refuses(m *Message, t *turn) bool {
	if (q.args.overflow == dropHead || !q.args.limited()) && q.delays == nil {
		return false
	}
	full := q.refusesBehind(m, 0, 0)
	if full && q.args.overflow == rejectPublishDLX {
		q.deadLetter(entry{msg: t.keep(m)}, reasonMaxLength, t)
	}
	return full
}

// refusesBehind is refuses for a message that comes behind some that are not in the queue yet, and
// does nothing.
func (q *Queue) refusesBehind(m *Message, messages, bytes int) bool {
	if q.delays != nil {
		return q.vh.b.delayed.Load()+int64(messages) >= int64(q.vh.b.limits.Delayed)
	}
	if q.args.overflow == dropHead || !q.args.limited() {
		return false
	}
	messages += q.ready + len(q.letters.kept)
	bytes += q.bytes + q.letters.bytes + len(m.Body)
	return q.args.maxLength >= 0 && int64(messages) >= q.args.maxLength ||
		q.args.maxBytes >= 0 && int64(bytes) > q.args.maxBytes
}

// exceeds reports whether something is to be dropped from the head. A queue that refuses may hold more
// than its limits when deliveries come back; nothing that it took is dropped.
func (q *Queue) exceeds() bool {
	return q.args.overflow == dropHead &&
		(q.args.maxLength >= 0 && int64(q.ready) > q.args.maxLength ||
			q.args.maxBytes >= 0 && int64(q.bytes) > q.args.maxBytes)
}

// dropOverflow drops from the head what exceeds the queue's limits. Where the head is not in memory,
// it is dropped when it is.
func (q *Queue) dropOverflow(t *turn) {
	for q.ready > q.behind.messages && q.exceeds() {
		q.deadLetter(q.pop(q.first()), reasonMaxLength, t)
	}
}
