// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// patience is how long a test waits for what must come: 16 MiB under -race on a busy machine.
const patience = 30 * time.Second

// clock is the broker's Clock on package time, which testing/synctest fakes.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) Wall() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// users is an Authenticator: each user's password is the name, and stranger is nobody.
type users struct{}

var errStranger = errors.New("refused")

func (users) Login(user, password string, _ net.Addr) error {
	if user != password {
		return errStranger
	}
	return nil
}

func (users) Admit(user string, _ net.Addr) error {
	if user == "stranger" {
		return errStranger
	}
	return nil
}

// rights let limited do what is with names that begin with mine, and all others everything.
type rights struct{}

func (rights) Allowed(user, _ string, a auth.Action, resource, _ string) bool {
	return user != "limited" || strings.HasPrefix(resource, "mine") ||
		a == auth.Write && resource == "amq.default"
}

func (rights) MayOpen(_, vhost string) bool { return vhost != "closed" }
func (rights) Version() uint64              { return 1 }

// hub is a door over the real broker.
type hub struct {
	tb     testing.TB
	broker *broker.Broker
	door   *Door
	addr   string
	stop   context.CancelFunc // tells the connections that the hub stops
}

// setup changes how a hub is made.
type setup struct {
	limits  broker.Limits
	options func(*Options)
	network string // tcp, or unix with an address
	address string
	log     *store.Memory // what an earlier hub left, to be recovered
}

func newHub(tb testing.TB, s setup) *hub {
	tb.Helper()
	log := s.log
	if log == nil {
		log = store.NewMemory(store.MemoryOptions{})
	}
	b := broker.New(broker.Options{
		Name: "test", Clock: clock{}, Log: log, Formats: []broker.Format{Format{}},
		Access: rights{}, Limits: s.limits,
	})
	log.Bind(b)
	tb.Cleanup(b.Close)
	if s.log != nil {
		if err := b.Recover(); err != nil {
			tb.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &hub{tb: tb, broker: b, stop: stop}
	o := Options{Broker: b, Auth: users{}, Logger: slog.New(slog.DiscardHandler), Version: "1"}
	if s.options != nil {
		s.options(&o)
	}
	var err error
	if h.door, err = New(o); err != nil {
		tb.Fatal(err)
	}
	if s.network == "" {
		s.network, s.address = "tcp", "127.0.0.1:0"
	}
	listener, err := net.Listen(s.network, s.address)
	if err != nil {
		tb.Fatal(err)
	}
	h.addr = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { h.door.Serve(ctx, nc, func() {}) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		stop()
		serving.Wait()
	})
	return h
}

// session opens a session of the broker, for what a test does behind the door's back.
func (h *hub) session(sink broker.Sink) *broker.Session {
	h.tb.Helper()
	c, err := h.broker.Open(broker.ConnectionParams{User: "guest", VHost: "/", Door: "test"})
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(c.Close)
	s, err := c.OpenSession(sink)
	if err != nil {
		h.tb.Fatal(err)
	}
	return s
}

// queue declares a durable queue.
func (h *hub) queue(name string, args ...broker.Field) {
	h.tb.Helper()
	p := broker.QueueParams{Name: name, Durable: true, Arguments: args}
	if _, err := h.session(deaf{}).DeclareQueue(p); err != nil {
		h.tb.Fatal(err)
	}
}

// ready waits until a queue has so many messages ready.
func (h *hub) ready(name string, n int) {
	h.tb.Helper()
	v, _ := h.broker.VirtualHost("/")
	got := -1
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if q, ok := v.Queue(name); ok {
			if got = q.Stats().Ready; got == n {
				return
			}
		}
	}
	h.tb.Fatalf("queue %s has %d messages ready, want %d", name, got, n)
}

// client is a raw socket.
type client struct {
	tb  testing.TB
	net net.Conn
	r   *bufio.Reader
}

func (h *hub) dial() *client {
	h.tb.Helper()
	network := "tcp"
	if strings.HasPrefix(h.addr, "/") {
		network = "unix"
	}
	nc, err := net.Dial(network, h.addr)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		h.tb.Fatal(err)
	}
	return &client{tb: h.tb, net: nc, r: bufio.NewReader(nc)}
}

// send writes lines.
func (c *client) send(lines ...string) {
	c.tb.Helper()
	if _, err := io.WriteString(c.net, strings.Join(lines, "\n")+"\n"); err != nil {
		c.tb.Fatalf("write: %v", err)
	}
}

// next reads a line.
func (c *client) next() string {
	c.tb.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.tb.Fatalf("read %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// want reads a line, which must be as shown; ... stands for any text.
func (c *client) want(shown string) string {
	c.tb.Helper()
	got := c.next()
	if !matches(shown, got) {
		c.tb.Fatalf("got  %s\nwant %s", got, shown)
	}
	return got
}

// do sends a line and reads the answer.
func (c *client) do(line, shown string) string {
	c.tb.Helper()
	c.send(line)
	return c.want(shown)
}

// ends reads the end of the connection.
func (c *client) ends() {
	c.tb.Helper()
	if line, err := c.r.ReadString('\n'); !errors.Is(err, io.EOF) || line != "" {
		c.tb.Errorf("instead of the end: %q, %v", line, err)
	}
}

// halfClose ends what the client sends.
func (c *client) halfClose() {
	c.tb.Helper()
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok {
		c.tb.Fatal("the connection cannot be half-closed")
	}
	if err := half.CloseWrite(); err != nil {
		c.tb.Fatal(err)
	}
}

// matches compares a line with what is shown.
func matches(shown, got string) bool {
	parts := strings.Split(shown, "...")
	if len(parts) == 1 {
		return shown == got
	}
	got, ok := strings.CutPrefix(got, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(got, part)
		if i < 0 {
			return false
		}
		got = got[i+len(part):]
	}
	return strings.HasSuffix(got, parts[len(parts)-1])
}

// field returns the text of a member of a line that is a string without escapes.
func field(tb testing.TB, line, name string) string {
	tb.Helper()
	_, rest, ok := strings.Cut(line, `"`+name+`":"`)
	value, _, ends := strings.Cut(rest, `"`)
	if !ok || !ends {
		tb.Fatalf("no %s in %s", name, line)
	}
	return value
}
