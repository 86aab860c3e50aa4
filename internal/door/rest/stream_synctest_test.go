// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// pipes is a listener of connections that are in memory, so that time in a bubble of testing/synctest
// passes while they wait.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// slow is a client of a door in a bubble: what it reads, and after what time.
type slow struct {
	t    *testing.T
	door *Door
	conn net.Conn
	in   *bufio.Reader
}

// inBubble runs a test with a client that has sent one request.
func inBubble(
	t *testing.T, head []string, test func(c *slow, b *broker.Broker), change ...func(*Options),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{})
		b := newBroker(log)
		log.Bind(b)
		defer b.Close()
		o := Options{Broker: b, Authenticate: login}
		for _, f := range change {
			f(&o)
		}
		d, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- d.Serve(ctx, l) }()
		ours, theirs := net.Pipe()
		l.conns <- theirs
		defer func() {
			_ = ours.Close()
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}()
		c := &slow{t: t, door: d, conn: ours, in: bufio.NewReader(ours)}
		c.declare()
		head = append(head, "Host: localhost", c.basic())
		c.write(strings.Join(head, "\r\n") + "\r\n\r\n")
		test(c, b)
	})
}

// basic is what lets guest in.
func (c *slow) basic() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("guest:guest"))
}

// declare makes the queue q.
func (c *slow) declare() {
	c.t.Helper()
	c.write("PUT /v1/queues/q HTTP/1.1\r\nHost: localhost\r\n" + c.basic() + "\r\n\r\n")
	r, err := http.ReadResponse(c.in, nil)
	if err != nil || r.StatusCode != http.StatusCreated {
		c.t.Fatalf("%v, %v", r, err)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
}

func (c *slow) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// rest.md, Streams: a stream begins with the time to come back, says a comment every 15 s while there is
// nothing else, and at a drain tells its client to come back a little later than others.
func TestStreamComments(t *testing.T) {
	t.Parallel()
	inBubble(t, []string{"GET /v1/queues/q/stream HTTP/1.1"}, func(c *slow, _ *broker.Broker) {
		r, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		body := bufio.NewReader(r.Body)
		line := func(after time.Duration) string {
			t.Helper()
			began := time.Now()
			first, err := body.ReadString('\n')
			if err != nil || time.Since(began) != after {
				t.Fatalf("%q after %v, %v", first, time.Since(began), err)
			}
			if second, err := body.ReadString('\n'); second != "\n" {
				t.Fatalf("%q, %v", second, err)
			}
			return strings.TrimSpace(first)
		}
		if got := line(0); got != "retry: 2000" {
			t.Errorf("it begins with %q", got)
		}
		for range 3 {
			if got := line(15 * time.Second); got != ":" {
				t.Errorf("%q", got)
			}
		}
		c.door.Drain()
		after, _ := strings.CutPrefix(line(0), "retry: ")
		if ms, err := strconv.Atoi(after); err != nil || ms < 2_000 || ms >= 4_000 {
			t.Errorf("a drain says %q", after)
		}
		if _, err := body.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("instead of the end: %v", err)
		}
	})
}

// pingedConn counts pings, and fails from the third on: nobody is there.
type pingedConn struct {
	lineConn

	at chan time.Time
}

func (c *pingedConn) Ping(context.Context) error {
	c.at <- time.Now()
	if len(c.at) > 2 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// rest.md, Streams: a WebSocket is pinged every 30 s, and closed when no pong comes.
func TestSocketPings(t *testing.T) {
	t.Parallel()
	pings := make(chan time.Time, 8)
	upgrade := func(o *Options) {
		o.Upgrade = func(w http.ResponseWriter, r *http.Request, most int64) (MessageConn, error) {
			conn, err := upgradeToLines(w, r, most)
			if err != nil {
				return nil, err
			}
			lines, _ := conn.(*lineConn)
			return &pingedConn{*lines, pings}, nil
		}
	}
	head := []string{
		"GET /v1/queues/q/stream HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket",
	}
	inBubble(t, head, func(c *slow, _ *broker.Broker) {
		began := time.Now()
		text, err := io.ReadAll(c.in)
		if err != nil || !strings.Contains(string(text), "close 1001 no pong") {
			t.Fatalf("%q, %v", text, err)
		}
		for i := range 3 {
			if after := (<-pings).Sub(began); after != time.Duration(i+1)*30*time.Second {
				t.Errorf("ping %d after %v", i+1, after)
			}
		}
	}, upgrade)
}
