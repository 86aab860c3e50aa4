// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
)

// What is sent while nobody is there waits in the service's queue, in order.
func TestSendWaitsForTheService(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[number, number]("svc.Count")
	c := dial(t, url)
	if err := op.Send(within(t), c, number{0}); !errors.Is(err, parley.CodeNoService) {
		t.Fatalf("send to a service that never was: %v, want %s", err, parley.CodeNoService)
	}
	got := make(chan int, 10)
	register := func(s *parley.Service) {
		op.Handle(s, func(_ context.Context, n number) (number, error) {
			got <- n.N
			return n, nil
		}, parley.Concurrency(1))
	}
	if err := run(t, url, "svc", register)(); err != nil { // declares the queue
		t.Fatal(err)
	}
	for i := range 10 {
		if err := op.Send(within(t), c, number{i}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, url, "svc", register)
	for i := range 10 {
		if n := receive(t, got); n != i {
			t.Fatalf("message %d came in place of %d", n, i)
		}
	}
}

func TestFailedMessagesComeAgainUnlessDropped(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	var attempts atomic.Int32
	redelivered := make(chan bool, 3)
	dropped := make(chan struct{}, 3)
	run(t, url, "svc", func(s *parley.Service) {
		parley.NewOp[string, string]("svc.Fail").Handle(s,
			func(ctx context.Context, _ string) (string, error) {
				redelivered <- parley.MetaFrom(ctx).Attempt > 1
				switch attempts.Add(1) {
				case 1:
					return "", errors.New("not yet")
				case 2:
					return "", parley.Retry(errors.New("not yet"), time.Millisecond)
				}
				return "", nil
			})
		parley.NewOp[string, string]("svc.Drop").Handle(s,
			func(context.Context, string) (string, error) {
				dropped <- struct{}{}
				return "", parley.Drop(errors.New("useless"))
			})
	})
	c := dial(t, url)
	for _, op := range []string{"svc.Fail", "svc.Drop"} {
		if err := parley.NewOp[string, string](op).Send(within(t), c, "x"); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []bool{false, true, true} {
		if again := receive(t, redelivered); again != want {
			t.Errorf("attempt %d: redelivered = %v", i+1, again)
		}
	}
	receive(t, dropped)
	waitEmpty(t, c, "svc")
	if n := len(dropped); n != 0 {
		t.Errorf("a dropped message came %d times more", n)
	}
}

// waitEmpty waits until a queue holds nothing ready.
func waitEmpty(t *testing.T, c *parley.Conn, queue string) {
	t.Helper()
	ctx := within(t)
	for {
		info, err := c.Queue(ctx, queue)
		if err != nil {
			t.Fatal(err)
		}
		if info.Messages == 0 {
			return
		}
	}
}

// The asker's connection is gone when the service answers; another process fetches the answer.
func TestRequestOutlivesItsAsker(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Slow")
	proceed := make(chan struct{})
	run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(_ context.Context, in string) (string, error) {
			<-proceed
			return in + " done", nil
		})
	})
	asker := dial(t, url)
	pending, err := op.Start(within(t), asker, "work")
	if err != nil {
		t.Fatal(err)
	}
	early, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := pending.Wait(early); !errors.Is(err, parley.CodeDeadline) {
		t.Fatalf("before the answer: %v, want %s", err, parley.CodeDeadline)
	}
	asker.Close()
	close(proceed)

	c := dial(t, url)
	got, err := parley.Resume[string](c, pending.ID).Wait(within(t))
	if err != nil || got != "work done" {
		t.Fatalf("answer = %q, %v", got, err)
	}
	if _, err := parley.Resume[string](c, pending.ID).Wait(within(t)); !errors.Is(
		err, parley.CodeResultGone) {
		t.Errorf("second time: %v, want %s", err, parley.CodeResultGone)
	}
	if err := c.Err(); err != nil {
		t.Errorf("the connection did not survive a missing answer: %v", err)
	}
}

