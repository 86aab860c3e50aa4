// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

// maxLineBytes bounds one line of --lines.
const maxLineBytes = 16 << 20

// manyFlags are those of the verbs that send one message or many.
type manyFlags struct {
	messageFlags
	count     int
	rate      float64
	lines     bool
	template  bool
	transient bool
}

func (f *manyFlags) add(cmd *cobra.Command) {
	f.messageFlags.add(cmd)
	cmd.Flags().IntVar(&f.count, "count", 1, "send so many")
	cmd.Flags().Float64Var(&f.rate, "rate", 0, "at most so many a second")
	cmd.Flags().BoolVar(&f.lines, "lines", false, "send every line of standard input")
	cmd.Flags().BoolVar(&f.template, "template", false,
		"BODY is a template: {{.Count}} {{.Random 1 6}} {{.UUID}} {{.Time}}")
	cmd.Flags().BoolVar(&f.transient, "transient", false, "need not survive a restart of the hub")
}

func (a *app) sendCommand() *cobra.Command {
	var f manyFlags
	cmd := &cobra.Command{
		Use:   "send QUEUE|OP [BODY]",
		Short: "Hand a message to a queue or service, and do not wait for an answer",
		Long: "Hand a message to a queue; exit code 0 means that the hub has it on disk. A name with\n" +
			"dots is that of a queue when there is one, else SERVICE.OPERATION.\n" + bodyHelp,
		Example: `  parley send mail '{"to":"ada"}'`,
		Args:    argsUpTo(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			conn, err := a.dial(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			name, err := queueOrOperation(ctx, conn, args[0])
			if err != nil {
				return err
			}
			op, err := newOperation(name)
			if err != nil {
				return err
			}
			err = a.many(ctx, &f, args, func(body []byte, opts []parley.CallOption) error {
				return op.Send(ctx, conn, body, opts...)
			})
			if errors.Is(err, parley.CodeNoService) {
				return &parley.Error{
					Code: parley.CodeNotFound, Message: fmt.Sprintf("no queue '%s'", op.Service()),
				}
			}
			return err
		},
	}
	f.add(cmd)
	return cmd
}

// queueOrOperation takes a name with dots for a queue when there is one.
func queueOrOperation(ctx context.Context, conn *parley.Conn, name string) (string, error) {
	if !strings.Contains(name, ".") || strings.Contains(name, "/") {
		return name, nil
	}
	_, err := conn.Queue(ctx, name)
	switch {
	case err == nil:
		return name + "/", nil
	case errors.Is(err, parley.CodeNotFound):
		return name, nil
	}
	return "", err
}

func (a *app) pubCommand() *cobra.Command {
	var f manyFlags
	cmd := &cobra.Command{
		Use:   "pub TOPIC|EXCHANGE[/KEY] [BODY]",
		Short: "Publish to everyone who follows",
		Long: "Publish a message; exit code 0 means that every durable queue bound there has it on\n" +
			"disk. A name without a slash is that of an exchange when there is one, else a topic.\n" +
			bodyHelp,
		Example: "  parley pub orders.placed '{\"id\":1}'\n  parley pub amq.topic/orders.placed hello",
		Args:    argsUpTo(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			conn, err := a.dial(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			topic, err := topicOf(ctx, conn, args[0])
			if err != nil {
				return err
			}
			return a.many(ctx, &f, args, func(body []byte, opts []parley.CallOption) error {
				return topic.Publish(ctx, conn, body, opts...)
			})
		},
	}
	f.add(cmd)
	return cmd
}

// topicOf reads TOPIC|EXCHANGE[/KEY].
func topicOf(
	ctx context.Context, conn *parley.Conn, name string,
) (t parley.Topic[[]byte], err error) {
	if exchange, key, ok := strings.Cut(name, "/"); ok {
		if exchange == "" && key == "" {
			return t, usagef("%q names no exchange and no key", name)
		}
		return parley.NewTopic[[]byte](key, parley.OnExchange(exchange)), nil
	}
	if name == "" {
		return t, usagef("no topic is named")
	}
	exists, err := conn.HasExchange(ctx, name)
	if err != nil {
		return t, err
	}
	if exists {
		return parley.NewTopic[[]byte]("", parley.OnExchange(name)), nil
	}
	return parley.NewTopic[[]byte](name), nil
}

// many sends the messages that the flags ask for, one after the other.
func (a *app) many(
	ctx context.Context, f *manyFlags, args []string,
	send func(body []byte, opts []parley.CallOption) error,
) error {
	next, err := a.bodies(f, args)
	if err != nil {
		return err
	}
	sent := 0
	began := time.Now()
	for {
		body, ok, err := next(sent + 1)
		if err != nil || !ok {
			a.summary(sent, f)
			return err
		}
		opts, err := f.options(body)
		if err != nil {
			return err
		}
		if f.transient {
			opts = append(opts, parley.Transient())
		}
		if f.rate > 0 {
			due := began.Add(time.Duration(float64(sent) / f.rate * float64(time.Second)))
			if err := sleepUntil(ctx, due); err != nil {
				a.summary(sent, f)
				return err
			}
		}
		if err := send(body, opts); err != nil {
			a.summary(sent, f)
			return err
		}
		sent++
	}
}

// summary tells how many were sent, when there was more than one to send.
func (a *app) summary(sent int, f *manyFlags) {
	if f.count > 1 || f.lines {
		a.note("sent %d", sent)
	}
}

// bodies returns a function that gives the body of message n, from 1, until it reports false.
func (a *app) bodies(f *manyFlags, args []string) (func(n int) ([]byte, bool, error), error) {
	if f.lines {
		if len(args) > 1 {
			return nil, usagef("--lines takes the bodies from standard input, not BODY")
		}
		in := bufio.NewScanner(a.in)
		in.Buffer(nil, maxLineBytes)
		return func(int) ([]byte, bool, error) {
			if !in.Scan() {
				return nil, false, in.Err()
			}
			return []byte(in.Text()), true, nil
		}, nil
	}
	body, err := a.bodyArg(args, 1)
	if err != nil {
		return nil, err
	}
	var t *bodyTemplate
	if f.template {
		if t, err = newBodyTemplate(string(body)); err != nil {
			return nil, err
		}
	}
	return func(n int) ([]byte, bool, error) {
		switch {
		case n > f.count:
			return nil, false, nil
		case t == nil:
			return body, true, nil
		}
		data, err := t.render(templateData{Count: n})
		return data, err == nil, err
	}, nil
}

func sleepUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
