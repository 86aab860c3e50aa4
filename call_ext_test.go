// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
)

type number struct{ N int }

func TestCallReturnsTheAnswer(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	double := parley.NewOp[number, number]("math.Double")
	run(t, url, "math", func(s *parley.Service) {
		double.Handle(s, func(_ context.Context, n number) (number, error) {
			return number{2 * n.N}, nil
		})
	})
	c := dial(t, url)
	got, err := double.Call(within(t), c, number{21})
	if err != nil || got.N != 42 {
		t.Fatalf("Double(21) = %v, %v", got, err)
	}
}

func TestCallsAtOnceKeepTheirAnswersApart(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[number, number]("math.Same")
	run(t, url, "math", func(s *parley.Service) {
		op.Handle(s, func(_ context.Context, n number) (number, error) { return n, nil })
	})
	c := dial(t, url)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := range 50 {
				want := worker*1000 + i
				got, err := op.Call(within(t), c, number{want})
				if err != nil || got.N != want {
					t.Errorf("Same(%d) = %v, %v", want, got, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// A body of many frames goes through both ways, byte for byte.
func TestCallCarriesLargeBodies(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[[]byte, []byte]("echo")
	run(t, url, "echo", func(s *parley.Service) {
		op.Handle(s, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	})
	body := make([]byte, 1<<20+7)
	for i := range body {
		body[i] = byte(i * 31 >> 3)
	}
	got, err := op.Call(within(t), dial(t, url), body)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
}

func TestCallFailsWithTheCodeOfWhatHappened(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	release := make(chan struct{})
	run(t, url, "svc", func(s *parley.Service) {
		handle := func(name string, fn func(context.Context, string) (string, error)) {
			parley.NewOp[string, string]("svc."+name).Handle(s, fn)
		}
		handle("Plain", func(context.Context, string) (string, error) {
			return "", errors.New("out of stock")
		})
		handle("Typed", func(context.Context, string) (string, error) {
			return "", fmt.Errorf("while selling: %w", &parley.Error{
				Code: parley.CodeConflict, Message: "sold", Details: []byte(`{"to":"Ada"}`),
			})
		})
		handle("Panic", func(_ context.Context, in string) (string, error) {
			return in[1000:], nil
		})
		handle("Slow", func(context.Context, string) (string, error) {
			<-release
			return "late", nil
		})
		handle("Long", func(context.Context, string) (string, error) {
			return "", errors.New(strings.Repeat("é", 1<<20))
		})
		handle("Dropped", func(context.Context, string) (string, error) {
			return "", parley.Drop(errors.New("never again"))
		})
		parley.NewOp[number, string]("svc.Number").Handle(s,
			func(context.Context, number) (string, error) { return "", nil })
	})
	t.Cleanup(func() { close(release) }) // before the service stops
	c := dial(t, url)
	testCases := []struct {
		name, op string
		timeout  time.Duration
		code     parley.Code
		text     string
	}{
		{"plain error", "svc.Plain", patience, parley.CodeException, "out of stock"},
		{"typed error", "svc.Typed", patience, parley.CodeConflict, "sold"},
		{"panic", "svc.Panic", patience, parley.CodeException, "handler panicked"},
		{"long text", "svc.Long", patience, parley.CodeException, strings.Repeat("é", 1024)},
		{"deadline", "svc.Slow", 50 * time.Millisecond, parley.CodeDeadline, ""},
		{"dropped", "svc.Dropped", patience, parley.CodeException, "never again"},
		{"unreadable", "svc.Number", patience, parley.CodeBadRequest, "invalid character"},
		{"no such operation", "svc.Other", patience, parley.CodeNoMethod, `"Other"`},
		{"no such service", "nobody.X", patience, parley.CodeNoService, "nobody"},
		{"name too long", strings.Repeat("s", 300), patience, parley.CodeBadRequest, "longer"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
			defer cancel()
			_, err := parley.NewOp[string, string](tc.op).Call(ctx, c, "x")
			var e *parley.Error
			if !errors.As(err, &e) || e.Code != tc.code || !strings.Contains(e.Message, tc.text) {
				t.Fatalf("err = %v, want code %s with %q", err, tc.code, tc.text)
			}
			if !errors.Is(err, tc.code) {
				t.Errorf("errors.Is(err, %s) is false", tc.code)
			}
			if tc.code == parley.CodeDeadline != errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("errors.Is(err, context.DeadlineExceeded) is wrong for %v", err)
			}
			if tc.code == parley.CodeConflict && string(e.Details) != `{"to":"Ada"}` {
				t.Errorf("details = %s", e.Details)
			}
		})
	}
}

// The hub says at once that a service is there and nobody works for it.
func TestCallToADesertedServiceFailsAtOnce(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	stop := run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(_ context.Context, in string) (string, error) { return in, nil })
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	_, err := op.Call(within(t), dial(t, url), "x")
	if !errors.Is(err, parley.CodeNoInstance) {
		t.Fatalf("err = %v, want %s", err, parley.CodeNoInstance)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	called := make(chan struct{})
	run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(context.Context, string) (string, error) {
			close(called)
			return "", nil
		}, parley.Concurrency(1))
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := op.Call(ctx, dial(t, url), "x")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, parley.CodeCanceled) {
		t.Fatalf("err = %v, want canceled", err)
	}
	select {
	case <-called:
		t.Error("a request went out after its context had ended")
	default:
	}
}

func TestHandlerSeesWhatCameWithTheRequest(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	metas := make(chan parley.Meta, 1)
	deadlines := make(chan time.Time, 1)
	run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(ctx context.Context, _ string) (string, error) {
			metas <- parley.MetaFrom(ctx)
			at, _ := ctx.Deadline()
			deadlines <- at
			return "ok", nil
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := op.Call(ctx, dial(t, url), "x", parley.Header("tenant", "blue"),
		parley.Header("weight", 7), parley.Priority(3)); err != nil {
		t.Fatal(err)
	}
	m := receive(t, metas)
	if m.Queue != "svc" || m.Operation != "Op" || m.Headers["tenant"] != "blue" ||
		m.Headers["weight"] != int64(7) || m.Priority != 3 || m.Attempt != 1 || m.ReplyTo == "" {
		t.Errorf("meta = %+v", m)
	}
	if left := time.Until(receive(t, deadlines)); left <= 0 || left > time.Minute {
		t.Errorf("the handler has %v left of a minute", left)
	}
}

// What does not fit the wire fails alone: the connection goes on.
func TestMessagesThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	c := dial(t, url)
	s := parley.NewService(dial(t, url), parley.ServiceConfig{
		Name: "svc", Middleware: []parley.Middleware{
			func(next parley.Handler) parley.Handler {
				return func(ctx context.Context, m *parley.Message) (*parley.Message, error) {
					answer, err := next(ctx, m)
					answer.Meta.Headers = map[string]any{"big": make([]byte, 1<<20)}
					return answer, err
				}
			},
		},
	})
	op.Handle(s, func(_ context.Context, in string) (string, error) { return in, nil })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	receive(t, s.Ready())
	big := strings.Repeat("h", 1<<20)
	for _, tc := range []struct {
		name string
		opt  parley.CallOption
		code parley.Code
	}{
		{"headers", parley.Header("big", big), parley.CodeTooLarge},
		{"header name", parley.Header(big, 1), parley.CodeBadRequest},
		{"content type", parley.ContentType(big), parley.CodeBadRequest},
		{"the answer", parley.Header("small", 1), parley.CodeTooLarge},
	} {
		if _, err := op.Call(within(t), c, "x", tc.opt); !errors.Is(err, tc.code) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.code)
		}
	}
	for _, err := range []error{
		op.Send(within(t), c, "x", parley.Header("big", big)), c.Err(),
	} {
		if err != nil && !errors.Is(err, parley.CodeTooLarge) {
			t.Error(err)
		}
	}
	cancel()
	if err := receive(t, ended); err != nil {
		t.Error(err)
	}
}
