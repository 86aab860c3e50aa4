// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; it is reached only when the test fails.
const patience = 10 * time.Second

type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) Wall() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// passwords lets in whose password is their name.
type passwords struct{}

func (passwords) Login(user, password string, _ net.Addr) error {
	if user != password {
		return errors.New("wrong password")
	}
	return nil
}

func (passwords) Admit(user string, _ net.Addr) error {
	if user == "nobody" {
		return errors.New("no such user")
	}
	return nil
}

// server is a door on a listener, with its broker.
type server struct {
	broker *broker.Broker
	addr   string
	stop   context.CancelFunc // tells the connections that the hub stops
	// identity is whom every client's certificate names.
	identity atomic.Pointer[string]

	mu    sync.Mutex
	conns map[*conn]struct{}
}

func newBroker(tb testing.TB, limits broker.Limits) *broker.Broker {
	tb.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Name: "test", Clock: clock{}, Log: log, Formats: []broker.Format{Format{}}, Limits: limits,
	})
	log.Bind(b)
	tb.Cleanup(b.Close)
	return b
}

func newServer(tb testing.TB, o Options) *server {
	tb.Helper()
	if o.Broker == nil {
		o.Broker = newBroker(tb, broker.Limits{})
	}
	if o.Auth == nil {
		o.Auth = passwords{}
	}
	if o.FailurePause == 0 {
		o.FailurePause = -1
	}
	d, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &server{
		broker: o.Broker, addr: ln.Addr().String(), stop: stop, conns: make(map[*conn]struct{}),
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if name := s.identity.Load(); name != nil {
				nc = identified{nc, *name}
			}
			serving.Go(func() { s.serve(ctx, newConn(d, nc, func() {})) })
		}
	})
	tb.Cleanup(func() {
		ln.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.abort()
		}
		s.mu.Unlock()
		serving.Wait()
		stop()
	})
	return s
}

// identified is a connection whose client has shown a certificate.
type identified struct {
	net.Conn
	name string
}

func (c identified) Identity() string { return c.name }

func (s *server) serve(ctx context.Context, c *conn) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	c.serveUntil(ctx)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// peer is a client that speaks in single frames.
type peer struct {
	tb testing.TB
	nc net.Conn
	in *wire.Reader
}

func (s *server) connect(tb testing.TB) *peer {
	tb.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { nc.Close() })
	in := wire.NewReader(nc)
	in.SetFrameMax(defaultFrameMaxBytes)
	return &peer{tb: tb, nc: nc, in: in}
}

// clientProperties announce what modern clients can do.
func clientProperties() wire.Table {
	return wire.Table{
		{Name: "connection_name", Value: "peer"},
		{Name: "capabilities", Value: wire.Table{
			{Name: "consumer_cancel_notify", Value: true},
			{Name: "connection.blocked", Value: true},
			{Name: "authentication_failure_close", Value: true},
		}},
	}
}

// dial returns a client that has opened the virtual host /.
func (s *server) dial(tb testing.TB) *peer {
	tb.Helper()
	p := s.connect(tb)
	p.write([]byte(wire.ProtocolHeader))
	p.start("guest", "guest")
	p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072})
	p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	p.want(0, &wire.ConnectionOpenOk{})
	return p
}

// open returns a client with channel 1 open.
func (s *server) open(tb testing.TB) *peer {
	tb.Helper()
	p := s.dial(tb)
	p.openChannel(1)
	return p
}

func (p *peer) start(user, password string) {
	p.tb.Helper()
	p.want(0, &wire.ConnectionStart{})
	p.send(0, &wire.ConnectionStartOk{
		ClientProperties: clientProperties(), Mechanism: "PLAIN",
		Response: "\x00" + user + "\x00" + password, Locale: "en_US",
	})
}

func (p *peer) tuneOk(m wire.ConnectionTuneOk) {
	p.tb.Helper()
	p.want(0, &wire.ConnectionTune{})
	p.send(0, &m)
}

func (p *peer) openChannel(id uint16) {
	p.tb.Helper()
	p.send(id, &wire.ChannelOpen{})
	p.want(id, &wire.ChannelOpenOk{})
}

func (p *peer) write(raw []byte) {
	p.tb.Helper()
	p.wait()
	if _, err := p.nc.Write(raw); err != nil {
		p.tb.Fatal(err)
	}
}

func (p *peer) send(channel uint16, methods ...wire.Method) {
	p.tb.Helper()
	var raw []byte
	for _, m := range methods {
		raw = m.AppendFrame(raw, channel)
	}
	p.write(raw)
}

// call sends a method and waits for its answer, if there is to be one.
func (p *peer) call(m, answer wire.Method) {
	p.tb.Helper()
	p.send(1, m)
	if answer != nil {
		p.want(1, answer)
	}
}

