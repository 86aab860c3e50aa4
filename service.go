// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Defaults and limits of a service.
const (
	// DefaultConcurrency is how many requests of a service's queue are handled at once.
	DefaultConcurrency = 16
	// DefaultDrain bounds how long Run waits for running handlers after its context has ended.
	DefaultDrain = 10 * time.Second

	maxPrefetch = 1<<16 - 1 // basic.qos has 16 bits
)

// Message is what a [Handler] gets and returns.
type Message struct {
	// Body is the handler's to keep.
	Body []byte
	// Meta of a returned message: only ContentType and Headers count.
	Meta Meta
}

// Handler handles one message of any operation. A nil message sends no answer, even if one is wanted.
type Handler func(ctx context.Context, m *Message) (*Message, error)

// Middleware wraps the handlers of a service.
type Middleware func(next Handler) Handler

// ServiceConfig configures a Service. Only Name is needed.
type ServiceConfig struct {
	// Name is how the hub and answers of gathers name this service.
	Name string
	// Version is shown beside it.
	Version string
	// Instance tells the instances of one name apart. Default: six random letters.
	Instance string
	// Drain replaces DefaultDrain.
	Drain time.Duration
	// Middleware wraps every handler; the first is the outermost.
	Middleware []Middleware
}

// Service handles operations and topics over one connection. Register handlers with [Op.Handle] and
// [Topic.Subscribe], then call Run. Its methods are safe for concurrent use.
type Service struct {
	conn   *Conn
	config ServiceConfig
	ready  chan struct{}

	mu      sync.Mutex
	sources []*source
	faults  []error
	running bool
}

// NewService returns a service without handlers.
func NewService(c *Conn, cfg ServiceConfig) *Service {
	if cfg.Instance == "" {
		cfg.Instance = strings.ToLower(rand.Text()[:6])
	}
	if cfg.Drain <= 0 {
		cfg.Drain = DefaultDrain
	}
	return &Service{conn: c, config: cfg, ready: make(chan struct{})}
}

// Ready is closed when Run has attached to every queue.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// tag names the service's consumers, and with them the answers to a gather.
func (s *Service) tag() string {
	name := s.config.Name
	if name == "" {
		name = "service"
	}
	return name + "-" + s.config.Instance
}

// Handle registers fn for the operation. Several operations of one service share its queue, and an
// operation without a name takes what no other has.
//
// The queue is declared durable. What fn returns decides: nil accepts the message, and its result
// is the answer if one is wanted. An error is the answer where somebody waits, an *[Error] with its
// own code, any other as CodeException with its text. Where nobody waits the message is delivered
// again after a pause, up to a second. [Retry] and [Drop] say otherwise. A panic is an error whose
// stack is logged. ctx has the asker's deadline; a request whose deadline has passed is not handed
// to fn at all, and an error that comes after it is not sent: the hub has told the asker. fn is
// called by up to [Concurrency] goroutines at once (DefaultConcurrency).
func (op Op[Req, Res]) Handle(
	s *Service, fn func(context.Context, Req) (Res, error), opts ...HandleOption,
) {
	codec := op.options.codec
	s.handle(queueSource(op.service), op.operation, func(ctx context.Context, m *Message) (
		*Message, error,
	) {
		req, err := decode[Req](codec, m.Body)
		if err != nil {
			return nil, Drop(&Error{Code: CodeBadRequest, Message: err.Error(), cause: err})
		}
		res, err := fn(ctx, req)
		if err != nil {
			return nil, err
		}
		body, contentType, err := encode(codec, res)
		if err != nil {
			return nil, err
		}
		return &Message{Body: body, Meta: Meta{ContentType: contentType}}, nil
	}, opts)
}

// handle adds a handler to the source of its queue.
func (s *Service) handle(of *source, operation string, h Handler, opts []HandleOption) {
	var o handleOptions
	for _, opt := range opts {
		opt(&o)
	}
	for i := range s.config.Middleware {
		h = s.config.Middleware[len(s.config.Middleware)-1-i](h)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.faults = append(s.faults, errorf(CodeConflict, "handler for %s added after Run", of.name))
		return
	}
	src := of
	for _, known := range s.sources {
		if known.name == of.name {
			src = known
		}
	}
	if src == of {
		s.sources = append(s.sources, of)
	}
	if _, taken := src.handlers[operation]; taken {
		s.faults = append(s.faults,
			errorf(CodeConflict, "two handlers for operation %q of %s", operation, of.name))
		return
	}
	src.handlers[operation] = h
	src.concurrency = max(src.concurrency, o.concurrency)
	src.existing = src.existing || o.existing
}

// begin checks what was registered and returns it; nothing may be added afterwards.
func (s *Service) begin() ([]*source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.running:
		return nil, errorf(CodeConflict, "service %s runs already", s.config.Name)
	case len(s.faults) > 0:
		return nil, errors.Join(s.faults...)
	case len(s.sources) == 0:
		return nil, errorf(CodeBadRequest, "service %s handles nothing", s.config.Name)
	}
	s.running = true
	return s.sources, nil
}

// Run attaches to the queues and handles messages until ctx ends; then it stops taking new ones,
// waits for the running handlers (ServiceConfig.Drain, after which their contexts end) and returns
// nil. A handler that ignores its context keeps Run waiting. Run returns an error when it cannot
// attach, and when the connection or a queue is lost.
func (s *Service) Run(ctx context.Context) error {
	sources, err := s.begin()
	if err != nil {
		return err
	}
	// Handlers outlive ctx until they are drained.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	lost := make(chan error, len(sources))
	var attached []*attachment
	defer func() {
		for _, a := range attached {
			a.channel.close()
		}
	}()
	for _, src := range sources {
		a, err := s.attach(work, src, lost)
		if err != nil {
			return fmt.Errorf("attach to %s: %w", src.name, err)
		}
		attached = append(attached, a)
	}
	close(s.ready)
	select {
	case <-ctx.Done():
	case err = <-lost:
	}
	drained, cancel := context.WithTimeout(work, s.config.Drain)
	defer cancel()
	for _, a := range attached {
		a.stopTaking(drained)
	}
	for _, a := range attached {
		a.drain(drained)
	}
	stop()
	for _, a := range attached {
		a.running.Wait()
	}
	return err
}
