// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"io"
	nethttp "net/http"
	"os"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// maxRetryAfter bounds what a member may ask for.
const maxRetryAfter = 5 * time.Minute

// outcomeOf says what an answer means for the member (resilience.md, What counts as what).
func outcomeOf(status int, after time.Duration) endpoint.Outcome {
	o := endpoint.Outcome{Class: endpoint.ClassSuccess, RetryAfter: after}
	switch {
	case status == nethttp.StatusTooManyRequests:
		o.Class = endpoint.ClassThrottled
	case status == nethttp.StatusServiceUnavailable && after > 0:
		o.Class = endpoint.ClassOverloaded
	case status == nethttp.StatusBadGateway, status == nethttp.StatusServiceUnavailable,
		status == nethttp.StatusGatewayTimeout:
		o.Class = endpoint.ClassUnavailable
	case status >= nethttp.StatusInternalServerError:
		o.Class = endpoint.ClassFailed
	}
	return o
}

// progress is how far an attempt came.
type progress struct {
	reused bool // the connection had served a request before
	rested bool // and nobody had used it for a while
	sent   bool // bytes of the request may have reached the member
	heard  bool // bytes of an answer came
}

// failureOf says what an attempt came to that has no answer.
func failureOf(ctx context.Context, err error, p progress) endpoint.Outcome {
	o := endpoint.Outcome{Class: endpoint.ClassBroken, Err: err}
	var refused endpoint.DialError
	switch {
	case errors.Is(context.Cause(ctx), os.ErrDeadlineExceeded):
		o.Class = endpoint.ClassTimeout
	case ctx.Err() != nil:
		o.Class = endpoint.ClassCanceled
	case errors.As(err, &refused):
		o.Class = endpoint.ClassRefused
	case !p.sent && p.reused:
		o.Class = endpoint.ClassStale
	case !p.sent:
		o.Class = endpoint.ClassRefused // TLS, mostly
	case errors.Is(err, errBadReply):
		o.Class = endpoint.ClassBadReply
	case p.rested && errors.Is(err, io.ErrUnexpectedEOF) && !p.heard:
		o.Class = endpoint.ClassStale
	}
	return o
}

var errBadReply = errors.New("http: the answer cannot be read")

// settlementOf says what becomes of a message that nobody is answered for (rest.md, Webhooks).
func settlementOf(status int) broker.Outcome {
	switch {
	case status < nethttp.StatusMultipleChoices:
		return broker.Accepted
	case status == nethttp.StatusRequestTimeout, status == nethttp.StatusTooEarly,
		status == nethttp.StatusTooManyRequests, status >= nethttp.StatusInternalServerError:
		return broker.Released
	}
	return broker.Rejected
}

// wordException is the error of a service's own, whatever it is (rest.md, Problems).
const wordException = "exception"

// retryAfter reads Retry-After: seconds or a date (RFC 9110 §10.2.3).
func retryAfter(text string) time.Duration {
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	at, err := nethttp.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), maxRetryAfter)
}
