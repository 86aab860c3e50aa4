// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// gate holds the answers of a service back, each until it is let through.
type gate struct {
	mu    sync.Mutex
	asked map[string]chan struct{}
	came  chan string
}

func newGate() *gate {
	return &gate{asked: map[string]chan struct{}{}, came: make(chan string, 2*callsMax)}
}

// pass returns what lets the answer to a text through.
func (g *gate) pass(text string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked[text] == nil {
		g.asked[text] = make(chan struct{})
	}
	return g.asked[text]
}

// serve answers what is let through.
func (g *gate) serve(tb testing.TB) func(q *question) *broker.Message {
	tb.Helper()
	plain := greet(tb)
	return func(q *question) *broker.Message {
		form, _, _ := wire.Detect(q.body)
		text := parse(tb, form.Protocol, q.body).text
		g.came <- text
		<-g.pass(text)
		return plain(q)
	}
}

// TestPipeline: messages that come together are carried out together, and answered in their order
// (thrift.md, Door).
func TestPipeline(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := newGate()
	h.serve("svc", g.serve(t))
	c := h.dial()
	const calls = 10
	var b []byte
	for i := range calls {
		b = append(b, wrapped(t, wire.Shape{Transport: wire.Framed}, ask(wire.Compact, "greet", fmt.Sprint(i), int32(i)), wire.Info{})...)
	}
	c.send(b)
	for range calls { // all of them are at the service before any is answered
		<-g.came
	}
	for i := range calls {
		close(g.pass(fmt.Sprint(calls - 1 - i))) // the last one first
	}
	for i := range calls {
		m := c.next()
		if got := parse(t, m.Protocol, m.Bytes); got.head.Seq != int32(i) || got.text != "Hello, "+fmt.Sprint(i) {
			t.Fatalf("answer %d is %+v", i, got)
		}
	}
}

// TestPipelineBound: no more than so many calls of a connection are under way, and the others follow.
func TestPipelineBound(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := newGate()
	h.serve("svc", g.serve(t))
	c := h.dial()
	const calls = callsMax + 20
	var b []byte
	for i := range calls {
		b = append(b, ask(wire.Binary, "greet", fmt.Sprint(i), int32(i))...)
	}
	c.send(b)
	for range callsMax {
		<-g.came
	}
	select {
	case text := <-g.came:
		t.Errorf("call %s is under way too", text)
	case <-time.After(20 * time.Millisecond): // nothing can be seen not to come
	}
	for i := range calls {
		close(g.pass(fmt.Sprint(i)))
	}
	for i := range calls {
		m := c.next()
		if got := parse(t, m.Protocol, m.Bytes); got.head.Seq != int32(i) {
			t.Fatalf("answer %d is %+v", i, got)
		}
	}
}

// TestSlowCall: a call that takes long does not keep the connection from being read, and its message,
// which it borrows, stays what it is.
func TestSlowCall(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := newGate()
	h.serve("svc", g.serve(t))
	for _, shape := range []wire.Shape{
		{Transport: wire.Framed},
		{Transport: wire.Headered, Header: wire.Header{Seq: 1, Zlib: 1}},
	} {
		c := h.dial()
		slow := strings.Repeat("slow", 300) + shape.Transport.String()
		c.send(wrapped(t, shape, ask(wire.Binary, "greet", slow, 1), wire.Info{}))
		<-g.came
		for i := range 3 {
			next := fmt.Sprint(shape.Transport, i)
			c.send(wrapped(t, shape, ask(wire.Binary, "greet", next, int32(i)+2), wire.Info{}))
			<-g.came // though the one before has no answer
			close(g.pass(next))
		}
		close(g.pass(slow))
		for i := range 4 {
			m := c.next()
			got := parse(t, m.Protocol, m.Bytes)
			if got.head.Seq != int32(i)+1 || i == 0 && got.text != "Hello, "+slow {
				t.Fatalf("answer %d is %+v", i, got)
			}
		}
	}
}

// TestOneLeads: a call that took long gives its connection up, also when who reads it then is in a call too:
// that one's message stays what it is.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := newGate()
	h.serve("svc", g.serve(t))
	c := h.dial()
	send := func(text string) {
		t.Helper()
		c.send(wrapped(t, wire.Shape{Transport: wire.Framed}, ask(wire.Binary, "do"+text, text, 1), wire.Info{}))
		select {
		case <-g.came:
		case <-time.After(patience):
			t.Fatalf("%s is not read", text)
		}
	}
	next := func(text string) {
		t.Helper()
		close(g.pass(text))
		m := c.next()
		if got := parse(t, m.Protocol, m.Bytes); got.text != "Hello, "+text || string(got.head.Name) != "do"+text {
			t.Fatalf("the answer to %s is %s %+v", text, got.head.Name, got)
		}
	}
	const rounds = 20
	for i := range rounds {
		first, second, third := fmt.Sprint("first", i), fmt.Sprint("second", i), fmt.Sprint("third", i)
		send(first)
		send(second) // it is read though the first has no answer
		next(first)
		send(third) // and this one, though the second has none
		next(second)
		next(third)
	}
}

