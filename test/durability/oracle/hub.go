// SPDX-License-Identifier: Apache-2.0

package oracle

import "time"

const (
	// confirmWait is how long a restarted hub may take until it has confirmed the first publish.
	confirmWait = 2 * time.Second
	// spareVitals is by how many goroutines or descriptors a hub at rest may differ in any case.
	spareVitals = 8
	// spareBytes is by how much its memory may have grown.
	spareBytes = 64 << 20
)

// Balance judges what the hub counts in a queue while no client is at work (P6): all that was
// confirmed and that nobody has acknowledged, and nothing that was settled.
func (o *Oracle) Balance(queue string, ready, unsettled int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(queue)
	switch n := ready + unsettled; {
	case n < q.certain:
		o.violate("P1, P6: %s holds %d + %d messages, but %d to %d are not settled", queue, ready,
			unsettled, q.certain, q.possible)
	case n > q.possible:
		o.violate("P6: %s holds %d + %d messages, but %d to %d are not settled", queue, ready,
			unsettled, q.certain, q.possible)
	}
}

// Confirming judges how long the first confirm of a restarted hub took (P8).
func (o *Oracle) Confirming(took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if took > confirmWait {
		o.violate("P8: the first confirm came %v after the start", took.Round(time.Millisecond))
	}
}

// Drained judges a queue that consumers have had the time to empty (P8).
func (o *Oracle) Drained(queue string, left int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if left != 0 {
		o.violate("P8: %s still holds %d messages", queue, left)
	}
}

// Lost notes that what was confirmed cannot be there (P1).
func (o *Oracle) Lost(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.violate("P1: "+format, args...)
}

// Stuck notes that the hub did not do what it must (P8).
func (o *Oracle) Stuck(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.violate("P8: "+format, args...)
}

// Vitals are what a process holds.
type Vitals struct {
	Goroutines, Descriptors int
	RSS                     int // bytes
}

// Grew names what is more than before by more than a process at rest may differ, or returns "".
func (v Vitals) Grew(before Vitals) string {
	more := func(now, then int) bool { return now > then+max(then/10, spareVitals) }
	switch {
	case more(v.Goroutines, before.Goroutines):
		return "goroutines"
	case more(v.Descriptors, before.Descriptors):
		return "descriptors"
	case v.RSS > before.RSS+spareBytes:
		return "memory"
	}
	return ""
}

// Hygiene judges a hub that has nothing to do against what it held before its work (P9).
func (o *Oracle) Hygiene(before, after Vitals) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if what := after.Grew(before); what != "" {
		o.violate("P9: %s did not come back: %+v, before %+v", what, after, before)
	}
}

// Crashed judges the line by which a hub's log says that it panicked, if there is one (P9).
func (o *Oracle) Crashed(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if line != "" {
		o.violate("P9: the hub's log says %q", line)
	}
}
