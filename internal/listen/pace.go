// SPDX-License-Identifier: Apache-2.0

package listen

import "time"

// paceBurst is how long a silence counts: what might have come in it may come at once.
const paceBurst = time.Second

// pace lets events happen at a rate: a leaky bucket, kept as one time (the generic cell rate
// algorithm, ITU-T I.371).
type pace struct {
	every time.Duration
	due   time.Time // before it nothing may happen
}

func newPace(perSecond int) pace {
	return pace{every: time.Second / time.Duration(perSecond), due: time.Time{}}
}

// took notes an event.
func (p *pace) took(now time.Time) {
	if quiet := now.Add(p.every - paceBurst); p.due.Before(quiet) {
		p.due = quiet
	}
	p.due = p.due.Add(p.every)
}

// wait returns how long the next event has to wait; it may be negative.
func (p *pace) wait(now time.Time) time.Duration { return p.due.Sub(now) }

// handshakeBounds are the bounds of the histogram of handshakes: 64 µs, doubling, to 67 s.
func handshakeBounds() []int64 {
	const steps = 21
	bounds := make([]int64, steps)
	for i := range bounds {
		bounds[i] = int64(64*time.Microsecond) << i
	}
	return bounds
}
