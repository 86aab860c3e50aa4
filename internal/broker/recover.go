// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"strings"
	"time"
)

// loggedPlaces bounds how many messages one record of a stop is about.
const loggedPlaces = 10_000

// recovery is one Recover.
type recovery struct {
	b        *Broker
	queues   map[uint32]*Queue
	messages int
}

// Recover builds durable exchanges, queues, bindings and backlogs again from the log. It is called
// once, before the first connection. After a process that did not end in order every message
// counts as delivered before, since nobody can tell. What Recover appends must be durable before the
// first delivery.
func (b *Broker) Recover() error {
	start := b.clock.Now()
	r := &recovery{b: b, queues: make(map[uint32]*Queue)}
	found, err := b.log.Recovered()
	if err == nil {
		b.queueID.Store(found.LastQueueID) // the log still speaks of those below
		err = r.build(found.Structure)
	}
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	r.fill(found)
	if _, err := b.log.Append(&Record{Type: RecordStart}, nil, 0); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	b.recovered.Store(true)
	r.logAttempts(found)
	if len(r.queues) > 0 {
		b.logger.Info("recovered", "queues", len(r.queues), "messages", r.messages,
			"took", b.clock.Now().Sub(start).Round(time.Millisecond))
	}
	return nil
}

// build makes what stands, in the order in which it was made first.
func (r *recovery) build(structure []PlacedMeta) error {
	for i := range structure {
		m := &structure[i]
		if m.Kind == MetaUserPut {
			r.b.users[m.User.Name] = m.User.Value
			continue
		}
		if m.Kind == MetaRequestPut {
			if err := r.recallRequest(&m.Meta); err != nil {
				return fmt.Errorf("record %d: %w", m.At, err)
			}
			continue
		}
		if m.Kind == MetaParameterPut && m.VHost == "" {
			r.b.globals[m.Parameter.Name] = m.Parameter.Value
			continue
		}
		v := r.b.virtualHost(m.VHost)
		var err error
		switch m.Kind {
		case MetaParameterPut:
			err = v.recallParameter(m.Parameter)
		case MetaExchangeDeclare:
			v.exchanges[m.Exchange.Name], err = newExchange(v, m.Exchange)
		case MetaQueueDeclare:
			err = r.buildQueue(v, &m.Meta)
		case MetaBind:
			err = r.bind(v, m.Binding)
		default: // virtual hosts; deletions leave nothing standing
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", m.At, err)
		}
	}
	for _, v := range r.b.VirtualHosts() {
		v.applyPolicies(nil)
	}
	return r.openWaiting()
}