// wait begins the patience of one step anew.
func (p *peer) wait() {
	if p.nc != nil {
		_ = p.nc.SetDeadline(time.Now().Add(patience)) // the step itself fails if this does
	}
}

func (p *peer) next() wire.Frame {
	p.tb.Helper()
	p.wait()
	for {
		f, err := p.in.Next()
		if err != nil {
			p.tb.Fatalf("instead of a frame: %v", err)
		}
		if f.Type != wire.FrameHeartbeat {
			return f
		}
	}
}

// want reads the next frame, which must be that method, and decodes it.
func (p *peer) want(channel uint16, m wire.Method) {
	p.tb.Helper()
	f := p.next()
	id, args, err := f.SplitMethod()
	if err != nil || f.Type != wire.FrameMethod || f.Channel != channel || id != m.ID() {
		p.tb.Fatalf("got frame type %d on channel %d: %v %q; want %v on %d",
			f.Type, f.Channel, id, f.Payload, m.ID(), channel)
	}
	if err := m.Decode(args); err != nil {
		p.tb.Fatal(err)
	}
}

// wantChannelClose reads the server's channel.close and answers it.
func (p *peer) wantChannelClose(code wire.ReplyCode, text string) {
	p.tb.Helper()
	var m wire.ChannelClose
	p.want(1, &m)
	if want := code.String() + " - " + text; m.ReplyCode != uint16(code) || m.ReplyText != want {
		p.tb.Errorf("closed with %d %q\nwant        %d %q", m.ReplyCode, m.ReplyText, code, want)
	}
	p.send(1, &wire.ChannelCloseOk{})
}

// wantClose reads the server's connection.close, answers it and waits for the end.
func (p *peer) wantClose(code wire.ReplyCode, text string) {
	p.tb.Helper()
	var m wire.ConnectionClose
	p.want(0, &m)
	if want := code.String() + " - " + text; m.ReplyCode != uint16(code) || m.ReplyText != want {
		p.tb.Errorf("closed with %d %q\nwant        %d %q", m.ReplyCode, m.ReplyText, code, want)
	}
	p.write((&wire.ConnectionCloseOk{}).AppendFrame(nil, 0))
	p.wantEOF()
}

func (p *peer) wantEOF() {
	p.tb.Helper()
	p.wait()
	for {
		_, err := p.in.Next()
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return
		default:
			p.tb.Fatalf("instead of the end: %v", err)
		}
	}
}

// message is a content with what came before it.
type message struct {
	properties wire.Properties
	body       string
}

func (p *peer) publish(m *wire.BasicPublish, properties wire.Properties, body string) {
	p.tb.Helper()
	p.write(appendPublish(nil, m, properties, body))
}

func appendPublish(
	dst []byte, m *wire.BasicPublish, properties wire.Properties, body string,
) []byte {
	properties.SetFlags()
	return wire.AppendPublish(dst, m, &wire.Content{
		Channel: 1, FrameMax: 131072, Properties: properties.Append(nil), Body: []byte(body),
	})
}

func toQueue(name string) *wire.BasicPublish {
	return &wire.BasicPublish{RoutingKey: []byte(name)}
}

// content reads header and body.
func (p *peer) content() message {
	p.tb.Helper()
	f := p.next()
	var h wire.ContentHeader
	if f.Type != wire.FrameHeader {
		p.tb.Fatalf("got frame type %d, want a content header", f.Type)
	}
	if err := h.Decode(f.Payload); err != nil {
		p.tb.Fatal(err)
	}
	var m message
	if err := m.properties.Decode(h.Properties); err != nil {
		p.tb.Fatal(err)
	}
	var body []byte
	for uint64(len(body)) < h.BodySize {
		if f = p.next(); f.Type != wire.FrameBody {
			p.tb.Fatalf("got frame type %d, want body", f.Type)
		}
		body = append(body, f.Payload...)
	}
	m.body = string(body)
	return m
}

// deliver reads one delivery.
func (p *peer) deliver() (wire.BasicDeliver, message) {
	p.tb.Helper()
	var d wire.BasicDeliver
	p.want(1, &d)
	d.ConsumerTag, d.Exchange = bytes.Clone(d.ConsumerTag), bytes.Clone(d.Exchange)
	d.RoutingKey = bytes.Clone(d.RoutingKey)
	return d, p.content()
}

// declare declares a transient queue.
func (p *peer) declare(name string, args ...wire.Field) {
	p.tb.Helper()
	p.call(&wire.QueueDeclare{Queue: name, Arguments: args}, &wire.QueueDeclareOk{})
}

func (p *peer) consume(m *wire.BasicConsume) {
	p.tb.Helper()
	p.call(m, &wire.BasicConsumeOk{})
}
