// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

// maxMessageRunes bounds how much of a failed command's output an answer shows.
const maxMessageRunes = 500

// replyDrain is how long an interrupted reply waits for the answers it is working on.
const replyDrain = time.Second

type replyFlags struct {
	echo        bool
	exec        string
	body        string
	delay       time.Duration
	fail        string
	count       int
	concurrency int
	name        string
}

func (a *app) replyCommand() *cobra.Command {
	var f replyFlags
	cmd := &cobra.Command{
		Use:   "reply OP --echo | --exec CMD | --body TEMPLATE",
		Short: "Be a service",
		Long: "Answer the requests of an operation until interrupted. --exec runs a shell command with\n" +
			"the request on its standard input; what it prints is the answer, and an exit code other\n" +
			"than 0 is an error; lines on its standard error that begin with \"parley-progress:\" tell how\n" +
			"far it is, as in \"parley-progress: 40 copying\". --body is a template: {{.Body}} {{.Count}}\n" +
			"{{.Random 1 6}} {{.UUID}} {{.Time}}.\n" + opHelp,
		Example: `  parley reply greeter.SayHello --body '{"text":"Hello!"}'`,
		Args:    argsUpTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reply(cmd.Context(), args[0], &f)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.echo, "echo", false, "answer with the request")
	fl.StringVar(&f.exec, "exec", "", "answer with the output of a shell command")
	fl.StringVar(&f.body, "body", "", "answer with a text")
	fl.DurationVar(&f.delay, "delay", 0, "wait before each answer")
	fl.StringVar(&f.fail, "fail", "0%", "answer that share with an error")
	fl.IntVar(&f.count, "count", 0, "end after so many requests")
	fl.IntVar(&f.concurrency, "concurrency", 1, "so many at once")
	fl.StringVar(&f.name, "name", "", "name of this instance, as gather shows it")
	return cmd
}

func (a *app) reply(ctx context.Context, name string, f *replyFlags) error {
	op, err := newOperation(name)
	if err != nil {
		return err
	}
	answer, err := a.answerer(f)
	if err != nil {
		return err
	}
	share, err := parseShare(f.fail)
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx, parley.WithName(f.name))
	if err != nil {
		return err
	}
	defer conn.Close()
	run, stop := context.WithCancel(ctx)
	defer stop()
	var count atomic.Int64
	s := parley.NewService(conn, parley.ServiceConfig{Name: op.Service(), Drain: replyDrain})
	op.Handle(s, func(ctx context.Context, body []byte) ([]byte, error) {
		n := int(count.Add(1))
		if n == f.count {
			defer stop()
		}
		if err := sleepUntil(ctx, time.Now().Add(f.delay)); err != nil {
			return nil, err
		}
		if rand.Float64() < share {
			return nil, &parley.Error{Code: parley.CodeException, Message: "failed as asked for"}
		}
		return answer(ctx, n, body)
	}, parley.Concurrency(f.concurrency))
	go func() {
		select {
		case <-s.Ready():
			a.note("answering %s; Ctrl-C ends", name)
		case <-run.Done():
		}
	}()
	if err := s.Run(run); err != nil {
		return err
	}
	a.note("answered %d", count.Load())
	return ctx.Err()
}

// answerer returns what makes answer n from a request.
func (a *app) answerer(
	f *replyFlags,
) (func(ctx context.Context, n int, body []byte) ([]byte, error), error) {
	switch {
	case f.echo && f.exec == "" && f.body == "":
		return func(_ context.Context, _ int, body []byte) ([]byte, error) { return body, nil }, nil
	case f.exec != "" && !f.echo && f.body == "":
		return func(ctx context.Context, _ int, body []byte) ([]byte, error) {
			return a.shell(ctx, f.exec, body)
		}, nil
	case f.body != "" && !f.echo && f.exec == "":
		t, err := newBodyTemplate(f.body)
		if err != nil {
			return nil, err
		}
		return func(_ context.Context, n int, body []byte) ([]byte, error) {
			return t.render(templateData{Count: n, Body: string(body)})
		}, nil
	}
	return nil, usagef("give one of --echo, --exec and --body")
}

// shell runs a command with the request on its standard input.
func (a *app) shell(ctx context.Context, command string, body []byte) ([]byte, error) {
	m := parley.MetaFrom(ctx)
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), "PARLEY_CLI_SERVICE="+m.Queue, "PARLEY_CLI_OPERATION="+m.Operation)
	cmd.Stdin = bytes.NewReader(body)
	var out bytes.Buffer
	failed := a.newProgressLines(ctx)
	cmd.Stdout, cmd.Stderr = &out, failed
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		text := strings.TrimSpace(failed.text())
		if runes := []rune(text); len(runes) > maxMessageRunes {
			text = string(runes[len(runes)-maxMessageRunes:])
		}
		if text == "" {
			text = exit.Error()
		}
		return nil, &parley.Error{Code: parley.CodeException, Message: text}
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", command, err)
	}
	return out.Bytes(), nil
}

// parseShare reads 10% or 0.1.
func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || share < 0 || share > 1 {
		return 0, usagef("--fail %q is not a share: 10%% or 0.1", text)
	}
	return share, nil
}