func TestRequestAnsweredWithAnError(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	op := parley.NewOp[string, string]("svc.Op")
	run(t, url, "svc", func(s *parley.Service) {
		op.Handle(s, func(context.Context, string) (string, error) {
			return "", errors.New("no luck")
		})
	})
	c := dial(t, url)
	pending, err := op.Start(within(t), c, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Wait(within(t)); !errors.Is(err, parley.CodeException) {
		t.Fatalf("err = %v, want %s", err, parley.CodeException)
	}
	if _, err := parley.NewOp[string, string]("nobody").Start(within(t), c, "x"); !errors.Is(
		err, parley.CodeNoService) {
		t.Errorf("request to nobody: %v, want %s", err, parley.CodeNoService)
	}
}

func TestTopicReachesEverySubscriberAndOneOfAGroup(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	placed := parley.NewTopic[number]("orders.placed")
	every := parley.NewTopic[number]("orders.*")
	alone := make(chan int, 20)
	group := make(chan string, 20)
	run(t, url, "audit", func(s *parley.Service) {
		every.Subscribe(s, "", func(ctx context.Context, n number) error {
			if key := parley.MetaFrom(ctx).Key; key != "orders.placed" {
				t.Errorf("key = %q", key)
			}
			alone <- n.N
			return nil
		})
	})
	for _, member := range []string{"a", "b"} {
		run(t, url, member, func(s *parley.Service) {
			placed.Subscribe(s, "billing", func(_ context.Context, n number) error {
				group <- fmt.Sprint(n.N)
				return nil
			})
		})
	}
	c := dial(t, url)
	const n = 10
	for i := range n {
		if err := placed.Publish(within(t), c, number{i}); err != nil {
			t.Fatal(err)
		}
	}
	var shared []string
	for i := range n {
		if got := receive(t, alone); got != i {
			t.Fatalf("event %d came in place of %d", got, i)
		}
		shared = append(shared, receive(t, group))
	}
	slices.Sort(shared)
	if len(slices.Compact(shared)) != n || len(group) != 0 {
		t.Errorf("the group got %v and %d more", shared, len(group))
	}
}

// Leaving the loop accepts what was yielded and gives the rest back.
func TestEventsOfAGroupGoOnWhereTheLastReaderStopped(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	topic := parley.NewTopic[number]("ticks")
	c := dial(t, url)
	first := make(chan struct{})
	go func() { // the group begins with its first reader
		defer close(first)
		for e, err := range topic.Events(within(t), c, parley.From{Group: "g"}) {
			if err != nil || e.Value.N != 0 {
				t.Errorf("first event = %v, %v", e, err)
			}
			return
		}
	}()
	waitQueue(t, c, "ticks@g")
	for i := range 5 {
		if err := topic.Publish(within(t), c, number{i}); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, first)
	want := 1
	for e, err := range topic.Events(within(t), dial(t, url), parley.From{Group: "g"}) {
		if err != nil || e.Value.N != want {
			t.Fatalf("event = %v, %v, want %d", e, err, want)
		}
		if want++; want == 5 {
			break
		}
	}
}

func waitQueue(t *testing.T, c *parley.Conn, name string) {
	t.Helper()
	ctx := within(t)
	for {
		info, err := c.Queue(ctx, name)
		if err == nil && info.Consumers > 0 {
			return
		}
		if err != nil && !errors.Is(err, parley.CodeNotFound) {
			t.Fatal(err)
		}
	}
}

func TestPublishToAMissingExchange(t *testing.T) {
	t.Parallel()
	c := dial(t, startHub(t))
	lost := parley.NewTopic[string]("k", parley.OnExchange("nowhere"))
	if err := lost.Publish(within(t), c, "x"); !errors.Is(err, parley.CodeNotFound) {
		t.Fatalf("err = %v, want %s", err, parley.CodeNotFound)
	}
	fanout := parley.NewTopic[string]("", parley.OnExchange("amq.fanout"))
	if err := fanout.Publish(within(t), c, "x"); err != nil {
		t.Fatalf("after a failed publish: %v", err)
	}
	if ok, err := c.HasExchange(within(t), "amq.fanout"); err != nil || !ok {
		t.Errorf("HasExchange(amq.fanout) = %v, %v", ok, err)
	}
	if ok, err := c.HasExchange(within(t), "nowhere"); err != nil || ok {
		t.Errorf("HasExchange(nowhere) = %v, %v", ok, err)
	}
}

func TestPeekLeavesTheMessages(t *testing.T) {
	t.Parallel()
	url := startHub(t)
	c := dial(t, url)
	if _, err := c.Peek(within(t), "mail", 10); !errors.Is(err, parley.CodeNotFound) {
		t.Fatalf("no such queue: %v, want %s", err, parley.CodeNotFound)
	}
	op := parley.NewOp[number, number]("mail")
	if err := run(t, url, "mail", func(s *parley.Service) { // declares the queue
		op.Handle(s, func(_ context.Context, n number) (number, error) { return n, nil })
	})(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := op.Send(within(t), c, number{i}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ n, want int }{{2, 2}, {10, 3}, {0, 0}, {3, 3}} {
		list, err := c.Peek(within(t), "mail", tc.n)
		if err != nil || len(list) != tc.want {
			t.Fatalf("Peek(%d) = %d messages, %v", tc.n, len(list), err)
		}
		for i, m := range list {
			if want := fmt.Sprintf(`{"N":%d}`, i); string(m.Body) != want || m.Meta.Queue != "mail" {
				t.Errorf("message %d = %s in %s", i, m.Body, m.Meta.Queue)
			}
		}
	}
	if info, err := c.Queue(within(t), "mail"); err != nil || info.Messages != 3 {
		t.Errorf("afterwards: %+v, %v", info, err)
	}
}
