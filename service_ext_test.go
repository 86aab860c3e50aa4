// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
)

// A service that is told to stop finishes what it has and takes nothing more.
func TestRunDrains(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	entered, proceed := make(chan struct{}, 1), make(chan struct{})
	stop := run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(context.Context, string) (string, error) {
			entered <- struct{}{}
			<-proceed
			return "finished", nil
		})
	})
	c := dial(t, url)
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := op.Call(within(t), c, "x")
		answers <- answer{text, err}
	}()
	receive(t, entered)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	waitConsumers(t, c, "svc", 0)
	select {
	case err := <-stopped:
		t.Fatalf("Run returned with a handler running: %v", err)
	default:
	}
	close(proceed)
	if err := receive(t, stopped); err != nil {
		t.Fatal(err)
	}
	if a := receive(t, answers); a.err != nil || a.text != "finished" {
		t.Errorf("answer = %+v", a)
	}
}

func waitConsumers(t *testing.T, c *parley.Conn, queue string, n int) {
	t.Helper()
	ctx := within(t)
	for {
		info, err := c.Queue(ctx, queue)
		if err != nil {
			t.Fatal(err)
		}
		if info.Consumers == n {
			return
		}
	}
}

// Past the drain time the contexts of the handlers end.
func TestRunEndsHandlersThatDoNotFinish(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	c := dial(t, url)
	s := parley.NewService(c, parley.ServiceConfig{Name: "svc", Drain: 10 * time.Millisecond})
	op := parley.NewOp[string, string]("svc.Op")
	entered := make(chan struct{}, 1)
	op.Handle(s, func(ctx context.Context, _ string) (string, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	receive(t, s.Ready())
	if err := op.Send(within(t), c, "x"); err != nil {
		t.Fatal(err)
	}
	receive(t, entered)
	cancel()
	if err := receive(t, ended); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrencyIsABound(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	var now, most, done atomic.Int32
	const messages, bound = 60, 3
	finished := make(chan struct{})
	run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(context.Context, string) (string, error) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Millisecond) // work, not synchronisation
			now.Add(-1)
			if done.Add(1) == messages {
				close(finished)
			}
			return "", nil
		}, parley.Concurrency(bound))
	})
	c := dial(t, url)
	for range messages {
		if err := op.Send(within(t), c, "x"); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, finished)
	if m := most.Load(); m > bound {
		t.Errorf("%d handlers at once, bound %d", m, bound)
	}
}

func TestMiddlewareWrapsInOrder(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	wrap := func(letter string) parley.Middleware {
		return func(next parley.Handler) parley.Handler {
			return func(ctx context.Context, m *parley.Message) (*parley.Message, error) {
				m.Body = append(m.Body, letter...)
				answer, err := next(ctx, m)
				if answer != nil {
					answer.Body = append(answer.Body, letter...)
				}
				return answer, err
			}
		}
	}
	c := dial(t, url)
	s := parley.NewService(c, parley.ServiceConfig{
		Name: "svc", Middleware: []parley.Middleware{wrap("1"), wrap("2")},
	})
	op := parley.NewOp[string, string]("svc.Op")
	op.Handle(s, func(_ context.Context, in string) (string, error) { return in + "|", nil })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	receive(t, s.Ready())
	got, err := op.Call(within(t), c, "x")
	if err != nil || got != "x12|21" {
		t.Errorf("got %q, %v", got, err)
	}
	cancel()
	if err := receive(t, ended); err != nil {
		t.Error(err)
	}
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	c := dial(t, startHub(t))
	echo := func(_ context.Context, in string) (string, error) { return in, nil }
	op := parley.NewOp[string, string]("svc.Op")
	testCases := []struct {
		name     string
		register func(*parley.Service)
		code     parley.Code
	}{
		{"nothing to do", func(*parley.Service) {}, parley.CodeBadRequest},
		{"one operation twice", func(s *parley.Service) {
			op.Handle(s, echo)
			op.Handle(s, echo)
		}, parley.CodeConflict},
		{"a queue that is not there", func(s *parley.Service) {
			parley.NewOp[string, string]("absent").Handle(s, echo, parley.Existing())
		}, parley.CodeNotFound},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := parley.NewService(c, parley.ServiceConfig{Name: "svc"})
			tc.register(s)
			if err := s.Run(within(t)); !errors.Is(err, tc.code) {
				t.Errorf("err = %v, want %s", err, tc.code)
			}
		})
	}
}

// A message without an operation goes to the only handler; with several it cannot be told.
func TestMessagesWithoutOperation(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	run(t, url, "one", func(s *parley.Service) {
		parley.NewOp[string, string]("one.Op").Handle(s,
			func(context.Context, string) (string, error) { return "one.Op", nil })
	})
	run(t, url, "two", func(s *parley.Service) {
		for _, name := range []string{"two.A", "two.B"} {
			parley.NewOp[string, string](name).Handle(s,
				func(context.Context, string) (string, error) { return name, nil })
		}
	})
	c := dial(t, url)
	if got, err := parley.NewOp[string, string]("one").Call(within(t), c, ""); err != nil ||
		got != "one.Op" {
		t.Errorf("one: %q, %v", got, err)
	}
	_, err := parley.NewOp[string, string]("two").Call(within(t), c, "")
	if !errors.Is(err, parley.CodeNoMethod) || !strings.Contains(err.Error(), `operation ""`) {
		t.Errorf("two: %v, want %s", err, parley.CodeNoMethod)
	}
}
