// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what an attachment holds.
const (
	// endpointUnsettled bounds the messages that an endpoint has or that wait for its next attempt.
	endpointUnsettled = 1_024
	// endpointCopies bounds the copies of gathers that are under way at one endpoint.
	endpointCopies = 1_024
	// reattachWait is how long an attachment whose queue is gone waits before it makes another.
	reattachWait = time.Second
)

// EndpointParams attach an endpoint to a service.
type EndpointParams struct {
	VHost, Service string
	// Tag is what lists of consumers call it. Default "endpoint".
	Tag      string
	Endpoint Endpoint
	// Timeout bounds a message that has no deadline of its own, and of whose operation none is known.
	// Default DefaultTimeout.
	Timeout time.Duration
}

// Attachment is an endpoint at the queue of its service: a consumer whose deliveries run on
// goroutines of the heart, as many as the endpoint gives credit for. Its methods are safe for
// concurrent use.
type Attachment struct {
	params  EndpointParams
	b       *Broker
	vh      *VirtualHost
	session *Session
	ctx     context.Context //nolint:containedctx // of all calls; its end is the attachment's
	cancel  context.CancelFunc
	// consumer is the one at the queue there is now; nil while there is none.
	consumer atomic.Pointer[Consumer]
	// hungry says that the queue was refused a credit, and waits until it is told of one.
	hungry  atomic.Bool
	running sync.WaitGroup // calls, also those on their callers' goroutines

	attaching sync.Mutex // the session is used by one goroutine at a time

	mu      sync.Mutex // a leaf, taken under a queue's lock
	started []*dispatch
	copies  int
	waiting map[uint64]Timer // deliveries that wait for their next attempt, by tag
	retry   Timer            // for the next queue
	closed  bool
}

// Attach makes an endpoint a consumer of its service's queue, which is declared, durable, when there
// is none.
func (b *Broker) Attach(p EndpointParams) (*Attachment, error) {
	vh, ok := b.VirtualHost(p.VHost)
	if !ok {
		return nil, noVirtualHost("attach", p.VHost)
	}
	if p.Tag == "" {
		p.Tag = "endpoint"
	}
	if p.Timeout <= 0 {
		p.Timeout = DefaultTimeout
	}
	a := &Attachment{params: p, b: b, vh: vh, waiting: make(map[uint64]Timer)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	// No client: it is in no registry and under no limit.
	conn := &Connection{
		ConnectionParams: ConnectionParams{
			Name: "endpoint " + p.Service, ClientName: p.Service, Peer: "", User: "", VHost: p.VHost,
			Door: "endpoint", Properties: nil, Close: nil,
		},
		Opened: b.clock.Wall(), b: b, vh: vh, trusted: true,
		sessions: make(map[*Session]struct{}), exclusive: make(map[*Queue]struct{}),
	}
	a.session = newSession(conn, a)
	if err := a.attach(); err != nil {
		a.cancel()
		return nil, err
	}
	p.Endpoint.Watch(a.credit)
	a.credit() // it may have come before Watch
	b.attachments.add(a)
	return a, nil
}

// attach consumes from the service's queue.
func (a *Attachment) attach() error {
	a.attaching.Lock()
	defer a.attaching.Unlock()
	a.mu.Lock()
	closed := a.closed
	a.mu.Unlock()
	if closed {
		return errorf(CodeDraining, "attach", a.params.Service, "the endpoint is closed")
	}
	if _, ok := a.vh.Queue(a.params.Service); !ok {
		var q QueueParams
		q.Name, q.Durable = a.params.Service, true
		_, err := a.session.DeclareQueue(q)
		if err != nil {
			return err
		}
	}
	var p ConsumerParams
	p.Queue, p.Tag, p.Prefetch = a.params.Service, a.params.Tag, endpointUnsettled
	c, err := a.session.PrepareConsume(p)
	if err != nil {
		return err
	}
	c.endpoint = a // before it is started, so nobody looks yet
	a.consumer.Store(c)
	a.session.StartConsume(c)
	a.session.Flush()
	return nil
}

// take takes a credit of the endpoint for an operation. The queue's lock is held.
func (a *Attachment) take(operation []byte) bool {
	if a.params.Endpoint.Take(operation) {
		return true
	}
	a.hungry.Store(true)
	// A credit that came between the two has told nobody.
	return a.params.Endpoint.Take(operation)
}

// freed passes on the credit of a call that ended.
func (a *Attachment) freed() {
	if a.hungry.Load() && a.hungry.Swap(false) {
		a.credit()
	}
}

// credit lets the queue ask for credit again.
func (a *Attachment) credit() {
	c := a.consumer.Load()
	if c == nil {
		return
	}
	t := newTurn(a.b)
	c.activate(t)
	t.finish()
}

// Close lets nothing new in, waits for the calls under way until ctx ends, and then cancels them.
// What is not settled goes back to the queue. It is repeatable.
func (a *Attachment) Close(ctx context.Context) error {
	a.mu.Lock()
	again := a.closed
	a.closed = true
	if a.retry != nil {
		a.retry.Stop()
	}
	a.mu.Unlock()
	if again {
		return nil
	}
	a.attaching.Lock()
	defer a.attaching.Unlock()
	a.session.Cancel(a.params.Tag)
	a.Flush() //nolint:contextcheck // what was given before that goes on with its own
	done := make(chan struct{})
	go func() {
		a.running.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		a.cancel()
		<-done
	}
	a.cancel()
	a.mu.Lock()
	for _, timer := range a.waiting {
		timer.Stop()
	}
	a.waiting = nil
	a.mu.Unlock()
	a.session.Close()
	a.b.attachments.remove(a)
	return err
}

// Cancel implements Sink: the queue is gone. A service is there as long as its endpoint is, so it
// gets another queue, a little later.
func (a *Attachment) Cancel(*Consumer) {
	a.consumer.Store(nil)
	a.reattachLater()
}

func (a *Attachment) reattachLater() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if a.retry == nil {
		a.retry = a.b.clock.AfterFunc(reattachWait, a.reattach)
	} else {
		a.retry.Reset(reattachWait)
	}
}

func (a *Attachment) reattach() {
	err := a.attach()
	switch {
	case err == nil, errors.Is(err, &Error{Code: CodeDraining}):
	case errors.Is(err, &Error{Code: CodeNotFound}): // the virtual host is gone
		a.b.logger.Info("service ended with its virtual host", "vhost", a.params.VHost,
			"service", a.params.Service)
	default:
		a.b.logger.Warn("service not attached", "vhost", a.params.VHost,
			"service", a.params.Service, "error", err)
		a.reattachLater()
	}
}

// Confirm implements Sink; an attachment publishes nothing that is confirmed.
func (a *Attachment) Confirm(uint64) {}

// Nack implements Sink.
func (a *Attachment) Nack(uint64) {}

// Return implements Sink.
func (a *Attachment) Return(*Message, *Error) {}

// Block implements Sink.
func (a *Attachment) Block(string) {}

var _ Sink = (*Attachment)(nil)

// attachments lists those of a broker. Its lock is a leaf.
type attachments struct {
	mu   sync.Mutex
	list []*Attachment
}

func (t *attachments) add(a *Attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, a)
}

func (t *attachments) remove(a *Attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = slices.DeleteFunc(t.list, func(b *Attachment) bool { return a == b })
}

// close ends what nobody has closed.
func (t *attachments) close() {
	t.mu.Lock()
	list := slices.Clone(t.list)
	t.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, a := range list {
		_ = a.Close(ctx) // it is cut short, as it says
	}
}
