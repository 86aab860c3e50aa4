// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/internal/contract"
)

const (
	// scriptPatience bounds what a script waits for.
	scriptPatience = 20 * time.Second
	scriptPoll     = 10 * time.Millisecond
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"parley": func() { os.Exit(realMain()) }})
}

// TestScripts runs testdata/script, a file for each verb. Each script has a hub of its own, which
// PARLEY_CLI_URL names; $REST and $STOMP are its other doors.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			return startScriptHub(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"declare":   declare,
			"attached":  attached,
			"messages":  messages,
			"ready":     ready,
			"freeports": freeports,
		},
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
	})
}

func startScriptHub(e *testscript.Env) error {
	o := hub.Defaults()
	const free = "127.0.0.1:0"
	o.Doors.AMQP.Listen, o.Doors.STOMP.Listen = free, free
	o.Doors.REST.Listen, o.Doors.Management.Listen = free, free
	o.Doors.WebSTOMP.Listen, o.Doors.Line.Listen = hub.Off, free
	o.Doors.Thrift.Listen = free
	h, err := hub.New(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	if err := h.Start(ctx); err != nil {
		return err
	}
	e.Defer(func() {
		if err := h.Shutdown(context.Background()); err != nil {
			e.T().Log(err)
		}
	})
	e.Setenv("PARLEY_CLI_URL", "parley://"+h.Addr("amqp").String())
	e.Setenv("AMQP", h.Addr("amqp").String())
	e.Setenv("MANAGEMENT", "http://"+h.Addr("management").String())
	e.Setenv("STOMP", h.Addr("stomp").String())
	e.Setenv("PARLEY_CLI_LINE", h.Addr("line").String())
	e.Setenv("REST", "http://"+h.Addr("rest").String())
	return nil
}

// exits CODE PROGRAM ARGS… runs a program that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// client calls fn with a connection to the script's hub.
func client(ts *testscript.TestScript, fn func(context.Context, *parley.Conn) error) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	c, err := parley.Dial(ctx, ts.Getenv("PARLEY_CLI_URL"))
	ts.Check(err)
	defer c.Close()
	ts.Check(fn(ctx, c))
}

// poll calls done until it reports true.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if err := sleepUntil(ctx, time.Now().Add(scriptPoll)); err != nil {
			return err
		}
	}
}

// declare QUEUE declares a durable queue.
func declare(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: declare QUEUE")
	}
	client(ts, func(ctx context.Context, c *parley.Conn) error {
		ctx, cancel := context.WithCancel(ctx)
		s := parley.NewService(c, parley.ServiceConfig{Name: "declare"})
		parley.NewOp[[]byte, []byte](args[0]+"/").Handle(s,
			func(context.Context, []byte) ([]byte, error) { return nil, nil })
		go func() {
			<-s.Ready()
			cancel()
		}()
		return s.Run(ctx)
	})
}

// attached QUEUE N waits until a queue has so many consumers.
func attached(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: attached QUEUE N")
	}
	client(ts, func(ctx context.Context, c *parley.Conn) error {
		return poll(ctx, func() (bool, error) {
			info, err := c.Queue(ctx, args[0])
			if errors.Is(err, parley.CodeNotFound) {
				return false, nil
			}
			return strconv.Itoa(info.Consumers) == args[1], err
		})
	})
}

// messages QUEUE N waits until a queue has so many messages ready.
func messages(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: messages QUEUE N")
	}
	client(ts, func(ctx context.Context, c *parley.Conn) error {
		return poll(ctx, func() (bool, error) {
			info, err := c.Queue(ctx, args[0])
			return strconv.Itoa(info.Messages) == args[1], err
		})
	})
}

// ready URL waits until a URL answers 200.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	ts.Check(poll(ctx, func() (bool, error) {
		res, err := http.Get(args[0])
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return res.StatusCode == http.StatusOK, res.Body.Close()
	}))
}

// freeports NAME… sets each variable to an address that nobody listens on, with a port that the
// system does not give to outgoing connections.
func freeports(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: freeports NAME...")
	}
	const lowest, highest, tries = 10_000, 32_767, 100
	for range tries {
		if len(args) == 0 {
			return
		}
		addr := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer l.Close()
		ts.Setenv(args[0], addr)
		args = args[1:]
	}
	ts.Fatalf("no free port")
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	testCases := []struct {
		err  error
		over bool // the command was interrupted
		want int
	}{
		{nil, false, 0},
		{errors.New("disk on fire"), false, 1},
		{usagef("what?"), false, 2},
		{usagef("what?"), true, 2},
		{errors.Join(errors.New("x"), contract.Errors{{Text: "what?"}}), false, 2},
		{&parley.Incomplete{}, false, 3},
		{context.DeadlineExceeded, false, 4},
		{&parley.Error{Code: parley.CodeDeadline}, false, 4},
		{&parley.Error{Code: parley.CodeNoInstance}, false, 5},
		{&parley.Error{Code: parley.CodeResultGone}, false, 5},
		{&parley.Error{Code: parley.CodeForbidden}, false, 6},
		{fmt.Errorf("dial: %w", &parley.Error{Code: parley.CodeUnreachable}), false, 7},
		{&parley.Error{Code: parley.CodeException}, false, 73},
		{&parley.Error{Code: "future"}, false, 1},
		{&parley.Error{Code: parley.CodeDeadline}, true, 130},
	}
	for _, tc := range testCases {
		ctx := t.Context()
		if tc.over {
			ctx = ended
		}
		if got := exitCode(ctx, tc.err); got != tc.want {
			t.Errorf("exitCode(%v) = %d, want %d", tc.err, got, tc.want)
		}
	}
}
