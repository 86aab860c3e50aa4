// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// The headers of progress: what a request asks for, and what a message has that is no answer.
const (
	headerWants    = "parley-wants"
	headerProgress = "parley-progress"
	wantsProgress  = "progress"
)

const (
	// progressPause is the least time between two reports; what comes sooner is dropped.
	progressPause = 100 * time.Millisecond
	// progressExpiry is how long a report waits for who reads the answer later.
	progressExpiry = 10 * time.Second
	// maxProgressText bounds the bytes of its text.
	maxProgressText = 255
)

// Progress is how far a service is with a request.
type Progress struct {
	// Percent is 0 to 100, or negative when the service does not know.
	Percent int
	Text    string
}

// String returns "40 copying", or the text alone.
func (p Progress) String() string {
	text := cut(p.Text, maxProgressText)
	if p.Percent < 0 {
		return text
	}
	return strings.TrimSpace(strconv.Itoa(min(p.Percent, 100)) + " " + text)
}

// ParseProgress reads what String wrote; a percent sign behind the number is no harm.
func ParseProgress(value string) Progress {
	number, text, _ := strings.Cut(value, " ")
	if n, ok := parseInt(strings.TrimSuffix(number, "%")); ok && n >= 0 && n <= 100 {
		return Progress{Percent: int(n), Text: strings.TrimSpace(text)}
	}
	return Progress{Percent: -1, Text: value}
}

// progressIn returns the progress that a message to a reply address tells, if it is no answer.
func progressIn(d *delivery) (Progress, bool) {
	v, ok := d.props.Headers.Get(headerProgress)
	if !ok {
		return Progress{}, false
	}
	if n, isNumber := wire.Integer(v); isNumber {
		return Progress{Percent: int(min(max(n, 0), 100))}, true
	}
	return ParseProgress(headerText(d.props.Headers, headerProgress)), true
}

// OnProgress asks the service to tell how far it is, and calls fn with what it tells, on the goroutine
// that waits for the answer. Of several reports that fn is not quick enough for the last counts.
func OnProgress(fn func(Progress)) CallOption {
	return func(m *outgoing) {
		m.onProgress = fn
		m.setHeader(headerWants, wantsProgress)
	}
}

type progressKey struct{}

// reporter tells who asked how far a handler is.
type reporter struct {
	a *attachment
	d *delivery

	mu   sync.Mutex
	last time.Time
}

// ReportProgress tells who waits for the answer how far the handler is whose context this is. Where
// nobody asked for it, and sooner than a tenth of a second after the last report, it does nothing. It
// is a hint: it may be lost, and after the answer it means nothing.
func ReportProgress(ctx context.Context, p Progress) error {
	r, ok := ctx.Value(progressKey{}).(*reporter)
	if !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.last) < progressPause {
		return nil
	}
	r.last = now
	m := &outgoing{key: r.d.props.ReplyTo}
	m.props.CorrelationID, m.props.DeliveryMode = r.d.props.CorrelationID, wire.Transient
	m.props.Expiration = strconv.FormatInt(milliseconds(progressExpiry), 10)
	m.setHeader(headerProgress, p.String())
	return r.a.channel.publish(ctx, m)
}

// withReporter lets a handler report its progress, where the request asks for that.
func (a *attachment) withReporter(ctx context.Context, d *delivery) context.Context {
	if d.props.ReplyTo == "" || headerText(d.props.Headers, headerWants) != wantsProgress {
		return ctx
	}
	return context.WithValue(ctx, progressKey{}, &reporter{a: a, d: d})
}
