// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"sync/atomic"
)

// gate holds a sender back while it is window messages ahead of what is done. One goroutine
// waits, any may advance.
type gate struct {
	window  uint64
	done    atomic.Uint64
	waiting atomic.Bool
	wake    chan struct{}
}

func newGate(window uint64) *gate {
	return &gate{window: window, wake: make(chan struct{}, 1)}
}

// advance says that done messages are through, and wakes the sender if it waits. A lower number
// than before changes nothing.
func (g *gate) advance(done uint64) {
	for old := g.done.Load(); done > old && !g.done.CompareAndSwap(old, done); {
		old = g.done.Load()
	}
	if g.waiting.Load() && g.waiting.CompareAndSwap(true, false) {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

// room returns how many more messages may leave after sent.
func (g *gate) room(sent uint64) uint64 {
	ahead := sent - g.done.Load()
	return g.window - min(ahead, g.window)
}

// wait returns once at least want messages may leave after sent, and how many do; want is at
// most the window.
func (g *gate) wait(ctx context.Context, sent, want uint64) (uint64, error) {
	for {
		if room := g.room(sent); room >= want {
			return room, nil
		}
		g.waiting.Store(true)
		// The other side may have advanced between the look and the flag.
		if room := g.room(sent); room >= want {
			g.waiting.Store(false)
			return room, nil
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
