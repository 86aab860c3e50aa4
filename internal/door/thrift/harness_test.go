// SPDX-License-Identifier: Apache-2.0

package thrift

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

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// patience is how long a test waits for what must come, under -race on a busy machine.
const patience = 30 * time.Second

// clock is the broker's Clock.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

// Wall implements broker.Clock.
func (clock) Wall() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// users is an Authenticator: stranger is nobody.
type users struct{}

var errStranger = errors.New("refused")

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
	ended  *sync.WaitGroup    // of all connections
}

// newHub starts a hub whose default service is svc; settings change the door's options.
func newHub(tb testing.TB, settings ...func(*Options)) *hub {
	tb.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Name: "test", Clock: clock{}, Log: log, Formats: []broker.Format{broker.HubFormat{}},
		Access: rights{},
	})
	log.Bind(b)
	tb.Cleanup(b.Close)
	ctx, stop := context.WithCancel(context.Background())
	h := &hub{tb: tb, broker: b, stop: stop, ended: &sync.WaitGroup{}}
	o := Options{
		Broker: b, Auth: users{}, Logger: slog.New(slog.DiscardHandler), Service: "svc",
	}
	for _, set := range settings {
		set(&o)
	}
	var err error
	if h.door, err = New(o); err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h.addr = listener.Addr().String()
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			h.ended.Go(func() {
				defer nc.Close()
				h.door.Serve(ctx, nc, func() {})
			})
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		accepting.Wait()
		stop()
		if err := h.door.Close(); err != nil {
			tb.Error(err)
		}
		h.ended.Wait()
	})
	return h
}

// service is a consumer of a queue that answers.
type service struct {
	hub     *hub
	conn    *broker.Connection
	answer  func(q *question) *broker.Message
	seen    func(q *question) // instead of answer, under the lock of the queue
	working sync.WaitGroup

	mu      sync.Mutex // makes the session one goroutine's at a time
	session *broker.Session
}

// question is what a service was asked.
type question struct {
	operation, contentType string
	headers                broker.Table
	body                   []byte
}

// queue makes a queue that nobody serves.
func (h *hub) queue(name string) {
	h.tb.Helper()
	s := h.open()
	var q broker.QueueParams
	q.Name = name
	if _, err := s.session.DeclareQueue(q); err != nil {
		h.tb.Fatal(err)
	}
	s.conn.Close()
}

// serve attaches a service. answer returns nil for a question that stays without an answer; it is called
// on a goroutine of its own.
func (h *hub) serve(name string, answer func(q *question) *broker.Message) *service {
	h.tb.Helper()
	h.queue(name)
	s := h.open()
	s.answer = answer
	s.consume(name)
	h.tb.Cleanup(s.close)
	return s
}

// listen attaches a consumer that sees messages in their order.
func (h *hub) listen(name string, seen func(q *question)) {
	h.tb.Helper()
	s := h.open()
	s.seen = seen
	s.consume(name)
	h.tb.Cleanup(s.close)
}

// open opens a session of a service.
func (h *hub) open() *service {
	h.tb.Helper()
	var p broker.ConnectionParams
	p.Name, p.User, p.VHost, p.Door = "service", "ada", "/", "test"
	conn, err := h.broker.Open(p)
	if err != nil {
		h.tb.Fatal(err)
	}
	s := &service{hub: h, conn: conn}
	if s.session, err = conn.OpenSession(s); err != nil {
		h.tb.Fatal(err)
	}
	return s
}

// consume opens the consumer.
func (s *service) consume(name string) {
	s.hub.tb.Helper()
	var c broker.ConsumerParams
	c.Queue, c.Tag, c.AutoAck = name, "c", true
	if _, err := s.session.Consume(c); err != nil {
		s.hub.tb.Fatal(err)
	}
	s.session.Flush()
}

func (s *service) close() {
	s.working.Wait()
	s.conn.Close()
}

// Deliver implements broker.Sink.
func (s *service) Deliver(d *broker.Delivery) int {
	p, err := d.Properties()
	if err != nil {
		s.hub.tb.Errorf("properties: %v", err)
	}
	q := &question{
		operation: p.Type, contentType: p.ContentType, headers: p.Headers, body: append([]byte(nil), d.Message.Body...),
	}
	if s.seen != nil {
		s.seen(q)
		return 1
	}
	s.working.Go(func() {
		m := s.answer(q)
		if m == nil || p.ReplyTo == "" {
			return
		}
		m.Key = []byte(p.ReplyTo)
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, err := s.session.Publish(m, broker.PublishParams{}); err != nil {
			s.hub.tb.Errorf("answer: %v", err)
		}
		s.session.Flush()
	})
	return 1
}

func (*service) Cancel(*broker.Consumer)               {}
func (*service) Confirm(uint64)                        {}
func (*service) Nack(uint64)                           {}
func (*service) Return(*broker.Message, *broker.Error) {}
func (*service) Block(string)                          {}
func (*service) Flush()                                {}

