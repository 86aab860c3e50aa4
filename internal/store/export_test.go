// SPDX-License-Identifier: Apache-2.0

package store

import "github.com/parley-ipc/parley/internal/broker"

// Step does one piece of the writer's work on the caller's goroutine, for logs that were not
// started: a simulation decides what happens when.
func (l *File) Step() (worked bool, err error) {
	worked, err = l.step()
	if err != nil {
		l.fail(err)
	}
	for {
		select {
		case b := <-l.tickets:
			l.fire(b, make(map[broker.Ticket]struct{}))
			l.telling.Add(-1)
		default:
			return worked, err
		}
	}
}

// Segments returns how many segments hold records.
func (l *File) Segments() int { return len(l.index.segments) }

// EndSync does what the writer does last.
func (l *File) EndSync() error {
	if err := l.syncCurrent(); err != nil {
		return err
	}
	return l.mark()
}

// End returns where the next frame goes in its segment.
func (l *File) End() int { return int(l.current.end) }

// Crowded says whether publishers are held back.
func (l *File) Crowded() bool { return l.crowded.Load() }
