// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Code is the word for what went wrong, the same through every door of the hub. A Code is an error,
// so that errors.Is(err, parley.CodeNoInstance) tells an *[Error] of that code.
type Code string

// Codes of the hub and, from CodeUnreachable on, of this package.
const (
	// CodeBadRequest is a message or argument that the hub or the service cannot read.
	CodeBadRequest Code = "bad-request"
	// CodeUnauthenticated is a login that failed.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeForbidden is what this user may not do.
	CodeForbidden Code = "forbidden"
	// CodeNotFound is a missing exchange, queue or virtual host.
	CodeNotFound Code = "not-found"
	// CodeNoService is a service whose queue does not exist.
	CodeNoService Code = "no-service"
	// CodeNoMethod is an operation that the service does not have.
	CodeNoMethod Code = "no-method"
	// CodeUnroutable is a message that reached no queue.
	CodeUnroutable Code = "unroutable"
	// CodeConflict is a declaration that differs from what is there.
	CodeConflict Code = "conflict"
	// CodeResultGone is a request whose answer was fetched already, or is too old.
	CodeResultGone Code = "result-gone"
	// CodeTooLarge is a message above the size limit.
	CodeTooLarge Code = "too-large"
	// CodeException is an error that the service answered.
	CodeException Code = "exception"
	// CodeQuota is a limit of the user or the virtual host.
	CodeQuota Code = "quota"
	// CodeQueueFull is a queue that refuses more messages.
	CodeQueueFull Code = "queue-full"
	// CodeInternal is a fault of the hub.
	CodeInternal Code = "internal"
	// CodeBadReply is an answer that cannot be read, or a connection lost after the request was
	// sent: it may have been carried out.
	CodeBadReply Code = "bad-reply"
	// CodeNoInstance is a call to a service to which nobody is attached.
	CodeNoInstance Code = "no-instance"
	// CodeBreakerOpen is a call to a service whose circuit breaker is open.
	CodeBreakerOpen Code = "breaker-open"
	// CodeOverloaded is a call to a service with too many calls waiting.
	CodeOverloaded Code = "overloaded"
	// CodeDraining is a hub that stops.
	CodeDraining Code = "draining"
	// CodeDeadline is a deadline that passed, wherever the work was. Such an *Error is a
	// context.DeadlineExceeded too.
	CodeDeadline Code = "deadline"
	// CodeAlarm is a hub that refuses messages because memory or disk run short.
	CodeAlarm Code = "alarm"
	// CodeCanceled is a context that its owner cancelled. Such an *Error is a context.Canceled too.
	CodeCanceled Code = "canceled"
	// CodeUnreachable is a hub that cannot be reached, or a connection that was closed before the
	// request was sent: it was not carried out.
	CodeUnreachable Code = "unreachable"
)

// Error returns the word.
func (c Code) Error() string { return string(c) }

// Error is what the hub or a service answers, and the only error type of failed calls. Use
// errors.As for it, or errors.Is with its [Code].
type Error struct {
	Code    Code
	Message string
	// Details is the body of a service's error answer; nil when it had none.
	Details []byte

	cause error
}

// Error returns code and message.
func (e *Error) Error() string {
	switch {
	case e.Message == "":
		return string(e.Code)
	case e.Code == "":
		return e.Message
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause, if there is one on this side of the wire.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is work with a Code, and with the errors of package context.
func (e *Error) Is(target error) bool {
	switch target { // errors.Is unwraps for us
	case context.DeadlineExceeded:
		return e.Code == CodeDeadline
	case context.Canceled:
		return e.Code == CodeCanceled
	}
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Incomplete is the last error of a gather that ended before its rule was met.
type Incomplete struct {
	// Missing names those who were asked and have not answered.
	Missing []string
}

// Error names who is missing.
func (e *Incomplete) Error() string {
	if len(e.Missing) == 0 {
		return "gather incomplete"
	}
	return "gather incomplete, missing: " + strings.Join(e.Missing, ", ")
}

// Retry makes a handler's error one that delivers the message again, after the given time, whether
// somebody waits for an answer or not. The delivery counts against the handler's concurrency until
// then.
func Retry(err error, after time.Duration) error {
	return &retryError{err: err, after: max(after, 0)}
}

// Drop makes a handler's error one that takes the message out of the queue: it goes to the queue's
// dead-letter exchange if it has one.
func Drop(err error) error { return &dropError{err: err} }

type retryError struct {
	err   error
	after time.Duration
}

func (e *retryError) Error() string { return fmt.Sprintf("retry after %v: %v", e.after, e.err) }
func (e *retryError) Unwrap() error { return e.err }

type dropError struct{ err error }

func (e *dropError) Error() string { return "drop: " + e.err.Error() }
func (e *dropError) Unwrap() error { return e.err }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// contextError translates the end of a context.
func contextError(ctx context.Context, doing string) error {
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Code: CodeDeadline, Message: doing + ": deadline passed", cause: cause}
	}
	return &Error{Code: CodeCanceled, Message: doing + ": canceled", cause: cause}
}

// replyError translates a reply code of AMQP 0-9-1 §1.2, with which the hub closes a channel or the
// connection, or returns a message.
func replyError(code uint16, text string) *Error {
	e := &Error{Message: text}
	switch wire.ReplyCode(code) {
	case wire.ContentTooLarge:
		e.Code = CodeTooLarge
	case wire.NoRoute:
		e.Code = CodeUnroutable
	case wire.ConnectionForced:
		e.Code = CodeDraining
	case wire.AccessRefused, wire.NotAllowed:
		e.Code = CodeForbidden
	case wire.NotFound, wire.InvalidPath:
		e.Code = CodeNotFound
	case wire.ResourceLocked, wire.PreconditionFailed:
		e.Code = CodeConflict
	case wire.ResourceError:
		e.Code = CodeQuota
	case wire.InternalError:
		e.Code = CodeInternal
	default:
		e.Code = CodeBadRequest
	}
	return e
}
