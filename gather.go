// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// maxGatherBacklog bounds the answers that one gather holds for a loop that does not take them.
const maxGatherBacklog = 10_000

// gatherGrace is how long after the total time the hub's last word is waited for.
const gatherGrace = time.Second

// Until says when a gather ends: at the first of its rules that is met. The zero value waits for
// all who were asked.
type Until struct {
	// Replies ends it after so many answers; 0 is no such rule.
	Replies int
	// Total bounds it. 0 is the deadline of the context, or the operation's timeout.
	Total time.Duration
	// Gap ends it after so much silence that follows an answer; 0 is no such rule.
	Gap time.Duration
	// All waits for everyone who was asked; it is the default when Replies is 0.
	All bool
	// Sentinel ends it at an answer with an empty body that is no error. That one is not yielded.
	Sentinel bool
}

// Reply is one answer of a gather.
type Reply[Res any] struct {
	// From names who answered: the connection's name, or else the consumer's.
	From  string
	Value Res
}

// Gather asks every instance of the service and yields the answers as they come. An answer that is
// an error is yielded with its From and an *[Error]. A gather that ends before its rule is met
// yields an *[Incomplete] last, naming who is missing; any other error is the last one too. Leaving
// the loop drops the answers that are still to come.
func (op Op[Req, Res]) Gather(
	ctx context.Context, c *Conn, req Req, until Until, opts ...CallOption,
) iter.Seq2[Reply[Res], error] {
	return func(yield func(Reply[Res], error) bool) {
		m, err := op.outgoing(req, opts)
		if err != nil {
			yield(Reply[Res]{}, err)
			return
		}
		m.props.DeliveryMode = wire.Transient // its copies are never stored
		err = c.gather(ctx, m, until.orDefault(ctx, op.options.timeout), func(d *delivery) bool {
			r := Reply[Res]{From: headerText(d.props.Headers, headerFrom)}
			var err error
			r.Value, err = answerOf[Res](op.options.codec, d)
			return yield(r, err)
		})
		if err != nil {
			yield(Reply[Res]{}, err)
		}
	}
}

func (u Until) orDefault(ctx context.Context, timeout time.Duration) Until {
	if u.Total <= 0 {
		u.Total = timeout
		if at, ok := ctx.Deadline(); ok {
			u.Total = time.Until(at)
		}
	}
	return u
}

// rule is the header parley-gather.
func (u Until) rule() string {
	rule := "all"
	if u.Replies > 0 && !u.All {
		rule = strconv.Itoa(u.Replies)
	}
	if u.Sentinel {
		rule += ",sentinel"
	}
	return rule
}

// gather hands each answer to each, until it says no. The hub's last message tells how it ended.
func (c *Conn) gather(
	ctx context.Context, m *outgoing, until Until, each func(*delivery) bool,
) error {
	if until.Total <= 0 {
		return errorf(CodeDeadline, "gather %s: deadline passed", m.key)
	}
	m.setHeader(headerGather, until.rule())
	if until.Gap > 0 {
		m.setHeader(headerGatherStall, milliseconds(until.Gap))
	}
	m.setHeader(headerTimeout, milliseconds(until.Total)) // for those who are asked
	m.props.Expiration = strconv.FormatInt(milliseconds(until.Total), 10)
	// The hub ends a gather; this clock only outlasts it.
	ctx, cancel := context.WithTimeout(ctx, until.Total+gatherGrace)
	defer cancel()
	b := &backlog{more: make(chan struct{}, 1)}
	ch, id, err := c.open(ctx, m, b)
	if err != nil {
		return err
	}
	defer ch.unregister(id)
	for {
		d, err := b.next(ctx)
		if err != nil {
			return err
		}
		if end := headerText(d.props.Headers, headerGatherEnd); end != "" {
			return gatherEnd(end, headerText(d.props.Headers, headerMissing))
		}
		if e := errorIn(d); e != nil && headerText(d.props.Headers, headerFrom) == "" {
			return e // the hub's own: nobody was asked
		}
		if !each(d) {
			return nil
		}
	}
}

func gatherEnd(word, missing string) error {
	if word == "complete" {
		return nil
	}
	e := &Incomplete{}
	if missing != "" {
		e.Missing = strings.Split(missing, ",")
	}
	return e
}

// backlog holds the answers of a gather that its loop has not taken yet.
type backlog struct {
	more chan struct{} // one token: something changed

	mu   sync.Mutex
	list []*delivery
	err  error
}

func (b *backlog) answer(d *delivery) {
	b.mu.Lock()
	if len(b.list) < maxGatherBacklog {
		b.list = append(b.list, d)
	} else if b.err == nil {
		b.err = errorf(CodeOverloaded, "%d answers of a gather wait to be taken", maxGatherBacklog)
	}
	b.mu.Unlock()
	b.signal()
}

func (b *backlog) ended(err error) {
	b.mu.Lock()
	if b.err == nil {
		b.err = err
	}
	b.mu.Unlock()
	b.signal()
}

func (b *backlog) signal() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

var errNothing = errors.New("nothing yet")

func (b *backlog) take() (*delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) > 0 {
		d := b.list[0]
		b.list[0] = nil
		b.list = b.list[1:]
		return d, nil
	}
	if b.err != nil {
		return nil, b.err
	}
	return nil, errNothing
}

// next waits for the next answer.
func (b *backlog) next(ctx context.Context) (*delivery, error) {
	for {
		d, err := b.take()
		if !errors.Is(err, errNothing) {
			return d, err
		}
		select {
		case <-b.more:
		case <-ctx.Done():
			return nil, contextError(ctx, "gather")
		}
	}
}
