// SPDX-License-Identifier: Apache-2.0

package broker

import "context"

// Direct is a call to a service whose endpoint has given a credit for it: it runs on its caller's
// goroutine, and no queue holds it. The zero value is none.
type Direct struct {
	// Attached says that the service has an endpoint, whether there was a credit or not.
	Attached bool

	a         *Attachment
	operation []byte // borrowed from the message
	called    bool
}

// Direct asks whether a call to a service can run on the caller's goroutine: nothing is ready before
// it, it is the turn of the service's endpoint, and that has a credit. Otherwise the call can be sent
// with Call, unless Direct says why not: it asks first, as Call does. Of the message only the envelope
// counts; its exchange and key are set here, and it stays as it is until End. Who gets a Direct that is
// Taken ends it.
func (s *Session) Direct(service string, m *Message) (Direct, error) {
	const op = "call"
	m.Exchange, m.Key = nil, append(m.Key[:0], service...)
	r, err := s.routeOf(m)
	if err != nil {
		return Direct{}, err
	}
	if len(r.queues) == 0 {
		return Direct{}, errorf(CodeNoService, op, service, "no service '%s' in vhost '%s'", service,
			s.vh.name)
	}
	q := r.queues[0]
	q.lock()
	if !q.deleted {
		if c := q.nextDirect(); c != nil && c.endpoint != nil && c.endpoint.take(m.Type) {
			a := c.endpoint
			a.running.Add(1) // under the lock: Close waits for all who had it before
			q.consumers.advance(c)
			q.tally.Published++
			q.tally.DeliveredSettled++
			q.unlock()
			s.b.metrics.Calls.Add(1)
			return Direct{Attached: true, a: a, operation: m.Type}, nil
		}
	}
	d := Direct{Attached: q.consumers.endpoints()}
	err = q.mayCall(op, m.Type)
	q.unlock()
	return d, err
}

// nextDirect returns whose turn a call is that no queue holds, or nil; the queue's lock is held. What is
// ready goes first, unless it waits for a breaker of its own operation.
func (q *Queue) nextDirect() *Consumer {
	if c := q.passing(); c != nil {
		return c
	}
	if q.ready == 0 {
		return q.consumers.next()
	}
	return nil
}

// Taken reports whether there is a credit.
func (d *Direct) Taken() bool { return d.a != nil }

// Call uses the credit.
func (d *Direct) Call(ctx context.Context, c *EndpointCall) (*Reply, error) {
	d.called = true
	if !c.Idempotent {
		c.Idempotent = d.a.vh.Operation(d.a.params.Service, d.operation).Idempotent
	}
	return d.a.params.Endpoint.Call(ctx, c)
}

// End is called once, after the reply's stream was closed or instead of Call.
func (d *Direct) End() {
	if d.a == nil {
		return
	}
	if !d.called {
		d.a.params.Endpoint.Return(d.operation)
	}
	d.a.freed()
	d.a.running.Done()
	d.a = nil
}

// endpoints reports whether one of the consumers is an endpoint.
func (s *consumerSet) endpoints() bool {
	for _, c := range s.all {
		if c.endpoint != nil {
			return true
		}
	}
	return false
}

// mayCall asks whether the service can take a call now; the queue's lock is held.
func (q *Queue) mayCall(op string, operation []byte) error {
	switch {
	case q.deleted:
		return errorf(CodeNoService, op, q.Name, "no service '%s' in vhost '%s'", q.Name, q.vh.name)
	case !q.attached():
		return errorf(CodeNoInstance, op, q.Name, "nobody is attached to service '%s'", q.Name)
	case q.ready >= q.vh.b.limits.CallsWaiting && q.passing() == nil:
		return errorf(CodeOverloaded, op, q.Name, "%d calls wait for service '%s' already",
			q.ready, q.Name).of("calls-waiting", q.vh.b.limits.CallsWaiting)
	}
	if e := q.refusal(operation); e != nil {
		return e
	}
	return nil
}

// refusal returns why no consumer would take a call soon: all are endpoints, and they refuse.
func (q *Queue) refusal(operation []byte) (refused *Error) {
	if q.attendedMS > q.nowMS() {
		return nil
	}
	for _, c := range q.consumers.all {
		if c.endpoint == nil {
			return nil
		}
		e := c.endpoint.params.Endpoint.Refusal(operation)
		if e == nil {
			return nil
		}
		refused = e
	}
	return refused
}
