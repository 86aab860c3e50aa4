// SPDX-License-Identifier: Apache-2.0

package broker

// OnceParams make a publish happen once.
type OnceParams struct {
	// Key is what tells the publish from others of the same user and virtual host; never empty.
	Key string
	// Fingerprint is that of the whole publish: with another one the key is refused.
	Fingerprint string
	// MessageID is what the first publish called its message, for who repeats it.
	MessageID string
}

// PublishOnce publishes a message unless this user has published one with the same key within the
// last day; then it publishes nothing and returns what the first publish was. With another
// fingerprint the error is CodeKeyReused. What is refused is not kept: a full queue is
// CodeQueueFull, a mandatory message that reaches no queue CodeUnroutable. The key is in the same
// record as the message; both are safe when [Session.Sync] has returned nil.
func (s *Session) PublishOnce(m *Message, p PublishParams, once OnceParams) (*Request, error) {
	q := &Request{
		ID: newToken(), Service: string(m.Exchange), Operation: string(m.Type),
		VHost: s.vh.name, User: s.conn.User, Created: s.b.clock.Wall(), began: s.b.clock.Now(), MessageID: once.MessageID,
		b: s.b, vh: s.vh, state: RequestSent, key: once.Key, fingerprint: once.Fingerprint,
		ended: make(chan struct{}), stored: make(chan struct{}),
	}
	q.forget = q.began.Add(requestKeyRetention)
	close(q.ended)
	if first, err := s.b.requests.add(q, s.b.limits.Requests); err != nil {
		return nil, err
	} else if first != q {
		return first.again(once.Fingerprint)
	}
	defer close(q.stored)
	if err := s.publishFirst(m, p, q); err != nil {
		q.mu.Lock()
		q.failed = err
		q.mu.Unlock()
		s.b.requests.remove(q)
		q.discard(false)
		return nil, err
	}
	return q, nil
}

// publishFirst publishes a message and keeps its key.
func (s *Session) publishFirst(m *Message, p PublishParams, q *Request) (err error) {
	if err := s.vh.present("publish"); err != nil {
		return err
	}
	r, err := s.routeOf(m)
	if err != nil {
		return err
	}
	q.Routed = len(r.queues) // before the record, which holds it
	m.request = q
	routed, err := s.Publish(m, p)
	m.request = nil
	q.Routed = max(q.Routed, routed) // an answer has no route
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err != nil:
		return err
	case q.failed != nil:
		return q.failed
	case p.Mandatory && q.Routed == 0:
		return errorf(CodeUnroutable, "publish", q.Service, "NO_ROUTE")
	case q.gone:
		return nil // with its virtual host
	case q.logged == "" && s.b.log.Keeps():
		q.logState()
	}
	q.expiry = q.b.clock.AfterFunc(q.forget.Sub(q.began), q.expire)
	return nil
}

// refuse notes that a queue refused the message, so that its key is not kept.
func (q *Request) refuse() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = errorf(CodeQueueFull, "publish", q.Service, "a queue is full and refuses the message")
}

// present refuses a virtual host that is being deleted.
func (v *VirtualHost) present(op string) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.deleted {
		return noVirtualHost(op, v.name)
	}
	return nil
}

// Sync waits until everything that was published so far is safe. It reports a log that failed.
func (s *Session) Sync() error {
	s.Flush() // what was delivered goes out meanwhile
	return structureError(s.b.log.Wait(true))
}
