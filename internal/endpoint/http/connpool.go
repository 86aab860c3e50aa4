// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// connPool holds the unused connections of HTTP/1.1 to one member; the one used last is used next,
// so that those that are not needed grow old. A connection that is used belongs to who uses it.
type connPool struct {
	dial    func(ctx context.Context) (net.Conn, error)
	most    int
	maxIdle time.Duration

	mu     sync.Mutex
	idle   []*conn // the one used last at the end
	timer  *time.Timer
	closed bool
}

// take returns an unused connection that still lives, or opens one.
func (p *connPool) take(ctx context.Context) (*conn, error) {
	for {
		c := p.pop()
		if c == nil {
			raw, err := p.dial(ctx)
			if err != nil {
				return nil, err
			}
			return newConn(p, raw), nil
		}
		if c.lives() {
			return c, nil
		}
		c.close()
	}
}

func (p *connPool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// put gives a connection back that can be used again.
func (p *connPool) put(c *conn) {
	c.since = time.Now()
	p.mu.Lock()
	if p.closed || len(p.idle) >= p.most {
		p.mu.Unlock()
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.maxIdle, p.sweep)
	} else if len(p.idle) == 1 {
		p.timer.Reset(p.maxIdle)
	}
	p.mu.Unlock()
}

// sweep closes what nobody has used for maxIdle. It is the timer's function.
func (p *connPool) sweep() {
	p.mu.Lock()
	limit := time.Now().Add(-p.maxIdle)
	n := 0
	for n < len(p.idle) && !p.idle[n].since.After(limit) {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = append(p.idle[:0], p.idle[n:]...)
	if len(p.idle) > 0 && !p.closed {
		p.timer.Reset(time.Until(p.idle[0].since.Add(p.maxIdle)))
	}
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// close closes what is unused now, and everything else when it is given back.
func (p *connPool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}
