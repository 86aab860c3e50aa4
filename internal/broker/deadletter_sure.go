// SPDX-License-Identifier: Apache-2.0

package broker

import "time"

// letterRetry is how long a dead letter that nobody took waits before it is tried again.
const letterRetry = 5 * time.Second

// letters are dead letters that stay because nobody took them. The queue's lock guards them.
type letters struct {
	kept  []deadLetter
	bytes int
	retry Timer
}

// sureLetters reports whether dead letters stay until somebody takes them. As in RabbitMQ that needs
// a queue that refuses when it is full: it could hold any number of them otherwise.
func (a *queueArguments) sureLetters() bool {
	return a.strategy == atLeastOnce && a.overflow == rejectPublish
}

// takes reports whether there are queues, and none refuses the message.
func (r *route) takes(m *Message) bool {
	for _, q := range r.queues {
		q.lock()
		full := !q.deleted && q.refusesBehind(m, 0, 0)
		q.unlock()
		if full {
			return false
		}
	}
	return len(r.queues) > 0
}

// keepLetter keeps a dead letter that nobody took, and tries again later. It reports whether the
// queue is still there to keep it.
func (q *Queue) keepLetter(l *deadLetter) bool {
	q.lock()
	defer q.unlock()
	if q.deleted {
		return false
	}
	k := &q.letters
	k.kept = append(k.kept, *l)
	k.bytes += len(l.entry.msg.Body)
	if len(k.kept) > 1 {
		return true // the timer runs
	}
	if k.retry == nil {
		k.retry = q.vh.b.clock.AfterFunc(letterRetry, q.retryLetters)
	} else {
		k.retry.Reset(letterRetry)
	}
	return true
}

// retryLetters is the timer's function.
func (q *Queue) retryLetters() {
	t := newTurn(q.vh.b)
	q.lock()
	t.letters = append(t.letters, q.letters.kept...)
	q.letters.kept, q.letters.bytes = nil, 0
	q.unlock()
	t.finish()
}

// dropLetters lets go of them because the queue is deleted; its lock is held.
func (q *Queue) dropLetters() {
	for i := range q.letters.kept {
		q.letters.kept[i].entry.msg.release()
	}
	q.letters.kept, q.letters.bytes = nil, 0
}
