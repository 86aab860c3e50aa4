// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"time"
)

// recoveredAckPlaces bounds how many messages one record of a recovery or a stop is about.
const recoveredAckPlaces = 10_000

// recovery is one Recover.
type recovery struct {
	b         *Broker
	structure *Structure
	// settled and attempts are what the log says of messages, by queue.
	settled  map[uint32]map[LSN]struct{}
	attempts map[uint32]map[LSN]uint32
	// clean says that the last process ended in order, so that attempts holds every message that
	// anybody has seen.
	clean bool

	queues   map[uint32]*Queue
	orphans  map[uint32][]LSN // of queues that are gone
	messages int
}

// Recover builds durable exchanges, queues, bindings and messages again from the log. It is called
// once, before the first connection. After a process that did not end in order every message
// counts as delivered before, since nobody can tell.
func (b *Broker) Recover() error {
	start := b.clock.Now()
	r := &recovery{
		b: b, structure: NewStructure(),
		settled: make(map[uint32]map[LSN]struct{}), attempts: make(map[uint32]map[LSN]uint32),
		queues: make(map[uint32]*Queue), orphans: make(map[uint32][]LSN),
	}
	if err := b.log.Read(0, r.survey); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if err := r.build(); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if err := b.log.Read(0, r.fill); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if err := r.finish(); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if len(r.queues) > 0 {
		b.logger.Info("recovered", "queues", len(r.queues), "messages", r.messages,
			"clean", r.clean, "took", b.clock.Now().Sub(start).Round(time.Millisecond))
	}
	return nil
}

// survey reads the log for everything but the messages themselves.
func (r *recovery) survey(at LSN, rec *Record) bool {
	r.clean = rec.Type == RecordStop
	if (rec.Type == RecordAck || rec.Type == RecordDelivery) && len(rec.Queues) != 1 {
		return true // it says nothing
	}
	switch rec.Type {
	case RecordAck:
		settled := r.settled[rec.Queues[0]]
		if settled == nil {
			settled = make(map[LSN]struct{})
			r.settled[rec.Queues[0]] = settled
		}
		for _, lsn := range rec.At {
			settled[lsn] = struct{}{}
		}
	case RecordDelivery:
		attempts := r.attempts[rec.Queues[0]]
		if attempts == nil {
			attempts = make(map[LSN]uint32)
			r.attempts[rec.Queues[0]] = attempts
		}
		for i, lsn := range rec.At {
			attempts[lsn] = rec.Attempts[i]
		}
	case RecordMeta:
		meta := *rec.Meta
		r.used(meta.QueueID)
		r.structure.Apply(&meta, at)
	case RecordTransaction:
		for i := range rec.Records {
			r.survey(at+LSN(1+i), &rec.Records[i])
		}
	case RecordPublish:
		for _, id := range rec.Queues {
			r.used(id)
		}
	case RecordStop:
	}
	return true
}

// used keeps the number of a queue from being given again: the log still speaks of it.
func (r *recovery) used(id uint32) { r.b.queueID.Store(max(id, r.b.queueID.Load())) }

// build makes what stands, in the order in which it was made first.
func (r *recovery) build() error {
	for _, m := range r.structure.All() {
		v := r.b.AddVirtualHost(m.VHost)
		var err error
		switch m.Kind {
		case MetaExchangeDeclare:
			v.exchanges[m.Exchange.Name], err = newExchange(v, m.Exchange)
		case MetaQueueDeclare:
			err = r.buildQueue(v, &m.Meta)
		case MetaBind:
			err = r.bind(v, m.Binding)
		default: // deletions leave nothing standing
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", m.At, err)
		}
	}
	return nil
}

func (r *recovery) buildQueue(v *VirtualHost, m *Meta) error {
	args, err := parseQueueArguments("recover", m.Queue, queueEntity(v.name, m.Queue.Name))
	if err != nil {
		return err
	}
	q := newQueue(v, m.QueueID, m.Queue, args)
	q.consumers.single = args.single
	v.queues[q.Name] = q
	v.changed()
	r.queues[q.id] = q
	return nil
}

func (r *recovery) bind(v *VirtualHost, p BindingParams) error {
	b := &binding{BindingParams: p, source: v.exchanges[p.Source]}
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

// fill reads the log for the messages that nobody settled.
func (r *recovery) fill(at LSN, rec *Record) bool {
	switch rec.Type {
	case RecordPublish:
		r.put(at, rec)
	case RecordTransaction:
		for i := range rec.Records {
			if part := &rec.Records[i]; part.Type == RecordPublish {
				r.put(at+LSN(1+i), part)
			}
		}
	default: // seen before
	}
	return true
}

// put gives one message to its queues, as one copy.
func (r *recovery) put(at LSN, rec *Record) {
	var kept *Message
	for _, id := range rec.Queues {
		if _, done := r.settled[id][at]; done {
			continue
		}
		q := r.queues[id]
		if q == nil {
			r.orphans[id] = append(r.orphans[id], at)
			continue
		}
		if kept == nil {
			kept = rec.Message.retain(&r.b.alarm.held)
		}
		attempts := r.attempts[id][at]
		e := entry{
			msg: kept.retain(nil), lsn: at, attempts: attempts,
			redelivered: !r.clean || attempts > 0,
		}
		q.lock()
		q.nextPos++
		e.pos = q.nextPos
		e.expiresMS = q.expiryFrom(rec.TimeMS, kept)
		q.level(kept.Priority).push(e)
		q.ready++
		q.bytes += len(kept.Body)
		q.unlock()
		r.messages++
	}
	if kept != nil {
		kept.release()
	}
}

// finish lets the queues' clocks run, and settles what belongs to queues that are gone.
func (r *recovery) finish() error {
	for id, at := range r.orphans {
		for len(at) > 0 {
			n := min(len(at), recoveredAckPlaces)
			rec := &Record{Type: RecordAck, Queues: []uint32{id}, At: at[:n]}
			if _, err := r.b.log.Append(rec, nil, 0); err != nil {
				return err
			}
			at = at[n:]
		}
	}
	for _, q := range r.queues {
		q.lock()
		q.used()
		q.armExpiry()
		q.unlock()
	}
	r.b.alarm.check()
	return nil
}

// logStop ends the log in order: which messages were delivered and are not settled, and that these
// are all. Connections are closed by then.
func (b *Broker) logStop() {
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

// logDeliveries logs which of the queue's messages were delivered before.
func (q *Queue) logDeliveries() {
	q.lock()
	defer q.unlock()
	rec := &Record{Type: RecordDelivery, Queues: []uint32{q.id}}
	write := func() {
		if len(rec.At) == 0 {
			return
		}
		if _, err := q.vh.b.log.Append(rec, nil, 0); err != nil {
			q.vh.b.logger.Warn("deliveries not logged", "queue", q.Name, "error", err)
		}
		rec.At, rec.Attempts = rec.At[:0], rec.Attempts[:0]
	}
	for i := range q.levels {
		for e := range q.levels[i].all() {
			if e.lsn == 0 || (!e.redelivered && e.attempts == 0) {
				continue
			}
			rec.At = append(rec.At, e.lsn)
			rec.Attempts = append(rec.Attempts, max(e.attempts, 1))
			if len(rec.At) == recoveredAckPlaces {
				write()
			}
		}
	}
	write()
}
