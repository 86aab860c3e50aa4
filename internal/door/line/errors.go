// SPDX-License-Identifier: Apache-2.0

package line

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/trace"
)

// The code words that this door uses itself; all others are those of broker.Code.
const (
	codeBadRequest      = "bad-request"
	codeBadReply        = "bad-reply"
	codeCanceled        = "canceled"
	codeDeadline        = "deadline"
	codeDraining        = "draining"
	codeException       = "exception"
	codeForbidden       = "forbidden"
	codeInternal        = "internal"
	codeNoService       = "no-service"
	codeNotFound        = "not-found"
	codeQueueFull       = "queue-full"
	codeQuota           = "quota"
	codeResultGone      = "result-gone"
	codeTooLarge        = "too-large"
	codeUnauthenticated = "unauthenticated"
	codeUnroutable      = "unroutable"
)

// fault is an error on its way to the client.
type fault struct {
	code, message string
	// exception is a service's own word for what went wrong, and data the JSON text of what it says.
	exception string
	data      []byte
	traceID   string
	retry     time.Duration // when it is not what the code says
	// fatal faults end the connection.
	fatal bool
	// cause is for the log.
	cause error
}

// Error returns code, message and cause.
func (f *fault) Error() string {
	if f.cause != nil {
		return f.code + ": " + f.message + ": " + f.cause.Error()
	}
	return f.code + ": " + f.message
}

// Unwrap returns the cause.
func (f *fault) Unwrap() error { return f.cause }

func newFault(code, format string, args ...any) *fault {
	return &fault{code: code, message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *fault {
	return newFault(codeBadRequest, format, args...)
}

// noObject is a line that is no JSON object: what follows cannot be trusted either.
func noObject(why string) *fault {
	f := badRequest("the line is no JSON object")
	if why != "" {
		f.message += ": " + why
	}
	f.fatal = true
	return f
}

// tooLong is a line that is longer than allowed.
func tooLong(limit int) *fault {
	f := newFault(codeTooLarge, "the line is longer than %d bytes", limit)
	f.fatal = true
	return f
}

// refusedLogin is a login that failed.
func refusedLogin(format string, args ...any) *fault {
	f := newFault(codeUnauthenticated, format, args...)
	f.fatal = true
	return f
}

// quoteBytesMax is how much of a client's text an error repeats.
const quoteBytesMax = 64

// shown returns a client's text as it may stand in an error to that client, and in a log.
func shown(text []byte) string {
	return strings.ToValidUTF8(string(text[:min(len(text), quoteBytesMax)]), "?")
}

// faultOf translates what the heart says: its code words are this door's.
func faultOf(err error) *fault {
	e, ok := errors.AsType[*broker.Error](err)
	switch {
	case !ok, e.Code == broker.CodeInternal:
		id := trace.New(false).Trace.String()
		return &fault{code: codeInternal, message: "the hub failed", cause: err, traceID: id}
	case e.Code == broker.CodeUnknownTag:
		return newFault(codeNotFound, "no such delivery, or it is settled")
	}
	return &fault{code: e.Code.String(), message: e.Text, cause: err, retry: e.RetryAfter}
}

// openFault translates why the heart did not open a connection. It does not tell a virtual host that
// is not there from one that is not for the user.
func openFault(err error, vhost []byte) *fault {
	f := faultOf(err)
	if f.code == codeNotFound || f.code == codeForbidden {
		f = newFault(codeForbidden, "no access to vhost '%s'", shown(vhost))
	}
	f.fatal = true
	return f
}

// headerStatus is the header in which a service that speaks HTTP says its status (rest.md, Calls).
const headerStatus = "http-status"

// answerFault returns the error that an answer is: the hub's own, or the service's. A word that is no
// code of the hub's is the service's own exception (rest.md, Problems). failure is what the heart knows of an
// answer that does not say it itself.
func answerFault(p *broker.Properties, failure string, body bodyOf) *fault {
	word, ok := p.Headers.Text(broker.HeaderError)
	f := &fault{code: word}
	f.message, _ = p.Headers.Text(broker.HeaderErrorMessage)
	called := !ok && failure != "" // by the hub: the service's whole answer is what it says
	if called {
		word, ok = failure, true
		f.code = word
		if status, has := p.Headers.Get(headerStatus); has {
			f.message = fmt.Sprintf("the service answered with status %v", status)
		}
	}
	if !ok {
		return nil
	}
	if !isCode(word) {
		f.code, f.exception = codeException, word
	}
	if (called || f.code == codeException) && len(body.bytes) > 0 {
		f.data = body.value(new(scanner))
	}
	return f
}

// isCode reports whether a word is one of the hub's codes.
func isCode(word string) bool {
	switch word {
	case codeBadRequest, "key-missing", codeUnauthenticated, codeForbidden, codeNotFound,
		codeNoService, "no-method", codeUnroutable, "outstanding", "conflict", "lease-gone",
		codeResultGone, codeTooLarge, "media-type", "key-reused", codeException, codeQuota,
		codeQueueFull, codeInternal, codeBadReply, "no-instance", "breaker-open", "overloaded",
		codeDraining, codeDeadline, "alarm", "storage-quota":
		return true
	}
	return false
}

// retryAfter is how long a client should wait before it tries again; 0 is not told.
func retryAfter(code string) time.Duration {
	switch code {
	case codeQuota, codeQueueFull, "no-instance", "breaker-open", "overloaded", codeDraining:
		return time.Second
	case "alarm":
		return 5 * time.Second
	}
	return 0
}

// appendFault appends the member error.
func appendFault(b []byte, f *fault) []byte {
	b = appendString(append(b, `"error":{"code":`...), f.code)
	b = appendString(append(b, `,"message":`...), f.message)
	if f.exception != "" {
		b = appendString(append(b, `,"exception":`...), f.exception)
	}
	if f.data != nil {
		b = append(append(b, `,"data":`...), f.data...)
	}
	after := f.retry
	if after == 0 {
		after = retryAfter(f.code)
	}
	if after > 0 {
		b = strconv.AppendInt(append(b, `,"retry_after_ms":`...), after.Milliseconds(), 10)
	}
	if f.traceID != "" {
		b = appendString(append(b, `,"trace_id":`...), f.traceID)
	}
	return append(b, '}')
}
