// SPDX-License-Identifier: Apache-2.0

package line

import "sync"

// openIDs are the ids of requests without their answer, and of subscriptions. Its lock is a leaf.
type openIDs struct {
	limit int

	mu  sync.Mutex
	ids map[string]struct{}
}

// check reports whether an id may be taken in.
func (o *openIDs) check(id []byte) *fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.ids[string(id)]; ok {
		return badRequest("id %s is in use", shown(id))
	}
	if len(o.ids) >= o.limit {
		return newFault(codeQuota, "%d requests have no answer yet", o.limit)
	}
	return nil
}

// add takes an id in that was checked; only the read loop does.
func (o *openIDs) add(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = make(map[string]struct{})
	}
	o.ids[id] = struct{}{}
}

func (o *openIDs) remove(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.ids, id)
}

// owe takes in the id of a request that is answered later.
func (c *conn) owe(id string) {
	c.open.add(id)
	c.owed.Add(1)
}

// paid says that an answer is written. Its id was free before: the client may use it again when it has
// seen the answer.
func (c *conn) paid() {
	if c.owed.Add(-1) == 0 && c.leaving.Load() {
		c.signal()
	}
}
