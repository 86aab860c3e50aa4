// SPDX-License-Identifier: Apache-2.0

package endpoint

import "time"

// Class says what an attempt came to. The set is the table of outcomes: what each means for the
// health of the member, and whether the call may be tried again, stands in its row.
type Class uint8

// The classes.
const (
	// ClassSuccess is an answer, also one that refuses: HTTP 1xx to 4xx, a declared exception, a
	// TApplicationException 1, 2, 7 or 11. The service works.
	ClassSuccess Class = iota
	// ClassThrottled is HTTP 429: the service works, and has too much of it.
	ClassThrottled
	// ClassRefused is a connection that did not come about: nothing was sent.
	ClassRefused
	// ClassStale is a used connection that was closed before the first byte of an answer, or a kind
	// without a free connection: nothing was executed, and it says nothing about the member's health.
	ClassStale
	// ClassBroken is a connection that broke after bytes of the request were sent.
	ClassBroken
	// ClassTimeout is an attempt without an answer in its time.
	ClassTimeout
	// ClassUnavailable is HTTP 502, 503, 504 or a TApplicationException 6.
	ClassUnavailable
	// ClassOverloaded is HTTP 503 with Retry-After: a failure, but no reason to eject the member.
	ClassOverloaded
	// ClassFailed is HTTP 500, or any other 5xx.
	ClassFailed
	// ClassBadReply is an answer that cannot be read; its connection is closed.
	ClassBadReply
	// ClassCanceled is an attempt whose caller went away, or that another one made needless.
	ClassCanceled
)

const classCount = int(ClassCanceled) + 1

// Outcome is what one attempt came to.
type Outcome struct {
	Class Class
	// RetryAfter is what the member asked for, 0 for nothing.
	RetryAfter time.Duration
	// Err is the cause where there is no answer. It is for the log.
	Err error
}

// verdict is what a class means for the member.
type verdict uint8

const (
	ignored verdict = iota // says nothing
	success
	failure
	overload // a failure of the service, no reason to eject the member
	local    // a failure to connect, counted apart from answers
)

// again says when a call may be tried again.
type again uint8

const (
	never again = iota
	idempotent
	always
)

// rule is one row of the table of outcomes (resilience §1).
type rule struct {
	word     string
	answered bool
	verdict  verdict
	again    again
}

//nolint:gochecknoglobals // a table, never written
var rules = [classCount]rule{
	ClassSuccess:     {"success", true, success, never},
	ClassThrottled:   {"throttled", true, success, never},
	ClassRefused:     {"refused", false, local, always},
	ClassStale:       {"stale", false, ignored, always},
	ClassBroken:      {"broken", false, failure, idempotent},
	ClassTimeout:     {"timeout", false, failure, idempotent},
	ClassUnavailable: {"unavailable", true, failure, idempotent},
	ClassOverloaded:  {"overloaded", true, overload, idempotent},
	ClassFailed:      {"failed", true, failure, idempotent},
	ClassBadReply:    {"bad-reply", false, failure, never},
	ClassCanceled:    {"canceled", false, ignored, never},
}

// String returns the class's word.
func (c Class) String() string { return c.rule().word }

// Answered reports whether the attempt has a reply for the caller.
func (c Class) Answered() bool { return c.rule().answered }

// rule returns the class's row; a class that does not exist is a failure that is not repeated.
func (c Class) rule() rule {
	if int(c) < classCount {
		return rules[c]
	}
	return rules[ClassBadReply]
}

// failed reports whether it counts against the service.
func (c Class) failed() bool {
	v := c.rule().verdict
	return v == failure || v == overload || v == local
}

// sent reports whether the member may have seen the message.
func (c Class) sent() bool { return c != ClassRefused && c != ClassStale }

// repeatable reports whether the call may be tried again after this outcome.
func (o Outcome) repeatable(t Traits) bool {
	if t.Attempt > 1 || t.Once && o.Class.sent() {
		return false
	}
	switch o.Class.rule().again {
	case always:
		return true
	case idempotent:
		return t.Idempotent
	case never:
	}
	return false
}
