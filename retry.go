// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Pauses between the attempts of an idempotent call: doubled each time, and a fifth more or less,
// so that callers do not come back all at once.
const (
	firstRetryPause = 50 * time.Millisecond
	lastRetryPause  = time.Second
	retryJitter     = 0.2
)

// Idempotent says that carrying out the operation twice is as good as once. Calls are then repeated,
// within their deadline, while the hub says that the service cannot take them, and carry the same
// header idempotency-key each time.
func Idempotent() OpOption { return func(o *opOptions) { o.idempotent = true } }

// IdempotencyKey makes one message idempotent, as [Idempotent] does for all of an operation, under a
// key of the caller's: the same for what is to be done once. Handlers find it in [Meta].
func IdempotencyKey(key string) CallOption {
	return func(m *outgoing) { m.setHeader(headerIdempotency, key) }
}

// askAgain is ask with the repetitions of an idempotent call. ctx has a deadline.
func (c *Conn) askAgain(ctx context.Context, m *outgoing, idempotent bool) (*delivery, error) {
	if key := headerText(m.props.Headers, headerIdempotency); key != "" {
		idempotent = true
	} else if idempotent {
		m.setHeader(headerIdempotency, c.newID())
	}
	for pause := firstRetryPause; ; pause = min(2*pause, lastRetryPause) {
		d, err := c.ask(ctx, m)
		if err == nil {
			err = refusal(d)
		}
		if err == nil || !idempotent || !mayRetry(err) || !wait(ctx, jitter(pause)) {
			return d, err
		}
	}
}

// refusal returns the error that an answer stands for when it is one to come back later for. The
// caller reads the others.
func refusal(d *delivery) error {
	if e := errorIn(d); e != nil && mayRetry(e) {
		return e
	}
	return nil
}

// mayRetry reports whether nobody has seen the request yet, and somebody may soon.
func mayRetry(err error) bool {
	for _, code := range []Code{CodeNoInstance, CodeBreakerOpen, CodeOverloaded, CodeAlarm} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - retryJitter + 2*retryJitter*rand.Float64()))
}

// wait waits for d; false when ctx ends before that.
func wait(ctx context.Context, d time.Duration) bool {
	if at, ok := ctx.Deadline(); ok && time.Until(at) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
