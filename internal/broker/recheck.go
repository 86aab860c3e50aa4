// SPDX-License-Identifier: Apache-2.0

package broker

import "github.com/parley-ipc/parley/internal/auth"

// Recheck cancels the consumers of a user who may not read from their queue any more; everything else
// is asked for when it is done. An empty name means every user. It is called after permissions have
// changed, from any goroutine and under no lock.
func (b *Broker) Recheck(user string) {
	for _, c := range b.connections.all() {
		if user == "" || c.User == user {
			c.recheck()
		}
	}
}

// Recheck does what [Broker.Recheck] does for one connection. It fails, as Open does, when the user
// may not open the virtual host any more.
func (c *Connection) Recheck() error {
	c.recheck()
	if c.b.access != nil && !c.b.access.MayOpen(c.User, c.VHost) {
		return vhostRefused("recheck", c.VHost, c.User)
	}
	return nil
}

func vhostRefused(op, vhost, user string) error {
	return connErrorf(CodeForbidden, op, "vhost "+vhost,
		"access to vhost '%s' refused for user '%s'", vhost, user)
}

func (c *Connection) recheck() {
	t := newTurn(c.b)
	for _, s := range c.Sessions() {
		for _, consumer := range s.listConsumers() {
			if q := consumer.queue; q != nil &&
				c.allow(auth.Read, "recheck", "queue", consumer.Queue) != nil {
				q.evict(consumer, t)
			}
		}
	}
	t.finish()
}

// evict takes a consumer from its queue and tells its client; what it has not settled stays with the
// session.
func (q *Queue) evict(c *Consumer, t *turn) {
	q.lock()
	defer q.unlock()
	if !q.consumers.remove(c) {
		return // it went by itself
	}
	c.tellGone(t)
	q.consumerGone(c, t)
}

// tellGone ends a consumer that its queue has let go of; the queue's lock is held.
func (c *Consumer) tellGone(t *turn) {
	s := c.session
	s.mu.Lock()
	told := c.cancelled || s.ended
	c.cancelled = true
	if s.consumers[c.Tag] == c {
		delete(s.consumers, c.Tag)
	}
	s.mu.Unlock()
	if !told {
		s.sink.Cancel(c)
		t.touch(s)
	}
}