// reply makes an answer with properties.
func answered(tb testing.TB, contentType string, body []byte, headers ...broker.Field) *broker.Message {
	tb.Helper()
	p := broker.Properties{
		Set: broker.HasContentType | broker.HasHeaders, ContentType: contentType, Headers: headers,
	}
	raw, err := broker.HubFormat{}.Append(nil, &p)
	if err != nil {
		tb.Fatal(err)
	}
	m := &broker.Message{Format: broker.HubFormat{}, Props: raw, Body: body}
	m.ContentType = []byte(contentType)
	return m
}

// protocols are all of them.
var protocols = []wire.Protocol{wire.Binary, wire.Compact, wire.JSON}

// message returns a whole message whose struct has one string, of field 0 or 1.
func message(p wire.Protocol, h wire.Head, field int16, text string) []byte {
	var w wire.Writer
	w.Reset(p, nil)
	w.MessageBegin(h)
	w.StructBegin()
	w.Field(wire.String, field)
	w.Text([]byte(text))
	w.StructEnd()
	w.MessageEnd()
	return w.Bytes()
}

// ask returns a call with one string.
func ask(p wire.Protocol, name, text string, seq int32) []byte {
	return message(p, wire.Head{Name: []byte(name), Type: wire.Call, Seq: seq}, 1, text)
}

// parsed is a message that was taken apart.
type parsed struct {
	head wire.Head
	text string // the last string of the struct
	id   int16  // its field, or that of the struct in which it is
	code int32  // the last i32: the type of an exception
}

// parse reads a whole message.
func parse(tb testing.TB, p wire.Protocol, b []byte) parsed {
	tb.Helper()
	var r wire.Reader
	r.Reset(p, b, wire.DefaultLimits())
	var out parsed
	var err error
	check := func() {
		tb.Helper()
		if err != nil {
			tb.Fatalf("%v in %q", err, b)
		}
	}
	out.head, err = r.MessageBegin()
	check()
	out.head.Name = append([]byte(nil), out.head.Name...)
	err = r.StructBegin()
	check()
	for depth := 1; ; {
		var f wire.Field
		f, err = r.Field()
		check()
		switch f.Type {
		case wire.Struct:
			depth++
			out.id = f.ID
			err = r.StructBegin()
		case wire.Stop:
			if depth--; depth > 0 {
				continue
			}
			err = r.MessageEnd()
			check()
			if len(r.Rest()) > 0 {
				tb.Fatalf("%q is behind the message", r.Rest())
			}
			return out
		case wire.String:
			var text []byte
			text, err = r.Text()
			out.text = string(text)
			if depth == 1 {
				out.id = f.ID
			}
		case wire.I32:
			out.code, err = r.I32()
		default:
			err = r.Skip(f.Type)
		}
		check()
	}
}

// greet is a service that answers in the protocol of the question.
func greet(tb testing.TB) func(q *question) *broker.Message {
	tb.Helper()
	return func(q *question) *broker.Message {
		form, ok, _ := wire.Detect(q.body)
		if !ok || form.Transport != wire.Unframed {
			tb.Errorf("the service gets no whole message: %q", q.body)
			return nil
		}
		m := parse(tb, form.Protocol, q.body)
		if q.operation != string(m.head.Name) || q.contentType != typeOf(form.Protocol) {
			tb.Errorf("operation %q, content type %q of a message %q", q.operation, q.contentType, m.head.Name)
		}
		m.head.Type = wire.Reply
		return answered(tb, q.contentType, message(form.Protocol, m.head, 0, "Hello, "+m.text))
	}
}

// client is one connection.
type client struct {
	tb     testing.TB
	nc     net.Conn
	stream *wire.Stream
}

func (h *hub) dial() *client {
	h.tb.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &client{tb: h.tb, nc: nc, stream: wire.NewStream(nc, wire.DefaultLimits())}
}

// send writes octets.
func (c *client) send(b []byte) {
	c.tb.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.tb.Fatal(err)
	}
}

// next reads a message.
func (c *client) next() wire.Message {
	c.tb.Helper()
	m, err := c.stream.Next()
	if err != nil {
		c.tb.Fatal(err)
	}
	return m
}

// ends fails the test unless the connection ends without another octet.
func (c *client) ends() {
	c.tb.Helper()
	m, err := c.stream.Next()
	ended := errors.Is(err, io.EOF) || c.stream.Inflating() && errors.Is(err, io.ErrUnexpectedEOF)
	if !ended {
		c.tb.Fatalf("the connection goes on: %q, %v", m.Bytes, err)
	}
}

// wrapped wraps a message.
func wrapped(tb testing.TB, s wire.Shape, message []byte, info wire.Info) []byte {
	tb.Helper()
	how := wire.Wrapping{Info: info, Limits: wire.DefaultLimits(), Deflater: &wire.Deflater{}}
	out, err := s.Append(nil, message, &how)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
