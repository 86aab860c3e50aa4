// SPDX-License-Identifier: Apache-2.0

package broker

import "slices"

// deadReason is why a message was dead-lettered, in RabbitMQ's words.
type deadReason string

const (
	reasonRejected      deadReason = "rejected"
	reasonExpired       deadReason = "expired"
	reasonMaxLength     deadReason = "maxlen"
	reasonDeliveryLimit deadReason = "delivery_limit"
)

// deadLetter is a message that left its queue for the dead-letter exchange, or for nowhere.
type deadLetter struct {
	queue  *Queue
	entry  entry
	reason deadReason
	// to is what the queue said when the message left it.
	to deadLetterTo
	// sure says that it stays where it was until somebody takes it (x-dead-letter-strategy).
	sure bool
}

// deadLetterTo is where a queue's dead letters go: without a key of its own they keep theirs.
type deadLetterTo struct {
	exchange, key string
	hasKey        bool
}

// deadLetter puts an entry that left the queue on the caller's turn; the queue's lock is held.
func (q *Queue) deadLetter(e entry, why deadReason, t *turn) {
	if !q.args.deadLetter {
		q.settled(&e)
		e.msg.release()
		return
	}
	t.letters = append(t.letters, deadLetter{
		queue: q, entry: e, reason: why, to: q.args.to, sure: q.args.sureLetters(),
	})
}

// publish sends the dead letter on; no lock is held. One record puts it where it goes and settles it
// where it was; until then the log has it in the queue that it leaves.
func (l *deadLetter) publish(t *turn) {
	q, m := l.queue, l.entry.msg
	taken, err := l.send(t)
	if err != nil {
		q.vh.b.logRefused("dead letter", "vhost", q.vh.name, "queue", q.Name,
			"error", err)
		q.lock()
		defer q.unlock()
		if !q.deleted {
			q.requeue(l.entry)
			return
		}
	}
	if l.sure && !taken && q.keepLetter(l) {
		return
	}
	q.vh.b.metrics.DeadLetter.Add(1)
	m.release()
}

// send publishes it on the dead-letter exchange, if there is one, and settles it. It reports whether
// it did; a letter that has to be taken stays otherwise.
func (l *deadLetter) send(t *turn) (taken bool, err error) {
	q, m := l.queue, l.entry.msg
	from := &origin{queue: q, at: l.entry.lsn}
	x, ok := q.vh.Exchange(l.to.exchange)
	if !ok {
		if l.sure {
			return false, nil
		}
		return true, q.vh.move(putting{m: m, route: &route{}, from: from}, t).err
	}
	out, deaths := l.message()
	r := q.vh.routeFor(x, out)
	found := r
	if kept := withoutCycles(r.queues, deaths); len(kept) < len(r.queues) {
		r = &route{queues: kept}
		r.tidy()
	}
	if l.sure && !r.takes(out) {
		return false, nil
	}
	found.remember(out)
	// The turn's kept copy belongs to the message that is being published around this one.
	stored := t.stored
	t.stored = nil
	result := q.vh.move(putting{m: out, route: r, from: from, sure: l.sure}, t)
	t.stored = stored
	return !result.kept, result.err
}

// message returns what the dead letter goes out as, and its x-death.
func (l *deadLetter) message() (*Message, Array) {
	m := l.entry.msg
	out := &Message{Envelope: m.Envelope, Format: m.Format, Props: m.Props, Body: m.Body, Shared: m.Shared}
	out.Edited = true
	out.Exchange = []byte(l.to.exchange)
	if l.to.hasKey {
		out.Key, out.CC = []byte(l.to.key), nil
	}
	headers := m.headers()
	deaths := l.record(headers, m)
	out.Overlay = l.overlay(m.Overlay, headers, deaths)
	if _, ok := headers.Get("CC"); ok && l.to.hasKey {
		// The queue's own key replaces all keys, those in the header too.
		out.Overlay = out.Overlay.With("CC", Removed{})
	}
	out.Expires = false
	return out, deaths
}

// record returns the x-death array with this death in front, one entry per queue and reason.
func (l *deadLetter) record(headers Table, m *Message) Array {
	var deaths Array
	if v, ok := headers.Get("x-death"); ok {
		if a, ok := v.(Array); ok {
			deaths = slices.Clone(a)
		}
	}
	count := int64(1)
	for i, d := range deaths {
		if t, ok := d.(Table); ok && textOf(t, "queue") == l.queue.Name &&
			textOf(t, "reason") == string(l.reason) {
			if n, ok := t.Integer("count"); ok {
				count = n + 1
			}
			deaths = slices.Delete(deaths, i, i+1)
			break
		}
	}
	keys := Array{string(m.Key)}
	if cc, ok := headers.Get("CC"); ok { // what BCC named is nobody's business
		copies, _ := cc.(Array)
		keys = append(keys, copies...)
	}
	death := Table{
		{"count", count},
		{"reason", string(l.reason)},
		{"queue", l.queue.Name},
		{"time", Timestamp(l.queue.vh.b.clock.Wall().Unix())},
		{"exchange", string(m.Exchange)},
		{"routing-keys", keys},
	}
	if m.Expires {
		death = append(death, Field{"original-expiration", formatInt(m.ExpirationMS)})
	}
	return slices.Insert(deaths, 0, any(death))
}

func (l *deadLetter) overlay(have, headers Table, deaths Array) Table {
	o := have.With("x-death", deaths)
	first := "x-first-death-"
	if _, ok := headers.Get(first + "reason"); !ok {
		o = o.With(first+"reason", string(l.reason)).With(first+"queue", l.queue.Name).
			With(first+"exchange", string(l.entry.msg.Exchange))
	}
	const last = "x-last-death-"
	return o.With(last+"reason", string(l.reason)).With(last+"queue", l.queue.Name).
		With(last+"exchange", string(l.entry.msg.Exchange))
}

// withoutCycles leaves out the queues where the message died before, unless somebody rejected it
// since.
func withoutCycles(queues []*Queue, deaths Array) []*Queue {
	return slices.DeleteFunc(slices.Clone(queues), func(q *Queue) bool {
		for _, d := range deaths {
			t, ok := d.(Table)
			if !ok || textOf(t, "reason") == string(reasonRejected) {
				return false
			}
			if textOf(t, "queue") == q.Name {
				return true
			}
		}
		return false
	})
}

func textOf(t Table, name string) string {
	s, _ := t.Text(name)
	return s
}
