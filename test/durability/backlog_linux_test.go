// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"context"
	"errors"
	"flag"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

var backlogSize = flag.Int("backlog", 0,
	"how many messages wait in the deep backlog; 0: 200,000, with -for 2,000,000 or more")

const (
	// backlogFew messages of backlogBytes wait without -for, backlogMany with it. When there is time,
	// backlogMost of a hundred bytes do.
	backlogFew      = 200_000
	backlogMany     = 2_000_000
	backlogMost     = 10_000_000
	backlogBytes    = 1 << 10
	backlogFewBytes = 100
	backlogTime     = 10 * time.Minute
	backlogQueue    = "backlog"
	// backlogMemory is what the hub is told that it may use.
	backlogMemory = "256MiB"
	// backlogGrowth is how much memory the last nine tenths of a backlog may take.
	backlogGrowth = 64 << 20
	// restartWait is how long a hub may take to start with it, headWait to deliver the first of it when
	// nothing else runs on the machine (-for).
	restartWait = 10 * time.Second
	headWait    = 50 * time.Millisecond
	// backlogWindow is how many publishes wait for their confirm.
	backlogWindow = 2_000
	// progressWait is how long there may be no confirm, or no delivery.
	progressWait = 20 * time.Second
)

// TestRow12Backlog: a backlog lies on the disk. Memory does not grow with it, a hub with it starts
// soon after a kill, the head of it comes at once, and all of it in order.
func TestRow12Backlog(t *testing.T) {
	binary, judge := harness.Build(t), oracle.New()
	for range rounds(t, 1) {
		judge = oracle.New()
		o := harness.Options{Dir: t.TempDir(), Env: []string{"GOMEMLIMIT=" + backlogMemory}}
		b := &deepBacklog{t: t, judge: judge, hub: harness.Start(t, binary, o)}
		n := b.size()
		b.fill(n / 10)
		before := b.memory()
		if sound(t, judge) {
			b.fill(n)
		}
		grown := b.memory() - before
		if grown > backlogGrowth {
			t.Errorf("P9: the backlog took %d MiB of memory more", grown>>20)
		}
		b.hub.Kill()
		started := time.Now()
		b.hub = harness.Start(t, binary, o)
		took := time.Since(started)
		if took > restartWait {
			judge.Stuck("the hub starts within %v", took)
		}
		b.drain()
		t.Logf("note: %d messages of %d bytes: %d KiB of memory more, started in %v, head after %v", n,
			b.bytes, grown>>10, took.Round(time.Millisecond), b.head.Round(time.Microsecond))
		judge.Crashed(b.hub.Panic())
		b.hub.Kill()
		verdict(t, judge)
	}
}

// deepBacklog is a hub and how far its queue is filled.
type deepBacklog struct {
	t     *testing.T
	judge *oracle.Oracle
	hub   *harness.Hub
	bytes int // of a body
	sent  int
	head  time.Duration // how long the first message took after the start
}

// size returns how many messages wait, and says how large they are.
func (b *deepBacklog) size() int {
	b.bytes = backlogBytes
	switch {
	case *backlogSize > 0:
		return *backlogSize
	case *goOn >= backlogTime:
		b.bytes = backlogFewBytes
		return backlogMost
	case *goOn > 0:
		return backlogMany
	}
	return backlogFew
}

func backlogKey(seq int) oracle.Key { return oracle.Key{Publisher: "backlog", Seq: seq} }

func (b *deepBacklog) memory() int {
	b.t.Helper()
	rss, err := harness.RSS(b.hub.Pid())
	if err != nil {
		b.t.Fatal(err)
	}
	return rss
}

// fill publishes until the queue holds n messages, all of them confirmed.
func (b *deepBacklog) fill(n int) {
	b.t.Helper()
	conn := dial(b.t, b.hub)
	ch := channel(b.t, conn)
	if _, err := ch.QueueDeclare(backlogQueue, true, false, false, false, nil); err != nil {
		b.t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		b.t.Fatal(err)
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, backlogWindow))
	slots := make(chan struct{}, backlogWindow)
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	first, want := b.sent, n-b.sent
	var sent atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		for sent.Load() < int64(want) {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			k := backlogKey(first + 1 + int(sent.Load()))
			body := oracle.Body(k, b.bytes)
			b.judge.Sent(k, body, backlogQueue)
			sent.Add(1)
			if ch.PublishWithContext(ctx, "", backlogQueue, true, false,
				amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)}) != nil {
				return
			}
		}
	}()
	for done := 0; done < want; done++ {
		select {
		case c := <-confirms:
			if !c.Ack {
				b.judge.Stuck("message %d was refused", first+int(c.DeliveryTag))
			}
			b.judge.Confirmed(backlogKey(first + int(c.DeliveryTag)))
			<-slots
		case <-time.After(progressWait):
			b.judge.Stuck("%d of %d messages are confirmed, and no more for %v", first+done, n,
				progressWait)
			done = want
		}
	}
	cancel()
	_ = conn.CloseDeadline(time.Now().Add(closeWait))
	<-over
	b.sent = first + int(sent.Load())
}

// drain takes all of it out, in order.
func (b *deepBacklog) drain() {
	b.t.Helper()
	ready, unsettled, err := b.hub.Counts(b.t.Context(), backlogQueue)
	if err != nil {
		b.t.Fatal(err)
	}
	b.judge.Balance(backlogQueue, ready, unsettled)
	ch := channel(b.t, dial(b.t, b.hub))
	const prefetch = 1_000
	if err := ch.Qos(prefetch, 0, false); err != nil {
		b.t.Fatal(err)
	}
	asked := time.Now()
	deliveries, err := ch.Consume(backlogQueue, "", false, false, false, false, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for n := range ready {
		select {
		case d, ok := <-deliveries:
			if !ok {
				b.t.Fatal(errors.New("the consumer has ended"))
			}
			if n == 0 {
				b.head = time.Since(asked)
			}
			k := b.judge.Delivered(backlogQueue, string(d.Body), d.Redelivered)
			b.judge.Acked(backlogQueue, k)
			if err := d.Ack(false); err != nil {
				b.t.Fatal(err)
			}
		case <-time.After(progressWait):
			b.judge.Stuck("%d of %d messages came, and no more for %v", n, ready, progressWait)
			return
		}
	}
	if b.head > headWait && *goOn > 0 {
		b.judge.Stuck("the head of the backlog took %v", b.head)
	}
	if err := ch.Close(); err != nil {
		b.t.Error(err)
	}
	err = harness.Poll(drainWait, func() error {
		return empty(b.t.Context(), b.hub, backlogQueue)
	})
	if err != nil {
		b.judge.Stuck("the backlog is not empty: %v", err)
	}
}
