// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"time"
)

// Code says what went wrong. The set is closed; each door translates it once, in its errors.go.
type Code uint8

// The codes, with the word that every door reports for it. AMQP tells some of them apart further.
const (
	// CodeInternal is a fault of the hub.
	CodeInternal Code = iota
	// CodeBadRequest is an argument or property with an unusable value (AMQP 406).
	CodeBadRequest
	// CodeNotFound is an absent exchange, queue, virtual host or binding (AMQP 404).
	CodeNotFound
	// CodeNoService is a call to a service whose queue does not exist.
	CodeNoService
	// CodeUnroutable is a mandatory publish that reached no queue (AMQP 312).
	CodeUnroutable
	// CodeForbidden is an operation that the user may not do (AMQP 403).
	CodeForbidden
	// CodeExclusiveUse is a consume from a queue that an exclusive consumer holds (AMQP 403).
	CodeExclusiveUse
	// CodeLocked is an exclusive queue of another connection (AMQP 405).
	CodeLocked
	// CodeInequivalent is a redeclaration with other properties (AMQP 406).
	CodeInequivalent
	// CodeInUse is a conditional delete whose condition does not hold (AMQP 406).
	CodeInUse
	// CodeUnknownTag is a settlement of a delivery that is not outstanding (AMQP 406).
	CodeUnknownTag
	// CodeNotAllowed is what the rules of the hub forbid to everyone (AMQP 530).
	CodeNotAllowed
	// CodeLimit is a counting limit that is reached (AMQP 530 or 506).
	CodeLimit
	// CodeTooLarge is a message above the size limit (AMQP 406 on publish).
	CodeTooLarge
	// CodeQueueFull is a publish that a full queue refused.
	CodeQueueFull
	// CodeNotImplemented is something the hub does not do (AMQP 540).
	CodeNotImplemented
	// CodeAlarm is a publish refused while a resource alarm lasts.
	CodeAlarm
	// CodeNoInstance is a call to a service to which nobody is attached.
	CodeNoInstance
	// CodeBreakerOpen is a call to a service whose circuit breaker is open.
	CodeBreakerOpen
	// CodeOverloaded is a call to a service with too many calls waiting.
	CodeOverloaded
	// CodeDeadline is a call whose deadline passed.
	CodeDeadline
	// CodeCanceled is a call whose caller went away.
	CodeCanceled
	// CodeQuota is a table of the user or virtual host that is full.
	CodeQuota
	// CodeResultGone is a request whose answer is past its retention.
	CodeResultGone
	// CodeDraining is an operation refused because the hub stops (AMQP 320).
	CodeDraining
	// CodeUnauthenticated is a login that failed.
	CodeUnauthenticated
	// CodeKeyReused is an idempotency key that stands for another request.
	CodeKeyReused
	// CodeOutstanding is an idempotency key whose call has no answer yet.
	CodeOutstanding
	// CodeBadReply is a call whose service broke the connection after it had the message, or whose
	// answer cannot be read.
	CodeBadReply
	// CodeNoMethod is a call of a method that the service's contract does not have.
	CodeNoMethod
	// CodeMediaType is a body that nobody can turn into what the service wants.
	CodeMediaType
	codeCount
)

//nolint:gochecknoglobals // a table, never written
var codeWords = [codeCount]string{
	CodeInternal: "internal", CodeBadRequest: "bad-request", CodeNotFound: "not-found",
	CodeNoService: "no-service", CodeUnroutable: "unroutable", CodeForbidden: "forbidden",
	CodeExclusiveUse: "conflict", CodeLocked: "conflict", CodeInequivalent: "conflict",
	CodeInUse: "conflict", CodeUnknownTag: "lease-gone", CodeNotAllowed: "forbidden",
	CodeLimit: "quota", CodeTooLarge: "too-large", CodeQueueFull: "queue-full",
	CodeNotImplemented: "bad-request", CodeAlarm: "alarm", CodeNoInstance: "no-instance",
	CodeBreakerOpen: "breaker-open", CodeOverloaded: "overloaded", CodeDeadline: "deadline",
	CodeCanceled: "canceled", CodeQuota: "quota", CodeResultGone: "result-gone",
	CodeDraining: "draining", CodeUnauthenticated: "unauthenticated",
	CodeKeyReused: "key-reused", CodeOutstanding: "outstanding",
	CodeBadReply: "bad-reply", CodeNoMethod: "no-method", CodeMediaType: "media-type",
}

// String returns the code's word, the same through every door (`not-found`, `no-instance`, …).
func (c Code) String() string {
	if c < codeCount {
		return codeWords[c]
	}
	return "internal"
}

// Scope says how far an error reaches.
type Scope uint8

const (
	// ScopeSession ends the session (an AMQP channel exception).
	ScopeSession Scope = iota
	// ScopeConnection ends the connection.
	ScopeConnection
)

// Error is the only error type that the heart returns to doors.
type Error struct {
	Code  Code
	Scope Scope
	// Op is the operation that failed, as a verb and noun: "declare queue".
	Op string
	// Entity is what it was about, printed as clients expect: "queue 'q' in vhost '/'".
	Entity string
	// Text is the explanation that the client is shown, without the code.
	Text string
	// RetryAfter is how long a client should wait before it tries again; 0: nobody knows.
	RetryAfter time.Duration
	// Quota names the limit that is reached, in a word or two joined by a hyphen, and Limit is how many
	// there may be at the same time; "" and 0: nobody counts.
	Quota string
	Limit int
	// Err is the cause, if any; it is for the log, never for the client.
	Err error
}

// Error returns operation, explanation and cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Op, e.Text, e.Err)
	}
	return e.Op + ": " + e.Text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error with the same code, so that errors.Is works with
// &Error{Code: …}.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Text == ""
}

func errorf(code Code, op, entity, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Entity: entity, Text: fmt.Sprintf(format, args...)}
}

// of names the limit that is reached.
func (e *Error) of(quota string, limit int) *Error {
	e.Quota, e.Limit = quota, limit
	return e
}

func queueEntity(vhost, name string) string {
	return "queue '" + name + "' in vhost '" + vhost + "'"
}

func exchangeEntity(vhost, name string) string {
	return "exchange '" + name + "' in vhost '" + vhost + "'"
}
