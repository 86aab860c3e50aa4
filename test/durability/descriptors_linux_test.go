// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"fmt"
	"net"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	// fewDescriptors is what the hub may open, keptDescriptors of them are for its log, and
	// floodSize connections come.
	fewDescriptors  = 256
	keptDescriptors = 64
	floodSize       = 1_000
	// againWait bounds the time after the flood in which clients may still be refused.
	againWait = 2 * time.Second
)

// TestRow08Descriptors: more connections come than the hub may have files. The rest is refused, the
// clients that were there do not notice, the log gets its segments, and all is well when it is over.
func TestRow08Descriptors(t *testing.T) {
	harness.NeedDescriptors(t, 2*floodSize)
	judge := oracle.New()
	hub := harness.Start(t, harness.Build(t), harness.Options{
		Wrap: []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, fewDescriptors), "sh"},
		Env:  []string{"PARLEY_LOG__SEGMENT_BYTES=1MiB"},
	})
	for round := range rounds(t, 1) {
		before, err := harness.Descriptors(hub.Pid())
		if err != nil {
			t.Fatal(err)
		}
		load := begin(t, hub, judge, round)
		flood(t, hub, judge)
		select {
		case b := <-load.blocked:
			judge.Stuck("publishers are blocked: %s", b.Reason)
		default:
		}
		// The hub has yet to see that the flood is gone.
		err = harness.Poll(againWait, func() error {
			conn, err := amqp.Dial(hub.AMQPURL())
			if err == nil {
				_ = conn.Close()
			}
			return err
		})
		if err != nil {
			judge.Stuck("after the flood: %v", err)
		}
		close(load.stop)
		load.end()
		drain(t, hub, judge)
		err = harness.Poll(restWait, func() error {
			n, err := harness.Descriptors(hub.Pid())
			if err == nil && n > before+keptDescriptors/4 {
				err = fmt.Errorf("%d descriptors, %d before", n, before)
			}
			return err
		})
		if err != nil {
			judge.Stuck("after the flood: %v", err)
		}
		if !sound(t, judge) {
			return
		}
	}
	judge.Crashed(hub.Panic())
	verdict(t, judge)
}

// flood opens connections and keeps them while the load goes on for a while.
func flood(t *testing.T, hub *harness.Hub, judge *oracle.Oracle) {
	t.Helper()
	conns := make([]net.Conn, 0, floodSize)
	for range floodSize {
		c, err := net.DialTimeout("tcp", hub.AMQP, time.Second)
		if err != nil {
			continue // refused, as far as this client is concerned
		}
		defer c.Close()
		conns = append(conns, c)
	}
	begun := judge.ConfirmedBytes()
	err := harness.Poll(drainWait, func() error {
		// Enough for some segments of the log.
		if n := judge.ConfirmedBytes() - begun; n < 5<<20 {
			return fmt.Errorf("%d bytes", n)
		}
		return nil
	})
	if err != nil {
		judge.Stuck("confirms during the flood: %v", err)
	}
	open := 0
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // net says so
				open++
			}
		}
	}
	if most := fewDescriptors - keptDescriptors; open > most {
		t.Errorf("P8: %d connections are open, more than %d", open, most)
	}
	if n, err := harness.Descriptors(hub.Pid()); err != nil || n > fewDescriptors {
		t.Errorf("P9: %d descriptors, %v", n, err)
	}
	t.Logf("%d of %d connections stayed", open, floodSize)
}
