// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// fault is an error on its way to the client: a status, a word and an explanation.
type fault struct {
	status int
	word   string
	reason string
	allow  string // the header Allow of a 405
	cause  error  // for the log
}

// Error returns word, explanation and cause.
func (f *fault) Error() string {
	if f.cause != nil {
		return f.word + ": " + f.reason + ": " + f.cause.Error()
	}
	return f.word + ": " + f.reason
}

// Unwrap returns the cause.
func (f *fault) Unwrap() error { return f.cause }

var errNotFound = &fault{
	status: http.StatusNotFound, word: "Object Not Found", reason: "Not Found",
}

// notAuthenticated is spelled otherwise, as in RabbitMQ.
func notAuthenticated() *fault {
	return &fault{
		status: http.StatusUnauthorized, word: "not_authorized", reason: "Login failed",
	}
}

func notAuthorised(reason string) *fault {
	return &fault{status: http.StatusUnauthorized, word: "not_authorised", reason: reason}
}

func badRequest(format string, args ...any) *fault {
	return &fault{
		status: http.StatusBadRequest, word: "bad_request", reason: fmt.Sprintf(format, args...),
	}
}

func tooLarge(limitBytes int64) *fault {
	return &fault{
		status: http.StatusRequestEntityTooLarge, word: "payload_too_large",
		reason: "the body is larger than " + strconv.FormatInt(limitBytes, 10) + " bytes",
	}
}

func unavailable(reason string) *fault {
	return &fault{status: http.StatusServiceUnavailable, word: "unavailable", reason: reason}
}

// faultOf turns any error into a fault (management.md): the reason for what the heart refuses is
// AMQP's explanation.
func faultOf(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(e.Limit)
	}
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return errNotFound
	case errors.Is(err, auth.ErrBusy):
		return unavailable("too many passwords are being hashed")
	case errors.Is(err, auth.ErrConfigured):
		return badRequest("%v", auth.ErrConfigured)
	case errors.Is(err, auth.ErrInvalid):
		return badRequest("%v", err)
	}
	e, ok := errors.AsType[*broker.Error](err)
	if !ok {
		return internalFault(err)
	}
	switch e.Code {
	case broker.CodeInternal:
		return internalFault(err)
	case broker.CodeDraining, broker.CodeAlarm:
		return unavailable(e.Text)
	case broker.CodeNotFound:
		return &fault{
			status: http.StatusNotFound, word: "not_found", reason: "NOT_FOUND - " + e.Text,
		}
	case broker.CodeForbidden:
		return notAuthorised(e.Text)
	default:
		return badRequest("%s", e.Text)
	}
}

func internalFault(err error) *fault {
	return &fault{
		status: http.StatusInternalServerError, word: "internal_server_error",
		reason: "the hub failed; its log has the details", cause: err,
	}
}

// publishFault has AMQP's code and name before the explanation, as RabbitMQ answers a publish; a
// missing exchange is a bad request there.
func publishFault(err error) error {
	e, ok := errors.AsType[*broker.Error](err)
	if !ok {
		return err
	}
	switch e.Code {
	case broker.CodeInternal, broker.CodeDraining, broker.CodeAlarm:
		return err
	case broker.CodeNotFound:
		return badRequest("404 NOT_FOUND - %s", e.Text)
	case broker.CodeForbidden:
		return notAuthorised("ACCESS_REFUSED - " + e.Text)
	default:
		return badRequest("406 PRECONDITION_FAILED - %s", e.Text)
	}
}
