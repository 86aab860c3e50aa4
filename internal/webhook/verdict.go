// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"strconv"
	"time"
)

// verdict is what the answer to a post means (rest.md, Webhooks).
type verdict int

const (
	taken         verdict = iota // done
	failed                       // to be tried again, up to the limit of attempts
	wait                         // to be tried again when the target says, not counted
	refused                      // never to be tried again: dead-lettered
	formatRefused                // the same, and the subscription is flagged
	gone                         // nothing more is to be posted here
	interrupted                  // the hub ended it
	verdicts
)

// word is the verdict as metrics and logs have it.
func (v verdict) word() string {
	switch v {
	case taken:
		return "taken"
	case failed:
		return "failed"
	case wait:
		return "wait"
	case refused:
		return "refused"
	case formatRefused:
		return "format-refused"
	case gone:
		return "gone"
	case interrupted, verdicts:
	}
	return "interrupted"
}

// verdictOf reads an answer. It may ask to wait without saying how long: then pause is 0.
func verdictOf(status int, h http.Header, now time.Time) (v verdict, pause time.Duration) {
	after, said := retryAfter(h.Get("Retry-After"), now)
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && said:
		return wait, after
	case status >= 200 && status < 300:
		return taken, 0
	case status == http.StatusGone:
		return gone, 0
	case status == http.StatusUnsupportedMediaType:
		return formatRefused, 0
	case status >= 400 && status < 500:
		return refused, 0
	}
	return failed, 0 // 5xx, and redirects, which are never followed
}

// pauseMax bounds how long a target may ask the hub to wait.
const pauseMax = time.Hour

// retryAfter reads a Retry-After: seconds or a date (RFC 9110 §10.2.3).
func retryAfter(text string, now time.Time) (after time.Duration, ok bool) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, pauseMax), true
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), pauseMax), true
	}
	return 0, false
}
