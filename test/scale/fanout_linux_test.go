// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	fanoutRate    = 50 // messages a second
	fanoutTime    = 10 * time.Second
	fanoutCount   = fanoutRate * int(fanoutTime/time.Second)
	fanoutPadding = 100 // octets of a body behind what is checked
)

// A thousand WebSockets subscribe to one topic, to which 50 messages a second are published. Each gets
// every message, in order. What the hub takes for that is logged.
func TestFanOutToWebSockets(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("ten seconds of load on all cores; run without -short")
	}
	harness.NeedDescriptors(t, 2*connections)
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	clients := make([]*webClient, connections)
	t.Cleanup(func() {
		for _, c := range clients {
			if c != nil {
				_ = c.conn.Close() // the hub ends anyway
			}
		}
	})
	each(t, func(i int) (err error) {
		if clients[i], err = dialWeb(hub.REST); err != nil {
			return err
		}
		return clients[i].ask("SUBSCRIBE\nid:0\ndestination:/topic/scale.web\nreceipt:r\n\n\x00", "RECEIPT\n")
	})
	before, err := harness.CPU(hub.Pid())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	delays := make([][]time.Duration, connections)
	faults := make([]error, connections)
	var reading sync.WaitGroup
	for i, c := range clients {
		if err := c.conn.SetReadDeadline(start.Add(fanoutTime + wait)); err != nil {
			t.Fatal(err)
		}
		reading.Go(func() { delays[i], faults[i] = readAll(c, start) })
	}
	publishPaced(t, hub, start)
	reading.Wait()
	took := time.Since(start)
	after, err := harness.CPU(hub.Pid())
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range faults {
		if err != nil {
			t.Fatalf("subscriber %d, after %d messages: %v", i, len(delays[i]), err)
		}
	}
	rss, err := harness.RSS(hub.Pid())
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(delays...)
	slices.Sort(all)
	t.Logf("%d subscribers got %d messages each in %.1f s (%.0f/s in all); the hub took %.0f %% of a core "+
		"and %d MiB; delay %v (median), %v (99 %%), %v (most)", connections, fanoutCount, took.Seconds(),
		float64(len(all))/took.Seconds(), 100*(after-before).Seconds()/took.Seconds(), rss>>20,
		all[len(all)/2].Round(10*time.Microsecond), all[len(all)*99/100].Round(10*time.Microsecond),
		all[len(all)-1].Round(10*time.Microsecond))
}

// publishPaced publishes one message after the other, each when it is due.
func publishPaced(t *testing.T, hub *harness.Hub, start time.Time) {
	t.Helper()
	conn, err := amqp.Dial(hub.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Second / fanoutRate)
	defer tick.Stop()
	padding := bytes.Repeat([]byte("."), fanoutPadding)
	for n := range fanoutCount {
		<-tick.C
		body := fmt.Appendf(nil, "%d %d ", n, time.Since(start).Nanoseconds())
		err := ch.PublishWithContext(t.Context(), "amq.topic", "scale.web", false, false, amqp.Publishing{
			ContentType: "text/plain", Body: append(body, padding...),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readAll reads as many messages as are published, and returns how long after that each came.
func readAll(c *webClient, start time.Time) ([]time.Duration, error) {
	delays := make([]time.Duration, 0, fanoutCount)
	for n := range fanoutCount {
		frame, err := c.next()
		if err != nil {
			return delays, err
		}
		now := time.Since(start)
		_, body, _ := bytes.Cut(frame, []byte("\n\n"))
		number, rest, _ := bytes.Cut(body, []byte(" "))
		sent, _, _ := bytes.Cut(rest, []byte(" "))
		ns, err := strconv.ParseInt(string(sent), 10, 64)
		if err != nil || string(number) != strconv.Itoa(n) {
			return delays, fmt.Errorf("%q is not message %d (%w)", frame, n, err)
		}
		delays = append(delays, now-time.Duration(ns))
	}
	return delays, nil
}
