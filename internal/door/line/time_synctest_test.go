// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// piped is a client in a bubble of testing/synctest, where time is fake.
type piped struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// bubble runs a test with a client of a door.
func bubble(t *testing.T, test func(c *piped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{})
		b := broker.New(broker.Options{Clock: clock{}, Log: log, Formats: []broker.Format{Format{}}})
		log.Bind(b)
		defer b.Close()
		d, err := New(Options{Broker: b, Auth: users{}, User: "guest"})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.Serve(context.Background(), theirs, func() {})
		}()
		defer func() {
			_ = ours.Close()
			<-ended
		}()
		test(&piped{t, ours, bufio.NewReader(ours)})
	})
}

func (c *piped) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// hears reads a line and the time that it took to come.
func (c *piped) hears(want string, after time.Duration) {
	c.t.Helper()
	began := time.Now()
	line, err := c.r.ReadString('\n')
	if err != nil || !matches(want+"\n", line) || time.Since(began) != after {
		c.t.Fatalf("after %v: %q, %v; want %s after %v", time.Since(began), line, err, want, after)
	}
}

func (c *piped) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return line
}

func (c *piped) ends() {
	c.t.Helper()
	if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		c.t.Errorf("instead of the end: %v", err)
	}
}

// line.md, Rules: login within 10 s, whatever was sent of the first line.
func TestLoginTimeout(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", `{"op":`, "\n\n"} {
		bubble(t, func(c *piped) {
			if text != "" {
				c.say(text)
			}
			c.hears(`{"error":{"code":"unauthenticated","message":"no login within 10s"}}`, 10*time.Second)
			c.ends()
		})
	}
}

// security.md: a line that has begun has to end, within half a minute or at 1 KiB a second; a
// connection that says nothing may stay.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	bubble(t, func(c *piped) {
		c.say(`{"op":"ping","id":1}` + "\n")
		c.hears(`{"id":1}`, 0)
		time.Sleep(24 * time.Hour)
		c.say(`{"op":"ping",`)
		time.Sleep(29 * time.Second)
		c.say(`"id":2}` + "\n")
		c.hears(`{"id":2}`, 0)
		time.Sleep(time.Hour)
		c.say(`{"op":"ping",`)
		c.hears(`{"error":{"code":"bad-request","message":"a line took too long"}}`, 30*time.Second)
		c.ends()
	})
	bubble(t, func(c *piped) {
		c.say(`{"op":"ping","id":1}` + "\n")
		c.hears(`{"id":1}`, 0)
		const kib = 100
		for range kib {
			c.say(string(make([]byte, 1<<10)))
			time.Sleep(900 * time.Millisecond)
		}
		c.hears(`{"error":{"code":"bad-request","message":"a line took too long"}}`, 10*time.Second)
	})
}
