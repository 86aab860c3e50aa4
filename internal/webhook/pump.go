// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// waitingMax bounds the messages of one subscription that wait for another attempt.
	waitingMax = 1_000
	// grace bounds the wait for posts under way when a subscription ends.
	grace = 5 * time.Second
	// messageBytesMax bounds the body of a message that is posted; larger ones are dead-lettered.
	messageBytesMax = 16 << 20
	// never is how long a timer runs that waits for nothing.
	never = time.Hour
)

var (
	errConsumerGone = errors.New("the queue was deleted, or may not be read any more")
	errClosed       = errors.New("the connection was closed")
	errNotAllowed   = errors.New("its user is no administrator any more")
)

// pump is a subscription's consumer: everything in it belongs to the goroutine of run, but for the
// posts, each of which has one of its own.
type pump struct {
	r        *runner
	session  *broker.Session
	consumer *broker.Consumer
	sink     *sink
	window   window
	agreed   consent

	credit  int // granted and not used
	pending []parcel
	posting int // posts under way
	flying  int // messages in them
	waiting []waiting
	results chan result
	work    sync.WaitGroup

	pausedUntil time.Time
	pauses      uint32    // in a row that the target did not say the length of
	nextAt      time.Time // when the rate allows the next post
}

// waiting is a delivery that failed and goes back to its queue at a time.
type waiting struct {
	tag uint64
	at  time.Time
}

// result is a post that has ended.
type result struct {
	list []parcel
	outcome
}

func newPump(r *runner, agreed consent) *pump {
	limit := r.kept.Push.MaxInflight
	return &pump{
		r: r, sink: newSink(), window: newWindow(limit), agreed: agreed,
		results: make(chan result, limit), // so that no post waits to be heard
	}
}

// consume opens the consumer; a topic's queue is declared.
func (u *pump) consume() (err error) {
	source := u.r.kept.Source
	var p broker.ConsumerParams
	p.Queue, p.Tag, p.Limited = source.Queue, "webhook-"+u.r.name, true
	p.Attempts = u.r.kept.Push.Retry.Attempts
	if source.Topic != "" {
		p.Queue = queuePrefix + u.r.name
		if err := u.declare(p.Queue, source); err != nil {
			return err
		}
	}
	u.consumer, err = u.session.Consume(p)
	return err
}

// declare makes the queue of a topic, and that of its dead letters.
func (u *pump) declare(name string, source Source) error {
	var q broker.QueueParams
	q.Name, q.Durable = name, true
	if source.DeadLetter != "" {
		q.Arguments = broker.Table{
			{Name: "x-dead-letter-exchange", Value: ""},
			{Name: "x-dead-letter-routing-key", Value: source.DeadLetter},
		}
		var dead broker.QueueParams
		dead.Name, dead.Durable = source.DeadLetter, true
		if _, err := u.session.DeclareQueue(dead); err != nil {
			return err
		}
	}
	if _, err := u.session.DeclareQueue(q); err != nil {
		return err
	}
	var b broker.BindingParams
	b.Source, b.Destination, b.Key = "amq.topic", name, source.Topic
	return u.session.Bind(b)
}

// run posts until ctx ends, the connection is closed, or the target wants nothing any more.
func (u *pump) run(ctx context.Context, closed <-chan struct{}) error {
	posts, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer u.work.Wait()
	timer := time.NewTimer(never)
	defer timer.Stop()
	var err error
	for err == nil && ctx.Err() == nil {
		if !u.r.allowed() {
			err = errNotAllowed // what it holds goes back
			break
		}
		u.grant()
		u.post(posts)
		u.session.Flush()
		u.tell()
		timer.Reset(u.next(time.Now()))
		select {
		case <-u.sink.wake:
			err = u.collect()
		case res := <-u.results:
			err = u.settle(&res)
		case now := <-timer.C:
			u.giveBack(now)
		case <-closed:
			err = errClosed
		case <-ctx.Done():
		}
	}
	u.drain(stop)
	return err
}