// TestLastWord: what a client asks before it ends its side is answered still, and the connection ends
// behind that.
func TestLastWord(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	c := h.dial()
	c.send(append(ask(wire.Binary, "greet", "a", 1), ask(wire.Binary, "greet", "b", 2)...))
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.Fatal("no half-close")
	}
	for _, want := range []string{"Hello, a", "Hello, b"} {
		m := c.next()
		if got := parse(t, m.Protocol, m.Bytes); got.text != want {
			t.Errorf("got %+v", got)
		}
	}
	c.ends()
}

// TestGoneCaller: the call of a client that is gone ends, and gives back what it holds.
func TestGoneCaller(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := newGate()
	h.serve("svc", g.serve(t))
	c := h.dial()
	c.send(ask(wire.Binary, "greet", "a", 1))
	<-g.came
	_ = c.nc.Close()
	ended := make(chan struct{})
	go func() {
		h.ended.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(broker.DefaultTimeout / 2):
		t.Error("the connection waits for the deadline of the call")
	}
	close(g.pass("a"))
}

// TestDrain: when the hub stops, calls under way are answered, and the connections end; so do those that
// are idle.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := newGate()
	h.serve("svc", g.serve(t))
	idle, asked := h.dial(), h.dial()
	asked.send(ask(wire.Binary, "greet", "a", 1))
	<-g.came
	h.stop()
	idle.ends()
	close(g.pass("a"))
	m := asked.next()
	if got := parse(t, m.Protocol, m.Bytes); got.text != "Hello, a" {
		t.Errorf("got %+v", got)
	}
	asked.ends()
}

// TestForced: an administrator ends a connection, its call with it.
func TestForced(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := newGate()
	h.serve("svc", g.serve(t))
	c := h.dial()
	c.send(ask(wire.Binary, "greet", "a", 1))
	<-g.came
	defer close(g.pass("a"))
	for _, conn := range h.broker.Connections() {
		if conn.Door != Name {
			continue
		}
		if conn.User != "guest" || conn.VHost != "/" || conn.Peer != c.nc.LocalAddr().String() {
			t.Errorf("it is listed as %+v", conn.ConnectionParams)
		}
		conn.ForceClose("enough")
	}
	m := c.next()
	parse(t, m.Protocol, m.Bytes).failsWith(t, wire.InternalError, "canceled: ")
	c.ends()
}

// TestLogin: who a client is follows from what it shows; who is nobody is told, and let go.
func TestLogin(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.User = "stranger" })
	for _, shape := range []wire.Shape{{}, {Transport: wire.Headered}} {
		c := h.dial()
		c.send(wrapped(t, shape, ask(wire.Binary, "a:greet", "Ada", 5), wire.Info{}))
		m := c.next()
		got := parse(t, m.Protocol, m.Bytes)
		got.failsWith(t, wire.InternalError, "unauthenticated: the listener knows no user for this client")
		if string(got.head.Name) != "greet" || got.head.Seq != 5 {
			t.Errorf("got %+v", got)
		}
		c.ends()
	}
	var z wire.Deflater
	bomb, err := z.AppendMessage(z.AppendHead(nil), bytes.Repeat([]byte{0}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	c := h.dial()
	c.send(bomb) // nothing is inflated for a stranger
	c.ends()
	h = newHub(t, func(o *Options) { o.User = "limited" })
	h.serve("svc", greet(t))
	h.serve("mine", greet(t))
	c = h.dial()
	if got := c.call(wire.Binary, "mine:greet", "Ada"); got.text != "Hello, Ada" {
		t.Errorf("got %+v", got)
	}
}

// TestOnewayList: where no contract describes a service, a call of a method that it is known never to
// answer is not answered, whatever type the message has.
func TestOnewayList(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) {
		o.Oneway = func(vhost, service string, method []byte) bool {
			return vhost == "/" && service == "svc" && string(method) == "poke"
		}
	})
	h.serve("svc", func(q *question) *broker.Message {
		m := parse(t, wire.Binary, q.body)
		m.head.Type = wire.Reply
		return answered(t, typeBinary, message(wire.Binary, m.head, 0, q.operation))
	})
	c := h.dial()
	head := wire.Head{Name: []byte("poke"), Type: wire.Call, Seq: 3}
	c.send(wrapped(t, wire.Shape{Transport: wire.Framed}, message(wire.Binary, head, 1, "x"), wire.Info{}))
	if got := c.call(wire.Binary, "greet", "Ada"); got.text != "greet" {
		t.Errorf("the first answer is %+v", got)
	}
}
