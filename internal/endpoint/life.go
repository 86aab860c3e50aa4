// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"sync"
	"time"
)

// life owns what happens in a pool by itself: timers and what they start. Nothing of it outlives
// end.
type life struct {
	mu      sync.Mutex // a leaf
	over    bool
	tasks   map[*task]struct{}
	running sync.WaitGroup
	stop    context.CancelFunc
	// within returns a context that ends after d, and with the life.
	within func(d time.Duration) (context.Context, context.CancelFunc)
}

// task is something that will happen once.
type task struct{ timer *time.Timer } // nil: it happens at once

// unwind keeps the timer from firing.
func (t *task) unwind() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

func newLife() *life {
	ctx, stop := context.WithCancel(context.Background())
	return &life{
		tasks: map[*task]struct{}{}, stop: stop,
		within: func(d time.Duration) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, d)
		},
	}
}

// after calls fn on a goroutine of its own after d, unless the task is canceled or the life is over.
func (l *life) after(d time.Duration, fn func()) *task {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &task{}
	if l.over {
		return t
	}
	l.tasks[t] = struct{}{}
	happen := func() {
		l.mu.Lock()
		_, due := l.tasks[t]
		if due {
			delete(l.tasks, t)
			l.running.Add(1)
		}
		l.mu.Unlock()
		if due {
			defer l.running.Done()
			fn()
		}
	}
	if d <= 0 { // in a bubble of testing/synctest, many such timers at once upset the race detector
		go happen()
	} else {
		t.timer = time.AfterFunc(d, happen)
	}
	return t
}

// cancel keeps a task from happening; nil is none.
func (l *life) cancel(t *task) {
	if t == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, waits := l.tasks[t]; waits {
		delete(l.tasks, t)
		t.unwind()
	}
}

// end cancels every task and waits for those under way.
func (l *life) end() {
	l.mu.Lock()
	l.over = true
	for t := range l.tasks {
		t.unwind()
	}
	clear(l.tasks)
	l.mu.Unlock()
	l.stop()
	l.running.Wait()
}