// grant makes the consumer's credit what there is room for.
func (u *pump) grant() {
	want := 0
	if !u.paused(time.Now()) && len(u.waiting) < waitingMax {
		want = max(u.window.size*u.r.kept.Push.batch()-len(u.pending)-u.flying, 0)
	}
	if want != u.credit {
		u.consumer.AddCredit(want - u.credit) // what is delivered meanwhile counts when it is collected
		u.credit = want
	}
}

func (u *pump) paused(now time.Time) bool { return now.Before(u.pausedUntil) }

// collect takes what was delivered.
func (u *pump) collect() error {
	list, cancelled := u.sink.take()
	for i := range list {
		u.credit--
		if p := &list[i]; p.unreadable || len(p.body) > messageBytesMax {
			u.outcome(list[i:i+1], broker.Rejected)
			u.r.note(func(s *status) { s.DeadLettered++ })
			continue
		}
		u.pending = append(u.pending, list[i])
	}
	if cancelled {
		return errConsumerGone
	}
	return nil
}

// post starts as many posts as may be under way.
func (u *pump) post(ctx context.Context) {
	for now := time.Now(); u.posting < u.window.size && len(u.pending) > 0; {
		if u.paused(now) || now.Before(u.nextAt) {
			return
		}
		n := min(len(u.pending), u.r.kept.Push.batch())
		list := u.pending[:n:n]
		u.pending = u.pending[n:]
		if u.agreed.perMinute > 0 {
			u.nextAt = now.Add(time.Minute / time.Duration(u.agreed.perMinute))
		}
		u.posting++
		u.flying += n
		u.work.Go(func() { u.results <- u.send(ctx, list) })
	}
}

// send makes one post.
func (u *pump) send(ctx context.Context, list []parcel) result {
	o, err := u.r.newPost(list)
	if err != nil { // no format of ours takes it
		return result{list: list, outcome: outcome{verdict: refused, why: err.Error()}}
	}
	return result{list: list, outcome: u.r.p.do(ctx, o)}
}

// next returns how long to sleep until something is due.
func (u *pump) next(now time.Time) time.Duration {
	at := now.Add(never)
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	for i := range u.waiting {
		sooner(u.waiting[i].at)
	}
	if u.paused(now) {
		sooner(u.pausedUntil)
	} else if len(u.pending) > 0 && now.Before(u.nextAt) {
		sooner(u.nextAt)
	}
	return max(at.Sub(now), 0)
}

// giveBack returns to the queue, as failed, what has waited long enough.
func (u *pump) giveBack(now time.Time) {
	left := u.waiting[:0]
	for _, w := range u.waiting {
		if now.Before(w.at) {
			left = append(left, w)
		} else {
			u.outcomeOf(w.tag, broker.Modified)
		}
	}
	u.waiting = left
}

// settle does with the messages of a post what its answer says.
func (u *pump) settle(res *result) error {
	u.posting--
	u.flying -= len(res.list)
	switch res.verdict {
	case taken:
		u.window.grow()
		u.pauses = 0
		u.answer(res)
		u.outcome(res.list, broker.Accepted)
		u.r.note(func(s *status) { s.Taken += uint64(len(res.list)) })
	case failed:
		u.window.shrink()
		u.retry(res)
	case wait:
		u.window.shrink()
		u.pause(res.pause)
		u.outcome(res.list, broker.Undelivered)
	case refused, formatRefused:
		u.outcome(res.list, broker.Rejected)
		u.r.note(func(s *status) {
			s.DeadLettered += uint64(len(res.list))
			s.FormatRefused = s.FormatRefused || res.verdict == formatRefused
			s.Reason = res.why
		})
	case gone:
		u.outcome(res.list, broker.Undelivered)
		return &disabledError{res.why}
	case interrupted, verdicts:
		u.outcome(res.list, broker.Undelivered)
	}
	return nil
}

