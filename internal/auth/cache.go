// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"strings"
	"sync"
)

// cacheEntries bounds the remembered answers of one generation, of which there are two: at
// about 1.5 KB for the longest names, 25 MB at most and usually a tenth of it.
const cacheEntries = 8192

// question is what Allowed is asked.
type question struct {
	user, vhost, resource, key string
	action                     Action
}

// answers remembers what Allowed answered. When the young generation is full it becomes the old
// one, and the one before is forgotten: what is asked often is worked out once for each
// generation, and no list of who was used last is kept.
type answers struct {
	mu         sync.RWMutex
	version    uint64 // of the users that the answers are about
	young, old map[question]bool
}

// get returns a remembered answer.
func (c *answers) get(q question) (answer, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if answer, known = c.young[q]; known {
		return answer, true
	}
	answer, known = c.old[q]
	return answer, known
}

// put remembers an answer that was worked out from the users of version.
func (c *answers) put(q question, answer bool, version uint64) {
	// What was asked may lie in a frame that is about to be overwritten.
	q.user, q.vhost = strings.Clone(q.user), strings.Clone(q.vhost)
	q.resource, q.key = strings.Clone(q.resource), strings.Clone(q.key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != version {
		return // the users have changed since the answer was worked out
	}
	if len(c.young) >= cacheEntries {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[question]bool)
	}
	c.young[q] = answer
}

// forget drops all answers: the users are those of version now.
func (c *answers) forget(version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version, c.young, c.old = version, nil, nil
}
