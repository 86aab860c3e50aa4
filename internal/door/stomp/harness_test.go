// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come: 16 MiB under -race on a busy machine.
const patience = 30 * time.Second

// clock is the broker's Clock on package time, which testing/synctest fakes.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) Wall() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// users is an Authenticator for guest/guest; local may not come from where the tests do.
type users struct{}

func (users) Login(user, passcode string, _ net.Addr) error {
	if user == "local" {
		return auth.ErrNotLoopback
	}
	if user != "guest" || passcode != "guest" {
		return errors.New("refused")
	}
	return nil
}

// hub is a door over the real broker with the log in memory.
type hub struct {
	broker *broker.Broker
	door   *Door
	addr   string
	stop   context.CancelFunc // tells the connections that the hub stops

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// newBroker returns a broker with the log in memory.
func newBroker(tb testing.TB) *broker.Broker {
	tb.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: clock{}, Log: log, Formats: []broker.Format{Format{}}})
	log.Bind(b)
	tb.Cleanup(b.Close)
	return b
}

// newHub starts a door on a free port. change may change its options.
func newHub(tb testing.TB, change func(*Options)) *hub {
	tb.Helper()
	return newHubOn(tb, newBroker(tb), change)
}

// newHubOn is newHub for a broker that there is.
func newHubOn(tb testing.TB, b *broker.Broker, change func(*Options)) *hub {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	h := &hub{broker: b, stop: stop, conns: make(map[*conn]struct{})}
	o := Options{Broker: h.broker, Auth: users{}, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	h.broker = o.Broker
	var err error
	if h.door, err = New(o); err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
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
			serving.Go(func() { h.serve(ctx, newConn(h.door, nc, func() {})) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		stop()
		serving.Wait()
	})
	return h
}

func (h *hub) serve(ctx context.Context, c *conn) {
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	c.serveUntil(ctx)
	h.mu.Lock()
	delete(h.conns, c)
	h.mu.Unlock()
}

// session opens a session of the broker, for what a test does behind the door's back.
func (h *hub) session(tb testing.TB) *broker.Session {
	tb.Helper()
	c, err := h.broker.Open(broker.ConnectionParams{User: "guest", VHost: "/", Door: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	s, err := c.OpenSession(nowhere{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// nowhere is a Sink that drops everything.
type nowhere struct{}

func (nowhere) Deliver(*broker.Delivery) int          { return 1 << 20 }
func (nowhere) Cancel(*broker.Consumer)               {}
func (nowhere) Confirm(uint64)                        {}
func (nowhere) Nack(uint64)                           {}
func (nowhere) Return(*broker.Message, *broker.Error) {}
func (nowhere) Block(string)                          {}
func (nowhere) Flush()                                {}

// client is a raw socket.
type client struct {
	tb      testing.TB
	net     net.Conn
	reader  *wire.Reader
	version wire.Version
	session string
	earlier []got // messages that came while a receipt was waited for
}

// got is a frame with strings.
type got struct {
	command string
	headers map[string]string
	body    string
}

// dial opens a raw connection.
func (h *hub) dial(tb testing.TB) *client {
	tb.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = nc.Close() })
	return &client{tb: tb, net: nc, reader: wire.NewReader(nc, wire.Limits{})}
}

// login opens a connection that has logged in.
func (h *hub) login(tb testing.TB, v wire.Version) *client {
	tb.Helper()
	c := h.dial(tb)
	c.send("CONNECT\naccept-version:" + v.String() + "\nlogin:guest\npasscode:guest\n\n\x00")
	f := c.want("CONNECTED")
	if f.headers["version"] != v.String() {
		tb.Fatalf("CONNECTED with version %q, want %v", f.headers["version"], v)
	}
	c.version, c.session = v, f.headers["session"]
	c.reader.SetVersion(v)
	return c
}

// send writes octets.
func (c *client) send(octets string) {
	c.tb.Helper()
	if _, err := io.WriteString(c.net, octets); err != nil {
		c.tb.Fatalf("write: %v", err)
	}
}

// next returns the next frame, or the error that ended the connection.
func (c *client) next() (got, error) {
	c.tb.Helper()
	if len(c.earlier) > 0 {
		f := c.earlier[0]
		c.earlier = c.earlier[1:]
		return f, nil
	}
	return c.read()
}

// read reads the next frame from the socket.
func (c *client) read() (got, error) {
	c.tb.Helper()
	if err := c.net.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return got{}, err
	}
	for !c.reader.Next() {
		if err := c.reader.Err(); err != nil {
			return got{}, err
		}
		if _, err := c.reader.Fill(); err != nil {
			return got{}, err
		}
	}
	f := c.reader.Frame()
	g := got{command: f.Command.String(), headers: map[string]string{}, body: string(f.Body)}
	for _, h := range f.Headers {
		g.headers[string(h.Name)] = string(h.Value)
	}
	return g, nil
}

// want reads the next frame, which must have the command.
func (c *client) want(command string) got {
	c.tb.Helper()
	f, err := c.next()
	if err != nil {
		c.tb.Fatalf("waiting for %s: %v", command, err)
	}
	if f.command != command {
		c.tb.Fatalf("got %s %v %q, want %s", f.command, f.headers, f.body, command)
	}
	return f
}

// wantReceipt reads a RECEIPT; messages that come before it are kept for next.
func (c *client) wantReceipt(id string) {
	c.tb.Helper()
	for {
		f, err := c.read()
		switch {
		case err != nil:
			c.tb.Fatalf("waiting for receipt %q: %v", id, err)
		case f.command == "MESSAGE":
			c.earlier = append(c.earlier, f)
			continue
		case f.command != "RECEIPT" || f.headers["receipt-id"] != id:
			c.tb.Fatalf("got %s %v %q, want receipt %q", f.command, f.headers, f.body, id)
		}
		return
	}
}

// do sends a frame that has a receipt header "r" and waits for its RECEIPT.
func (c *client) do(head, body string) {
	c.tb.Helper()
	c.send(head + "\nreceipt:r\n\n" + body + "\x00")
	c.wantReceipt("r")
}

// wantError reads an ERROR and the close that must follow it, within a second and some grace.
func (c *client) wantError(message, body string) got {
	c.tb.Helper()
	f := c.want("ERROR")
	if f.headers["message"] != message || !strings.Contains(f.body, body) {
		c.tb.Errorf("ERROR %q %q, want %q %q", f.headers["message"], f.body, message, body)
	}
	if f.headers["version"] != wire.Supported || f.headers["content-type"] != "text/plain" {
		c.tb.Errorf("ERROR headers %v", f.headers)
	}
	c.wantClose()
	return f
}

// wantClose waits for the end of the connection; heart-beats may come before.
func (c *client) wantClose() {
	c.tb.Helper()
	began := time.Now()
	for {
		f, err := c.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.tb.Errorf("the connection ended with %v", err)
			}
			break
		}
		c.tb.Errorf("%s after the last frame", f.command)
	}
	if took := time.Since(began); took > 5*lingerTime {
		c.tb.Errorf("closed after %v", took)
	}
}

// wantNothing checks that no frame is on its way: the answer to what is sent now comes first.
func (c *client) wantNothing() {
	c.tb.Helper()
	c.do("BEGIN\ntransaction:nothing", "")
	c.do("ABORT\ntransaction:nothing", "")
	if len(c.earlier) > 0 {
		c.tb.Errorf("got %s %v %q", c.earlier[0].command, c.earlier[0].headers, c.earlier[0].body)
	}
}
