// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
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
			"with * for one word and # for any number.",
		Example: "  parley sub 'orders.#'\n  parley sub mail --count 1",
		Args:    argsUpTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.sub(cmd.Context(), args[0], &f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.group, "group", "", "share the topic's messages in a durable queue of that group")
	fl.IntVar(&f.count, "count", 0, "end after so many")
	fl.BoolVar(&f.peek, "peek", false, "leave the messages in the queue, and end when all are shown")
	fl.DurationVar(&f.timeout, "timeout", 0, "end after so long, with exit code 4 if --count is not met")
	fl.BoolVar(&f.asQueue, "queue", false, "the name is a queue's")
	fl.BoolVar(&f.asTopic, "topic", false, "the name is a topic's")
	return cmd
}

// check refuses flags of which one makes the other mean nothing.
func (f *subFlags) check() error {
	switch {
	case f.asQueue && f.asTopic:
		return usagef("--queue and --topic exclude each other")
	case f.group != "" && (f.asQueue || f.peek):
		return usagef("--group is for topics, --queue and --peek are for queues")
	case f.peek && (f.asTopic || f.timeout > 0):
		return usagef("--peek shows what a queue holds now: no --topic, no --timeout")
	}
	return nil
}

func (a *app) sub(ctx context.Context, name string, f *subFlags) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if f.peek {
		return a.peek(ctx, conn, name, f.count)
	}
	isQueue := f.asQueue
	if !isQueue && !f.asTopic && f.group == "" {
		_, err := conn.Queue(ctx, name)
		if err != nil && !errors.Is(err, parley.CodeNotFound) {
			return err
		}
		isQueue = err == nil
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
	l := &listing{rows: a.printer(), limit: f.count, full: stop}
	kind := "topic"
	if isQueue {
		kind = "queue"
		parley.NewOp[[]byte, []byte](name+"/").Handle(s, l.message,
			parley.Existing(), parley.Concurrency(1))
	} else {
		parley.NewTopic[[]byte](name).Subscribe(s, f.group, l.event)
	}
	if f.count == 0 {
		go func() {
			select {
			case <-s.Ready():
				a.note("listening to %s %s; Ctrl-C ends", kind, name)
			case <-run.Done():
			}
		}()
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

// peek prints what is in a queue and leaves it there.
func (a *app) peek(ctx context.Context, conn *parley.Conn, queue string, count int) error {
	if count == 0 {
		count = parley.MaxPeek
	}
	list, err := conn.Peek(ctx, queue, count)
	if err != nil {
		return err
	}
	p := a.printer()
	for _, m := range list {
		if err := p.put(envelope(m.Meta, m.Body), m.Body); err != nil {
			return err
		}
	}
	return nil
}

// listing prints messages until it has as many as were asked for.
type listing struct {
	rows  *printer
	limit int    // 0: no limit
	full  func() // called when there are enough

	mu    sync.Mutex
	count int
	err   error
}

// errKept gives a message back that is more than was asked for.
var errKept = errors.New("left in the queue")

func (l *listing) message(ctx context.Context, body []byte) ([]byte, error) {
	return nil, l.event(ctx, body)
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
	case f.count > 0 && l.count < f.count:
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
		cell{"attempt", m.Attempt}, cell{"trace", traceID(m.Headers)})
}

// traceID returns the id of the trace that a message belongs to (W3C Trace Context, traceparent).
func traceID(headers map[string]any) string {
	const idLength = 32
	text, _ := headers["traceparent"].(string)
	_, rest, _ := strings.Cut(text, "-") // the version
	id, _, _ := strings.Cut(rest, "-")
	if len(id) != idLength {
		return ""
	}
	return id
}
