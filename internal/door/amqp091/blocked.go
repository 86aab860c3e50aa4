// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"sync"
	"sync/atomic"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// blocking is the state of connection.blocked: while a resource alarm lasts, a connection that has
// published is not read any more (amqp-0-9-1.md).
type blocking struct {
	c     *conn
	alarm atomic.Bool // reason is set; read on every publish

	mu        sync.Mutex
	changed   sync.Cond
	reason    string // of the alarm; empty: none
	published bool   // under the alarm
	told      bool   // the client got connection.blocked
	ended     bool   // the connection is to end: wait no longer
}

// set takes a change of the alarm, from any goroutine; empty means that it ended.
func (b *blocking) set(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == reason {
		return
	}
	b.reason = reason
	b.alarm.Store(reason != "")
	if reason == "" {
		b.published = false
		if b.told {
			b.told = false
			b.c.send(0, &wire.ConnectionUnblocked{})
			b.c.out.Flush()
		}
	}
	if b.changed.L != nil {
		b.changed.Broadcast()
	}
}

// publish notes that the connection published under an alarm.
func (b *blocking) publish() {
	if !b.alarm.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published = b.reason != ""
}

// end releases the read loop for good.
func (b *blocking) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	if b.changed.L != nil {
		b.changed.Broadcast()
	}
}

// wait holds the read loop back while the alarm lasts, if this connection has published under it.
func (b *blocking) wait() error {
	if !b.alarm.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == "" || !b.published || b.ended {
		return nil
	}
	b.changed.L = &b.mu
	if b.c.client.blockedNotify && !b.told {
		b.told = true
		b.c.send(0, &wire.ConnectionBlocked{Reason: b.reason})
		b.c.out.Flush()
	}
	b.c.beats.paused.Store(true)
	for b.reason != "" && !b.ended && b.c.out.Err() == nil {
		b.changed.Wait()
	}
	b.c.beats.paused.Store(false)
	return b.c.out.Err()
}
