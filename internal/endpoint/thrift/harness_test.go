// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// heard is a call as a server got it.
type heard struct {
	thrift.Message

	head thrift.Head
	args []byte // the struct
	conn int    // which connection of the server it came on, from 1
}

// handler answers a call: with the bytes of a whole message, nil for nothing. It writes to the
// connection itself where an answer is to be an odd one.
type handler func(conn net.Conn, h *heard) []byte

// server is a server of Thrift that answers in the form in which it is called.
type server struct {
	tb       testing.TB
	listener net.Listener
	handle   handler
	conns    atomic.Int32
	calls    atomic.Int32

	mu   sync.Mutex
	open map[net.Conn]struct{}
	done sync.WaitGroup
}

// serve starts a server, which ends with the test.
func serve(tb testing.TB, h handler) *server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{tb: tb, listener: l, handle: h, open: make(map[net.Conn]struct{})}
	s.done.Go(s.accept)
	tb.Cleanup(s.stop)
	return s
}

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[c] = struct{}{}
		s.mu.Unlock()
		s.done.Go(func() { s.run(c) })
	}
}

func (s *server) run(c net.Conn) {
	defer c.Close()
	number := int(s.conns.Add(1))
	stream := thrift.NewStream(c, thrift.DefaultLimits())
	how := thrift.Wrapping{Limits: thrift.DefaultLimits(), Deflater: new(thrift.Deflater)}
	begun := false // the stream of zlib
	for {
		m, err := stream.Next()
		if err != nil {
			return
		}
		s.calls.Add(1)
		h := &heard{Message: m, conn: number}
		var r thrift.Reader
		r.Reset(m.Protocol, m.Bytes, thrift.DefaultLimits())
		if h.head, err = r.MessageBegin(); err != nil {
			s.tb.Errorf("a call without a head: %v", err)
			return
		}
		if h.args, err = walk(&r, m.Bytes); err != nil {
			s.tb.Errorf("a call that cannot be read: %v", err)
			return
		}
		answer := s.handle(c, h)
		if answer == nil {
			continue
		}
		out, err := m.Shape.Append(nil, answer, &how)
		if err == nil && m.Shape.Zlib {
			var head []byte
			if !begun {
				head, begun = how.Deflater.AppendHead(nil), true
			}
			out, err = how.Deflater.AppendMessage(head, out)
		}
		if err != nil {
			s.tb.Error(err)
			return
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// cut closes every connection that is open now.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
		delete(s.open, c)
	}
}

func (s *server) stop() {
	_ = s.listener.Close()
	s.cut()
	s.done.Wait()
}

// echo answers with field 0, a string: the first field of the arguments, or the method's name.
func echo(_ net.Conn, h *heard) []byte {
	_, method := thrift.SplitName(h.head.Name)
	return resultOf(h, string(method)+" "+string(firstText(h.Protocol, h.args)))
}

// resultOf is the answer with a string as its result.
func resultOf(h *heard, text string) []byte {
	_, method := thrift.SplitName(h.head.Name)
	return textMessage(h.Protocol, thrift.Head{Name: method, Type: thrift.Reply, Seq: h.head.Seq}, 0, text)
}

// textMessage is a message whose struct has one string, in the field of that id.
func textMessage(p thrift.Protocol, head thrift.Head, id int16, text string) []byte {
	var w thrift.Writer
	w.Reset(p, nil)
	w.MessageBegin(head)
	w.StructBegin()
	w.Field(thrift.String, id)
	w.Text([]byte(text))
	w.StructEnd()
	w.MessageEnd()
	return w.Bytes()
}

// emptyOf is the answer without a result.
func emptyOf(h *heard) []byte {
	var w thrift.Writer
	w.Reset(h.Protocol, nil)
	w.MessageBegin(thrift.Head{Name: h.head.Name, Type: thrift.Reply, Seq: h.head.Seq})
	w.StructBegin()
	w.StructEnd()
	w.MessageEnd()
	return w.Bytes()
}

// described is the contract of the service Text.
func described(tb testing.TB) *contract.Registry {
	tb.Helper()
	const idl = `
exception Refused { 1: string reason }
service Text {
  string say(1: string text) throws (1: Refused refused)
  void note(1: string text)
  i64 count(1: string text)
}
`
	p, err := contract.Load(fstest.MapFS{"t.thrift": {Data: []byte(idl)}}, "t.thrift", contract.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := contract.New("t", p, contract.Settings{})
	if err != nil {
		tb.Fatal(err)
	}
	r := new(contract.Registry)
	err = r.Put(&contract.Entry{VHost: "/", Contract: c, Services: map[string]string{"Text": "Text"}})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// exceptionOf answers a call with a TApplicationException.
func exceptionOf(h *heard, t thrift.ExceptionType, text string) []byte {
	_, method := thrift.SplitName(h.head.Name)
	var w thrift.Writer
	w.Reset(h.Protocol, nil)
	e := thrift.ApplicationException{Type: t, Message: []byte(text)}
	e.Append(&w, thrift.Head{Name: method, Seq: h.head.Seq})
	return w.Bytes()
}

// firstText returns the string in the first field of a struct, nil for none.
func firstText(p thrift.Protocol, part []byte) []byte {
	var r thrift.Reader
	r.Reset(p, part, thrift.DefaultLimits())
	if r.StructBegin() != nil {
		return nil
	}
	f, err := r.Field()
	if err != nil || f.Type != thrift.String {
		return nil
	}
	text, _ := r.Text()
	return bytes.Clone(text)
}

// member is a kind that calls a server.
type member struct {
	tb     testing.TB
	kind   *Kind
	target endpoint.Target
}

// reach returns a member at a server.
func reach(tb testing.TB, s *server, o Options) *member {
	tb.Helper()
	return reachAt(tb, "thrift://"+s.listener.Addr().String(), s.listener.Addr().String(), o)
}

func reachAt(tb testing.TB, url, address string, o Options) *member {
	tb.Helper()
	k, err := New(Service{VHost: "/", Name: "Text"}, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := k.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &member{
		tb: tb, kind: k, target: endpoint.Target{Member: "m", URL: url, Address: address},
	}
}

// try makes one attempt.
func (m *member) try(ctx context.Context, c *broker.EndpointCall) (*broker.Reply, endpoint.Outcome) {
	m.tb.Helper()
	call, err := m.kind.Prepare(c)
	if err != nil {
		m.tb.Fatal(err)
	}
	return call.Try(ctx, endpoint.Attempt{
		Target: m.target, Number: 1, Deadline: c.Deadline, Until: c.Deadline,
	})
}

// seqOfAsker is the sequence id of all calls of these tests.
const seqOfAsker = 4711

// callOf is a call with one string as its argument.
func callOf(p thrift.Protocol, method, text string) *broker.EndpointCall {
	head := thrift.Head{Name: []byte(method), Type: thrift.Call, Seq: seqOfAsker}
	m := &broker.Message{Body: textMessage(p, head, 1, text)}
	m.Type, m.ContentType = []byte(method), []byte(form{protocol: p}.contentType())
	return &broker.EndpointCall{Message: m, Answers: true}
}

// answered makes one attempt that has to have a result, and returns its string.
func (m *member) answered(p thrift.Protocol, method, text string) string {
	m.tb.Helper()
	c := callOf(p, method, text)
	c.Deadline = time.Now().Add(patience)
	r, o := m.try(m.tb.Context(), c)
	if r == nil || o.Class != endpoint.ClassSuccess {
		m.tb.Fatalf("no answer: %v, %v", o.Class, o.Err)
	}
	return m.text(p, method, r)
}

// text returns the string of a reply, whose head has to be that of the asker.
func (m *member) text(p thrift.Protocol, method string, reply *broker.Reply) string {
	m.tb.Helper()
	var r thrift.Reader
	r.Reset(p, reply.Message.Body, thrift.DefaultLimits())
	head, err := r.MessageBegin()
	if err != nil {
		m.tb.Fatal(err)
	}
	if string(head.Name) != method || head.Seq != seqOfAsker || head.Type != thrift.Reply {
		m.tb.Errorf("head %q %v %d", head.Name, head.Type, head.Seq)
	}
	part, err := walk(&r, reply.Message.Body)
	if err != nil {
		m.tb.Fatal(err)
	}
	if got := string(reply.Message.ContentType); got != (form{protocol: p}).contentType() {
		m.tb.Errorf("content type %q", got)
	}
	return string(firstText(p, part))
}
