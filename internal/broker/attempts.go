// SPDX-License-Identifier: Apache-2.0

package broker

// exhausted is the outcome of a delivery with which its consumer has failed as often as it may.
const exhausted = Undelivered + 1

// judged returns the outcome of a delivery whose consumer may bound how often it fails with a message;
// what it counts is logged, so that the bound holds whatever ends the process. The queue's lock is held.
func (q *Queue) judged(d *delivered, o Outcome) Outcome {
	c := d.consumer
	switch {
	case c == nil || c.attempts == 0 || q.deleted, o != Released && o != Modified:
	case d.entry.attempts >= c.attempts:
		return exhausted
	case q.args.deliveryLimit < 0: // else settle logs it
		q.logAttempts(&d.entry)
	}
	return o
}
