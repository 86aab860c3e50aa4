// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"
)

// connPool holds the connections to one member. Of those that are unused the one used last is used
// next, so that those that are not needed grow old. One that is used belongs to who uses it.
type connPool struct {
	up *upstream
	// places has one entry for each call that has a connection, or is about to: who has none waits.
	places chan struct{}

	mu     sync.Mutex
	open   int     // connections, used or not; never more than there are places
	idle   []*conn // the one used last at the end
	late   int     // of them had a oneway call last
	timer  *time.Timer
	closed bool
}

// want says which connection a call needs.
type want struct {
	fresh  bool // one that was not used yet
	oneway bool // nobody waits for what the service does with it
	bytes  int  // of the call, and few more
	until  time.Time
}

// take returns an unused connection that still lives, or opens one. It waits while the member has as
// many calls as it may have connections.
func (p *connPool) take(ctx context.Context, w want) (*conn, error) {
	if err := p.enter(ctx, w.until); err != nil {
		return nil, err
	}
	for {
		c := p.pop(w)
		if c == nil {
			break
		}
		if !w.fresh && c.lives(w.bytes) {
			return c, nil
		}
		p.drop(c)
	}
	if !w.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, w.until)
		defer cancel()
	}
	raw, err := p.up.dial(ctx)
	if err != nil {
		p.drop(nil)
		p.leave()
		return nil, err
	}
	return newConn(p, raw), nil
}

// enter takes a place; it waits for one until the context or the time ends.
func (p *connPool) enter(ctx context.Context, until time.Time) error {
	select {
	case p.places <- struct{}{}:
		return nil
	default:
	}
	var late <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

// leave gives a place back.
func (p *connPool) leave() { <-p.places }

// pop returns an unused connection, or nil for one that is to be opened, which counts from then on.
// Where the last call was oneway the service may still be at it: a call that waits for an answer takes
// such a one only when there may be no further connection.
func (p *connPool) pop(w want) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := p.open >= cap(p.places)
	i := len(p.idle) - 1
	if p.late > 0 {
		for i >= 0 && p.idle[i].late != w.oneway {
			i--
		}
		if i < 0 && (w.oneway || full) {
			i = len(p.idle) - 1
		}
	}
	if i < 0 || w.fresh && !full {
		p.open++
		return nil
	}
	c := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	if c.late {
		p.late--
	}
	return c
}

// put gives a connection back that can be used again, and its place.
func (p *connPool) put(c *conn) {
	c.since = time.Now()
	p.mu.Lock()
	if p.closed || c.spare && len(p.idle) > 0 {
		p.mu.Unlock()
		p.drop(c)
		p.leave()
		return
	}
	c.spare = false
	p.idle = append(p.idle, c)
	if c.late {
		p.late++
	}
	if idle := p.up.options.Idle; p.timer == nil {
		p.timer = time.AfterFunc(idle, p.sweep)
	} else if len(p.idle) == 1 {
		p.timer.Reset(idle)
	}
	p.mu.Unlock()
	p.leave() // who waits finds it
}

// drop closes a connection that is of no use, nil for one that did not come about.
func (p *connPool) drop(c *conn) {
	if c != nil {
		c.close()
	}
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
}

// sweep closes what nobody has used for a while. It is the timer's function.
func (p *connPool) sweep() {
	p.mu.Lock()
	limit := time.Now().Add(-p.up.options.Idle)
	var old []*conn
	p.idle = slices.DeleteFunc(p.idle, func(c *conn) bool {
		if c.since.After(limit) {
			return false
		}
		old = append(old, c)
		if c.late {
			p.late--
		}
		return true
	})
	if len(p.idle) > 0 && !p.closed {
		p.timer.Reset(time.Until(p.idle[0].since.Add(p.up.options.Idle)))
	}
	p.mu.Unlock()
	for _, c := range old {
		p.drop(c)
	}
}

// close closes what is unused now, and everything else when it is given back.
func (p *connPool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.late, p.closed = nil, 0, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		p.drop(c)
	}
}
