// SPDX-License-Identifier: Apache-2.0

package line

import (
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
)

// letters are the unsettled deliveries of a connection that want an answer, or that go back later, by
// the number of the delivery. The heart bounds how many are unsettled. Its lock is a leaf.
type letters struct {
	mu    sync.Mutex
	byTag map[uint64]*letter
}

// letter is what is kept of a delivery.
type letter struct {
	sub                    *subscription
	replyTo, correlationID []byte
	// timer gives the delivery back; it is settled to the client then.
	timer broker.Timer
}

// add keeps a letter.
func (l *letters) add(tag uint64, of *letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byTag == nil {
		l.byTag = make(map[uint64]*letter)
	}
	l.byTag[tag] = of
}

// find returns what is kept of a delivery, nil when nothing is.
func (l *letters) find(tag uint64) *letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byTag[tag]
}

// drop forgets a delivery.
func (l *letters) drop(tag uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byTag, tag)
}

// forget forgets the deliveries of a subscription.
func (l *letters) forget(sub *subscription) {
	l.remove(func(of *letter) bool { return of.sub == sub })
}

// clear forgets all.
func (l *letters) clear() { l.remove(func(*letter) bool { return true }) }

func (l *letters) remove(which func(*letter) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for tag, of := range l.byTag {
		if !which(of) {
			continue
		}
		if of.timer != nil {
			of.timer.Stop()
		}
		delete(l.byTag, tag)
	}
}