// openWaiting completes delayed exchanges whose declaration the end of the process cut in two.
func (r *recovery) openWaiting() error {
	for _, v := range r.b.VirtualHosts() {
		for _, x := range v.Exchanges() {
			if err := x.openWaiting(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *recovery) buildQueue(v *VirtualHost, m *Meta) error {
	if m.Queue.Name == answersQueue {
		v.answers.id = m.QueueID
		return nil
	}
	if name, ok := strings.CutPrefix(m.Queue.Name, delayedQueue); ok {
		if x := v.exchanges[name]; x != nil {
			x.setWaiting(m.QueueID)
			r.queues[m.QueueID] = x.waiting
		}
		return nil
	}
	args, err := parseQueueArguments("recover", m.Queue, queueEntity(v.name, m.Queue.Name))
	if err != nil {
		return err
	}
	q := newQueue(v, m.QueueID, m.Queue, args)
	v.queues[q.Name] = q
	r.queues[q.id] = q
	return nil
}

func (r *recovery) bind(v *VirtualHost, p BindingParams) error {
	b := &binding{BindingParams: p, id: p.id(), source: v.exchanges[p.Source]}
	if p.ToExchange {
		b.target = v.exchanges[p.Destination]
	} else {
		b.queue = v.queues[p.Destination]
	}
	if b.source == nil || (b.target == nil && b.queue == nil) {
		return fmt.Errorf("binding from '%s' to '%s' in vhost '%s' has a side that is gone",
			p.Source, p.Destination, v.name)
	}
	if err := b.source.matcher.add(b); err != nil {
		return err
	}
	v.addBinding(b)
	return nil
}

// fill tells the queues what nobody settled, and lets their clocks run. Queues with priorities read
// it; the others do when somebody takes it or it goes by itself.
func (r *recovery) fill(found *Recovered) {
	for id, backlog := range found.Backlogs {
		switch q := r.queues[id]; {
		case q == nil: // the log is to leave it out
		case q.delays != nil:
			r.recallDelayed(q, backlog.Suspect)
		case q.pages:
			q.lock()
			q.recall(backlog, found.Attempts[id])
			q.unlock()
		default:
			r.readAll(q, backlog.Suspect, found.Attempts[id])
		}
	}
	for _, q := range r.queues { // from here on they send dead letters to each other
		q.lock()
		if q.delays != nil {
			r.messages += q.delays.waiting
			q.armDelay(0)
			q.unlock()
			continue
		}
		r.messages += q.ready
		q.behind.listed = false
		q.used()
		q.armExpiry()
		q.unlock()
	}
	r.b.alarm.check()
}

// readAll takes a queue's messages into memory. What cannot be read stays in the log.
func (r *recovery) readAll(q *Queue, suspect LSN, attempts map[LSN]uint32) {
	err := r.b.log.ReadQueue(q.id, 0, func(at LSN, rec *Record) bool {
		q.lock()
		defer q.unlock()
		m := r.b.recall(rec.Message)
		q.nextPos++
		e := entry{
			msg: m, pos: q.nextPos, lsn: at, expiresMS: q.expiryFrom(rec.TimeMS, m),
			attempts: attempts[at], redelivered: at <= suspect || attempts[at] > 0,
		}
		q.level(m.Priority).push(e)
		q.entered(&e)
		return true
	})
	if err != nil {
		q.lock()
		q.quarantine(err)
		q.unlock()
	}
}

// logAttempts logs again how often messages of queues with a delivery limit were delivered: the log
// forgets what it has told.
func (r *recovery) logAttempts(found *Recovered) {
	for id, attempts := range found.Attempts {
		q := r.queues[id]
		if q == nil || q.args.deliveryLimit < 0 {
			continue
		}
		d := deliveries{q: q, rec: &Record{Type: RecordDelivery, Queues: []uint32{id}}}
		for at, n := range attempts {
			d.add(at, n)
		}
		d.write()
	}
}

// logStop ends the log in order: which messages were delivered and are not settled, and that these
// are all. Connections are closed by then. A start that failed before it had read the log ends nothing.
func (b *Broker) logStop() {
	if b.log.Keeps() && !b.recovered.Load() {
		return
	}
	for _, v := range b.VirtualHosts() {
		for _, q := range v.Queues() {
			q.logDeliveries()
		}
	}
	if _, err := b.log.Append(&Record{Type: RecordStop}, nil, 0); err != nil {
		b.logger.Warn("the end was not logged; every message will count as redelivered",
			"error", err)
	}
}

// logDeliveries logs which of the queue's messages were delivered before, as far as that is known.
func (q *Queue) logDeliveries() {
	if !q.Durable {
		return
	}
	q.lock()
	defer q.unlock()
	d := deliveries{q: q, rec: &Record{Type: RecordDelivery, Queues: []uint32{q.id}}}
	for i := range q.levels {
		for e := range q.levels[i].all() {
			if e.lsn != 0 && e.msg.Persistent && (e.redelivered || e.attempts > 0) {
				d.add(e.lsn, max(e.attempts, 1))
			}
		}
	}
	for at, attempts := range q.behind.attempts {
		if at > q.behind.from {
			d.add(at, max(attempts, 1)) // 0 means something else there
		}
	}
	if q.behind.messages > 0 && q.behind.from < q.behind.suspect {
		d.add(q.behind.suspect, 0)
	}
	d.write()
}

// deliveries gathers what is logged of one queue's deliveries.
type deliveries struct {
	q   *Queue
	rec *Record
}

func (d *deliveries) add(at LSN, attempts uint32) {
	d.rec.At = append(d.rec.At, at)
	d.rec.Attempts = append(d.rec.Attempts, attempts)
	if len(d.rec.At) == loggedPlaces {
		d.write()
	}
}

func (d *deliveries) write() {
	if len(d.rec.At) == 0 {
		return
	}
	if _, err := d.q.vh.b.log.Append(d.rec, nil, 0); err != nil {
		d.q.vh.b.logger.Warn("deliveries not logged", "queue", d.q.Name, "error", err)
	}
	d.rec.At, d.rec.Attempts = d.rec.At[:0], d.rec.Attempts[:0]
}