// retry lets messages wait for their next attempt, or go for good after the last.
func (u *pump) retry(res *result) {
	again := &u.r.kept.Push.Retry
	now := time.Now()
	u.release(res.list)
	for i := range res.list {
		p := &res.list[i]
		if p.attempt >= again.Attempts {
			u.outcomeOf(p.tag, broker.Modified) // the heart counts, and dead-letters it
			u.r.note(func(s *status) { s.DeadLettered++ })
			continue
		}
		u.waiting = append(u.waiting, waiting{p.tag, now.Add(again.backOff(p.attempt))})
	}
	u.r.note(func(s *status) { s.Failed++; s.Reason = res.why })
}

// pause stops posting for as long as the target says, or for a back-off when it does not. What was not
// posted yet is for others meanwhile.
func (u *pump) pause(d time.Duration) {
	u.pauses++
	if d == 0 {
		d = u.r.kept.Push.Retry.backOff(u.pauses)
	}
	if at := time.Now().Add(d); at.After(u.pausedUntil) {
		u.pausedUntil = at
	}
	u.outcome(u.pending, broker.Undelivered)
	u.pending = nil
}

// answer publishes the reply that a post brought, before its message is settled: both may happen
// twice, neither is lost.
func (u *pump) answer(res *result) {
	if res.reply == nil {
		return
	}
	p := &res.list[0].properties
	m := &broker.Message{Body: res.reply.body}
	m.Key, m.CorrelationID = []byte(p.ReplyTo), []byte(p.CorrelationID)
	m.ContentType, m.Persistent = []byte(res.reply.contentType), p.DeliveryMode == 2
	if res.reply.fault != "" {
		m.Body, m.ContentType = nil, nil
		m.Overlay = broker.Table{
			{Name: broker.HeaderError, Value: "bad-reply"},
			{Name: broker.HeaderErrorMessage, Value: res.reply.fault},
		}
	} else {
		m.Overlay = broker.Table{{Name: "http-status", Value: strconv.Itoa(res.reply.status)}}
	}
	var params broker.PublishParams
	if _, err := u.session.Publish(m, params); err != nil {
		u.r.p.options.Logger.Warn("reply not published", "door", Name, "vhost", u.r.vhost,
			"subscription", u.r.name, "error", err)
	}
}

// outcome settles deliveries whose bodies were held.
func (u *pump) outcome(list []parcel, o broker.Outcome) {
	for i := range list {
		u.outcomeOf(list[i].tag, o)
	}
	u.release(list)
}

// release gives back the memory of bodies.
func (u *pump) release(list []parcel) {
	n := 0
	for i := range list {
		n += list[i].size()
		list[i].body = nil
	}
	if n > 0 && u.sink.free(n) {
		u.session.Resume()
	}
}

func (u *pump) outcomeOf(tag uint64, o broker.Outcome) {
	// The tag is outstanding: each is settled once, and only here. What a deleted queue had is
	// settled all the same.
	_ = u.session.Settle(broker.SettleParams{Tag: tag, Multiple: false, Of: nil, Outcome: o})
}

// tell notes what the pump has to do.
func (u *pump) tell() {
	now := time.Now()
	u.r.note(func(s *status) {
		s.Window, s.Inflight, s.Waiting = u.window.size, u.posting, len(u.waiting)
		s.State = stateActive
		if u.paused(now) {
			s.State = statePaused
		}
	})
}

// drain lets the posts under way end, within grace, and gives everything back.
func (u *pump) drain(stop context.CancelFunc) {
	u.session.Cancel(u.consumer.Tag)
	list, _ := u.sink.take()
	u.outcome(append(u.pending, list...), broker.Undelivered)
	u.session.Flush()
	late := time.AfterFunc(grace, stop)
	defer late.Stop()
	for u.posting > 0 {
		res := <-u.results
		_ = u.settle(&res) // it ends anyway; a target that is gone says so again
		u.session.Flush()
	}
	for _, w := range u.waiting {
		u.outcomeOf(w.tag, broker.Modified)
	}
	u.session.Flush()
}
