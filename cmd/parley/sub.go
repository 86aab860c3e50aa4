// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

const (
	// maxPeek bounds the messages that sub --peek shows.
	maxPeek = 1000
	// peekQuiet ends sub --peek when nothing more has come for so long.
	peekQuiet = 500 * time.Millisecond
)

type subFlags struct {
	group   string
	count   int
	peek    bool
	timeout time.Duration
	asQueue bool
	asTopic bool
}

func (a *app) subCommand() *cobra.Command {
	var f subFlags
	cmd := &cobra.Command{
		Use:   "sub TOPIC|QUEUE",
		Short: "Print the messages of a topic or queue as they come",
		Long: "Print messages, one line each. A name is that of a queue when there is one: its messages\n" +
			"are taken out of it, unless --peek leaves them there. Otherwise it is a topic, or a pattern\n" +
			"with * for one word and # for any number.\n\n" + exitHelp,
		Example: "  parley sub 'orders.#'\n  parley sub mail --count 1",
		Args:    argsUpTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.asQueue && f.asTopic {
				return usagef("--queue and --topic exclude each other")
			}
			return a.sub(cmd.Context(), args[0], &f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.group, "group", "", "share the topic's messages in a durable queue of that group")
	fl.IntVar(&f.count, "count", 0, "end after so many")
	fl.BoolVar(&f.peek, "peek", false, "leave the messages in the queue; end when all were shown")
	fl.DurationVar(&f.timeout, "timeout", 0, "end after so long, with exit code 4 if --count is not met")
	fl.BoolVar(&f.asQueue, "queue", false, "the name is a queue's")
	fl.BoolVar(&f.asTopic, "topic", false, "the name is a topic's")
	return cmd
}

func (a *app) sub(ctx context.Context, name string, f *subFlags) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	isQueue := f.asQueue || f.peek
	if !isQueue && !f.asTopic && f.group == "" {
		_, err := conn.Queue(ctx, name)
		if err != nil && !errors.Is(err, parley.CodeNotFound) {
			return err
		}
		isQueue = err == nil
	}
	limit := f.count
	if f.peek && (limit == 0 || limit > maxPeek) {
		limit = maxPeek
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	if f.timeout > 0 {
		run, stop = context.WithTimeout(ctx, f.timeout)
		defer stop()
	}
	s := parley.NewService(conn, parley.ServiceConfig{
		Name: "parley-sub", Middleware: []parley.Middleware{silent},
	})
	l := &listing{rows: a.printer(), limit: limit, full: stop, peek: f.peek, run: run}
	switch {
	case isQueue && f.peek:
		l.quiet = time.AfterFunc(peekQuiet, stop)
		defer l.quiet.Stop()
		parley.NewOp[[]byte, []byte](name+"/").Handle(s, l.handle,
			parley.Existing(), parley.Concurrency(limit))
	case isQueue:
		parley.NewOp[[]byte, []byte](name+"/").Handle(s, l.handle,
			parley.Existing(), parley.Concurrency(1))
	default:
		parley.NewTopic[[]byte](name).Subscribe(s, f.group, l.event)
	}
	if f.count == 0 && !f.peek {
		go a.announce(s, name, isQueue)
	}
	if err := s.Run(run); err != nil {
		return err
	}
	return l.outcome(ctx, f)
}

// silent takes messages without answering: who listens does not speak for the service.
func silent(next parley.Handler) parley.Handler {
	return func(ctx context.Context, m *parley.Message) (*parley.Message, error) {
		_, err := next(ctx, m)
		return nil, err
	}
}

func (a *app) announce(s *parley.Service, name string, isQueue bool) {
	<-s.Ready()
	kind := "topic"
	if isQueue {
		kind = "queue"
	}
	a.note("listening to %s %s; Ctrl-C ends", kind, name)
}

// listing prints messages until it has as many as were asked for.
type listing struct {
	rows  *printer
	limit int // 0: no limit
	full  func()
	peek  bool
	quiet *time.Timer
	run   context.Context //nolint:containedctx // a peeked message is held until the run ends

	mu    sync.Mutex
	count int
	err   error
}

// errKept gives a message back that is not to be taken.
var errKept = errors.New("left in the queue")

func (l *listing) handle(ctx context.Context, body []byte) ([]byte, error) {
	if !l.show(parley.MetaFrom(ctx), body) {
		return nil, parley.Retry(errKept, 0)
	}
	if l.peek {
		<-l.run.Done()
		return nil, parley.Retry(errKept, 0)
	}
	return nil, nil
}

func (l *listing) event(ctx context.Context, body []byte) error {
	if !l.show(parley.MetaFrom(ctx), body) {
		return parley.Retry(errKept, 0)
	}
	return nil
}

// show prints a message; false when there were enough before it.
func (l *listing) show(m parley.Meta, body []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || (l.limit > 0 && l.count >= l.limit) {
		return false
	}
	if l.err = l.rows.put(envelope(m, body), body); l.err != nil {
		l.full()
		return false
	}
	if l.quiet != nil {
		l.quiet.Reset(peekQuiet)
	}
	if l.count++; l.count == l.limit {
		l.full()
	}
	return true
}

// outcome is the error of the whole command.
func (l *listing) outcome(ctx context.Context, f *subFlags) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return l.err
	case ctx.Err() != nil:
		return ctx.Err()
	case f.count > 0 && l.count < f.count && !f.peek:
		return &parley.Error{Code: parley.CodeDeadline, Message: "fewer messages than --count came"}
	}
	return nil
}

// envelope is a message as sub prints it.
func envelope(m parley.Meta, body []byte) row {
	r := row{{"exchange", m.Exchange}, {"key", m.Key}, {"op", m.Operation}}
	r = append(r, bodyCells(body)...)
	return append(r,
		cell{"content_type", m.ContentType}, cell{"headers", m.Headers},
		cell{"reply_to", m.ReplyTo}, cell{"correlation_id", m.CorrelationID},
		cell{"attempt", m.Attempt})
}
