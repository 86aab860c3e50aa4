// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"errors"
	"sync"
	"time"
)

// Patience bounds every wait of a scenario; it is reached only when the scenario fails.
const Patience = 10 * time.Second

// ErrNothing says that nothing came in [Patience].
var ErrNothing = errors.New("nothing came")

// mailboxMax bounds what waits in a mailbox; no scenario sends more.
const mailboxMax = 4_096

// Mailbox passes what a client's reader gets to the scenario that waits for it. Its methods are safe
// for concurrent use.
type Mailbox[T any] struct {
	items chan T
	once  sync.Once
	ended chan struct{}
	err   error // set before ended is closed
}

// NewMailbox returns an empty mailbox.
func NewMailbox[T any]() *Mailbox[T] {
	return &Mailbox[T]{items: make(chan T, mailboxMax), ended: make(chan struct{})}
}

// Put adds an item; one too many is dropped, and the scenario fails for want of it.
func (m *Mailbox[T]) Put(item T) {
	select {
	case m.items <- item:
	default:
	}
}

// End says why nothing more comes. Only the first reason counts.
func (m *Mailbox[T]) End(why error) {
	m.once.Do(func() {
		m.err = why
		close(m.ended)
	})
}

// Take waits for the next item, or for the reason why none comes.
func (m *Mailbox[T]) Take() (T, error) {
	select {
	case item := <-m.items:
		return item, nil
	default:
	}
	late := time.NewTimer(Patience)
	defer late.Stop()
	var none T
	select {
	case item := <-m.items:
		return item, nil
	case <-m.ended:
		select {
		case item := <-m.items: // it came first
			return item, nil
		default:
			return none, m.err
		}
	case <-late.C:
		return none, ErrNothing
	}
}

// Wait waits for the end and returns its reason.
func (m *Mailbox[T]) Wait() (why error, ended bool) {
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case <-m.ended:
		return m.err, true
	case <-late.C:
		return nil, false
	}
}
