// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// idl describes the service of these tests.
const idl = `
exception Unlucky { 1: string why, 2: i32 code }
service svc {
  string greet(1: string name) throws (1: Unlucky bad)
  void note(1: string text)
  oneway void poke(1: string text)
  void tell(1: string text) ( parley.publish = "news.told" )
  oneway void shout(1: string text) ( parley.publish = "news.shouted" )
  list<string> all(1: string name) ( parley.gather = "all" )
  list<string> two(1: string name) ( parley.gather = "2" )
  list<string> until(1: string name) ( parley.gather = "sentinel" )
  list<string> poll(1: string name) ( parley.gather = "all", parley.publish = "polls" )
  string ask(1: string name) ( parley.request = "greet" )
  string fetch(1: string id) throws (1: Unlucky bad) ( parley.result = "greet" )
  list<i32> count(1: string name)
  string slow(1: string name) ( parley.timeout = "30ms" )
}`

// described is a registry that knows the service.
func described(tb testing.TB) *contract.Registry {
	tb.Helper()
	source := contract.Source{Files: map[string]string{"svc.thrift": idl}}
	made, services, err := source.Load("svc")
	if err != nil {
		tb.Fatal(err)
	}
	r := &contract.Registry{}
	if err := r.Put(&contract.Entry{VHost: "/", Contract: made, Services: services}); err != nil {
		tb.Fatal(err)
	}
	return r
}

// withContract gives the door the contract; thrift says that the service wants Thrift.
func withContract(tb testing.TB, thrift bool) func(*Options) {
	tb.Helper()
	known := described(tb)
	return func(o *Options) {
		o.Contracts = known
		o.Thrift = func(vhost, service string) bool { return thrift && vhost == "/" && service == "svc" }
	}
}

// call makes a call and returns its answer.
func (c *client) call(p wire.Protocol, name, text string) parsed {
	c.tb.Helper()
	c.send(wrapped(c.tb, wire.Shape{Transport: wire.Framed}, ask(p, name, text, 5), wire.Info{}))
	m := c.next()
	got := parse(c.tb, m.Protocol, m.Bytes)
	if got.head.Seq != 5 || m.Protocol != p {
		c.tb.Fatalf("the answer is %+v in %s", got, m.Protocol)
	}
	return got
}

// failsWith fails the test unless an answer is an exception.
func (p parsed) failsWith(tb testing.TB, kind wire.ExceptionType, text string) {
	tb.Helper()
	if p.head.Type != wire.Exception || p.code != int32(kind) || !strings.HasPrefix(p.text, text) {
		tb.Errorf("got %s %d %q, want exception %d %q", p.head.Type, p.code, p.text, kind, text)
	}
}

// jsonService answers by JSON.
func jsonService(tb testing.TB) func(q *question) *broker.Message {
	tb.Helper()
	return func(q *question) *broker.Message {
		var in struct{ Name, Text string }
		if err := json.Unmarshal(q.body, &in); err != nil || q.contentType != "application/json" {
			tb.Errorf("the service gets %q of %q", q.body, q.contentType)
		}
		if q.operation == "note" {
			return answered(tb, "", nil)
		}
		switch in.Name {
		case "thrown":
			return answered(tb, "application/problem+json", []byte(`{"title":"Unlucky","status":422,"code":"exception",`+
				`"exception":"Unlucky","data":{"why":"the cat","code":13}}`),
				broker.Field{Name: broker.HeaderError, Value: "exception"})
		case "own word":
			return answered(tb, "application/json", []byte(`{"why":"a ladder"}`),
				broker.Field{Name: broker.HeaderError, Value: "Unlucky"})
		case "undeclared":
			return answered(tb, "text/plain", []byte("?"),
				broker.Field{Name: broker.HeaderError, Value: "Broken"},
				broker.Field{Name: broker.HeaderErrorMessage, Value: "it broke"})
		case "no method":
			return answered(tb, "application/problem+json", []byte(`{"code":"no-method","detail":"gone"}`),
				broker.Field{Name: broker.HeaderError, Value: "exception"})
		case "number":
			return answered(tb, "application/json", []byte("7"))
		case "nothing":
			return answered(tb, "application/json", nil)
		}
		text, err := json.Marshal("Hello, " + in.Name)
		if err != nil {
			tb.Error(err)
		}
		return answered(tb, "application/json", text)
	}
}

// TestContract: a service that speaks JSON is called with arguments by name, and its answers and errors
// become results, declared exceptions and TApplicationExceptions (thrift.md, JSON).
func TestContract(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	h.serve("svc", jsonService(t))
	for _, p := range protocols {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			c := h.dial()
			c.tb = t
			if got := c.call(p, "greet", `Ada "ä"`); got.text != `Hello, Ada "ä"` || got.id != 0 || got.head.Type != wire.Reply {
				t.Errorf("got %+v", got)
			}
			if got := c.call(p, "svc:note", "x"); got.text != "" || got.head.Type != wire.Reply || string(got.head.Name) != "note" {
				t.Errorf("got %+v", got)
			}
			if got := c.call(p, "greet", "thrown"); got.head.Type != wire.Reply || got.id != 1 || got.text != "the cat" || got.code != 13 {
				t.Errorf("a declared exception: %+v", got)
			}
			if got := c.call(p, "greet", "own word"); got.head.Type != wire.Reply || got.id != 1 || got.text != "a ladder" {
				t.Errorf("an exception by its name: %+v", got)
			}
			c.call(p, "greet", "undeclared").failsWith(t, wire.InternalError, "Broken: it broke")
			c.call(p, "greet", "no method").failsWith(t, wire.UnknownMethod, "Unknown function greet")
			c.call(p, "greet", "number").failsWith(t, wire.InternalError, "bad-reply: the service's answer is no result")
			c.call(p, "greet", "nothing").failsWith(t, wire.MissingResult, "bad-reply: greet failed: unknown result")
			c.call(p, "nothing", "x").failsWith(t, wire.UnknownMethod, "Unknown function nothing")
			c.call(p, "other:greet", "x").failsWith(t, wire.UnknownMethod, "Unknown function greet (no service 'other'")
		})
	}
}

// TestContractRefusesArguments: what the contract does not know of is the caller's fault, and the
// connection goes on.
func TestContractRefusesArguments(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	h.serve("svc", jsonService(t))
	c := h.dial()
	var w wire.Writer
	w.Reset(wire.Binary, nil)
	w.MessageBegin(wire.Head{Name: []byte("greet"), Type: wire.Call, Seq: 5})
	w.StructBegin()
	w.Field(wire.String, 1)
	w.Binary([]byte("\xff")) // no text
	w.StructEnd()
	c.send(wrapped(t, wire.Shape{Transport: wire.Framed}, w.Bytes(), wire.Info{}))
	m := c.next()
	parse(t, m.Protocol, m.Bytes).failsWith(t, wire.ProtocolError, "bad-request: /name: ")
	if got := c.call(wire.Binary, "greet", "Ada"); got.text != "Hello, Ada" {
		t.Errorf("got %+v", got)
	}
}

// TestContractOfThrift: a service that wants Thrift gets messages as they come, and TJSON is converted
// where it answers in another protocol.
func TestContractOfThrift(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, true))
	h.serve("svc", func(q *question) *broker.Message {
		form, _, _ := wire.Detect(q.body)
		m := parse(t, form.Protocol, q.body)
		m.head.Type = wire.Reply
		return answered(t, typeCompact, message(wire.Compact, m.head, 0, "Hello, "+m.text))
	})
	c := h.dial()
	for _, p := range protocols {
		if got := c.call(p, "greet", "Ada"); got.text != "Hello, Ada" {
			t.Errorf("%s: %+v", p, got)
		}
	}
}

// TestNoContractForTJSON: without a contract nothing is made of TJSON, and the caller is told.
func TestNoContractForTJSON(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", func(q *question) *broker.Message {
		switch q.operation {
		case "text":
			return answered(t, "text/plain", []byte("hello"))
		case "broken":
			return answered(t, typeBinary, []byte("\x80\x01\x00\x02"))
		case "call":
			return answered(t, typeBinary, ask(wire.Binary, "call", "", 1))
		}
		return answered(t, typeBinary, message(wire.Binary, wire.Head{Name: []byte("greet"), Type: wire.Reply, Seq: 1}, 0, "x"))
	})
	c := h.dial()
	c.call(wire.JSON, "greet", "Ada").failsWith(t, wire.InternalError, "bad-reply: the service answers in binary, and has no contract")
	c.call(wire.JSON, "text", "Ada").failsWith(t, wire.InternalError, "bad-reply: the service's answer is not of Thrift")
	c.call(wire.JSON, "broken", "Ada").failsWith(t, wire.InternalError, "bad-reply: the service's answer cannot be read")
	c.call(wire.JSON, "call", "Ada").failsWith(t, wire.InternalError, "bad-reply: the service answered with a call")
	if got := c.call(wire.Compact, "greet", "Ada"); got.text != "x" {
		t.Errorf("compact of binary: %+v", got)
	}
}

// TestOneway: a oneway call is a send, whether the message says so or the contract: nothing answers it,
// and the next call does not wait (thrift.md, Door).
func TestOneway(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	got := make(chan string, 4)
	h.serve("svc", func(q *question) *broker.Message {
		if q.operation == "poke" {
			got <- string(q.body)
			return nil
		}
		return jsonService(t)(q)
	})
	c := h.dial()
	framed := wire.Shape{Transport: wire.Framed}
	for i, kind := range []wire.MessageType{wire.Call, wire.Oneway} {
		head := wire.Head{Name: []byte("poke"), Type: kind, Seq: 3}
		c.send(wrapped(t, framed, message(wire.Binary, head, 1, fmt.Sprint(i)), wire.Info{}))
	}
	// An unknown method and an unknown service are not answered either.
	for _, name := range []string{"nothing", "nobody:poke"} {
		head := wire.Head{Name: []byte(name), Type: wire.Oneway, Seq: 3}
		c.send(wrapped(t, framed, message(wire.Binary, head, 1, ""), wire.Info{}))
	}
	if got := c.call(wire.Binary, "greet", "Ada"); got.text != "Hello, Ada" {
		t.Errorf("got %+v", got)
	}
	if n := h.door.lost.Value(); n != 2 {
		t.Errorf("%d errors are counted, want 2", n)
	}
	seen := map[string]bool{<-got: true, <-got: true}
	if !seen[`{"text":"0"}`] || !seen[`{"text":"1"}`] {
		t.Errorf("the service got %v", seen)
	}
}

// TestOnewayOrder: what is sent in a row arrives in a row, though nobody waits for it, and when the sender
// has gone too.
func TestOnewayOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var mu sync.Mutex
	var got []string
	const sends = 300
	all := make(chan struct{})
	h.queue("svc")
	c := h.dial()
	var b []byte
	for i := range sends {
		head := wire.Head{Name: []byte("poke"), Type: wire.Oneway, Seq: int32(i)}
		b = append(b, message(wire.Binary, head, 1, fmt.Sprint(i))...)
	}
	c.send(append(b, ask(wire.Binary, "nobody:x", "", 1)...))
	c.next() // behind them all
	_ = c.nc.Close()
	h.listen("svc", func(q *question) {
		mu.Lock()
		defer mu.Unlock()
		if got = append(got, parse(t, wire.Binary, q.body).text); len(got) == sends {
			close(all)
		}
	})
	<-all
	for i, text := range got {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, text)
		}
	}
}

// listen binds the service's queue to a topic.
func (s *service) listen(queue, topic string) {
	s.hub.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.session.Bind(broker.BindingParams{Source: topicExchange, Destination: queue, Key: topic})
	if err != nil {
		s.hub.tb.Fatal(err)
	}
}

// TestPublish: a method that is said to publish reaches who is subscribed, and nobody serves it.
func TestPublish(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	got := make(chan string, 2)
	s := h.serve("listener", func(q *question) *broker.Message {
		got <- q.operation + " " + string(q.body)
		return nil
	})
	s.listen("listener", "news.#")
	c := h.dial()
	if got := c.call(wire.Compact, "tell", "Ada"); got.head.Type != wire.Reply || got.text != "" {
		t.Errorf("got %+v", got)
	}
	if text := <-got; text != `tell {"text":"Ada"}` {
		t.Errorf("published %s", text)
	}
	head := wire.Head{Name: []byte("shout"), Type: wire.Call, Seq: 3}
	c.send(message(wire.Binary, head, 1, "Ada"))
	if text := <-got; text != `shout {"text":"Ada"}` {
		t.Errorf("published %s", text)
	}
}

// TestGather: a method that is said to gather asks all instances, in whatever they speak.
func TestGather(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	h.serve("svc", jsonService(t))
	h.serve("svc", func(q *question) *broker.Message {
		var w wire.Writer
		w.Reset(wire.Compact, nil)
		w.MessageBegin(wire.Head{Name: []byte(q.operation), Type: wire.Reply})
		w.StructBegin()
		w.Field(wire.List, 0)
		w.ListBegin(wire.String, 1)
		w.Text([]byte("Servus"))
		w.ListEnd()
		w.StructEnd()
		w.MessageEnd()
		return answered(t, typeCompact, w.Bytes())
	})
	c := h.dial()
	for _, method := range []string{"all", "two"} {
		c.send(ask(wire.Binary, method, "Ada", 5))
		list := listOf(t, c.next())
		if len(list) != 2 || !list["Hello, Ada"] || !list["Servus"] {
			t.Errorf("%s: %v", method, list)
		}
	}
}

// TestGatherSentinel: an empty answer ends a method that waits for one. Alone it is an empty list, and
// where none comes all are in the list.
func TestGatherSentinel(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		answer   func(*question) *broker.Message // of one
		other    func(*question) *broker.Message
		elements int
		missing  bool
	}{
		{
			func(*question) *broker.Message { return answered(t, "", nil) },
			func(*question) *broker.Message { return nil },
			0,
			true,
		},
		{jsonService(t), jsonService(t), 1, false}, // both say the same
	} {
		h := newHub(t, withContract(t, false))
		h.serve("svc", tc.answer)
		h.serve("svc", tc.other)
		c := h.dial()
		c.send(wrapped(t, wire.Shape{Transport: wire.Headered}, ask(wire.Binary, "until", "Ada", 5), wire.Info{}))
		m := c.next()
		end, _ := m.Shape.Header.Get(broker.HeaderGatherEnd)
		_, missing := m.Shape.Header.Get(broker.HeaderMissing)
		if list := listOf(t, m); len(list) != tc.elements || string(end) != "complete" || missing != tc.missing {
			t.Errorf("%q: %v, somebody is missing: %t", end, list, missing)
		}
	}
}

// TestGatherRules: a contract takes the rules that the heart can read, and no others.
func TestGatherRules(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"all", "quorum", "sentinel", "1", "2147483647", "2147483648", "0", "-1", "+1", "", " all", "all,", "2, 3",
		"sentinel,quorum,3,all", "2,sentinel", "Sentinel", "sentinel sentinel",
	} {
		source := contract.Source{Files: map[string]string{
			"svc.thrift": `service svc { list<i32> m() (parley.gather = "` + rule + `") }`,
		}}
		_, _, err := source.Load("svc")
		if _, known := broker.GatherRule(rule); known != (err == nil) {
			t.Errorf("%q: read %t, the contract says %v", rule, known, err)
		}
	}
}

// TestGatherLeavesOut: an answer that is no element of the list, or too much, is left out, and spoils
// none of the others.
func TestGatherLeavesOut(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false), func(o *Options) {
		o.MessageBytes = 1 << 10
	})
	bodies := []string{
		`7`, `"a", "b"`, `"a"], ["b"`, `"a`, ``, `[]`, `["a", 7]`, `{}`, `null`,
		`"` + strings.Repeat("x", 1<<10) + `"`,
	}
	for _, body := range bodies {
		h.serve("svc", func(*question) *broker.Message { return answered(t, "application/json", []byte(body)) })
	}
	c := h.dial()
	c.call(wire.Binary, "all", "Ada").failsWith(t, wire.InternalError, "bad-reply: no answer can be used: ")
	h.serve("svc", jsonService(t))
	c.send(ask(wire.Binary, "all", "Ada", 5))
	if list := listOf(t, c.next()); len(list) != 1 || !list["Hello, Ada"] {
		t.Errorf("%v", list)
	}
}

// TestEmptyAnswer: a service that answers a method of its contract with nothing has not answered.
func TestEmptyAnswer(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, true))
	h.serve("svc", func(*question) *broker.Message { return answered(t, typeBinary, nil) })
	c := h.dial()
	for _, method := range []string{"greet", "note"} {
		c.call(wire.Binary, method, "Ada").failsWith(t, wire.InternalError, "bad-reply: the service's answer is no message")
	}
}

// TestListWithoutType: a list that a service answers without a content type is JSON, though a message of
// TJSON begins alike; such a one is taken for what it is.
func TestListWithoutType(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	h.serve("svc", func(q *question) *broker.Message {
		body := []byte("[1, 2]")
		if bytes.Contains(q.body, []byte("message")) {
			head := wire.Head{Name: []byte(q.operation), Type: wire.Reply, Seq: 1}
			var w wire.Writer
			w.Reset(wire.JSON, nil)
			w.MessageBegin(head)
			w.StructBegin()
			w.Field(wire.List, 0)
			w.ListBegin(wire.I32, 2)
			w.I32(1)
			w.I32(2)
			w.ListEnd()
			w.StructEnd()
			w.MessageEnd()
			body = w.Bytes()
		}
		return answered(t, "", body)
	})
	c := h.dial()
	for _, name := range []string{"array", "message"} {
		c.send(ask(wire.Binary, "count", name, 5))
		m := c.next()
		want := "\x0f\x00\x00\x08\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02\x00"
		if !bytes.HasSuffix(m.Bytes, []byte(want)) {
			t.Errorf("%s: %q", name, m.Bytes)
		}
	}
}

// TestGatherOnTopic: a method that is said to publish too asks all who listen on the topic, each queue
// once; JSON of a list is what an endpoint makes of an answer in Thrift.
func TestGatherOnTopic(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	h.serve("a", jsonService(t)).listen("a", "polls")
	h.serve("b", func(*question) *broker.Message {
		return answered(t, "application/json", []byte(` ["Servus", "Moin" ] `))
	}).listen("b", "#")
	h.serve("c", func(*question) *broker.Message { return nil }).listen("c", "poll")
	h.serve("svc", func(*question) *broker.Message { return nil })
	c := h.dial()
	c.send(ask(wire.Binary, "poll", "Ada", 5))
	list := listOf(t, c.next())
	if len(list) != 3 || !list["Hello, Ada"] || !list["Servus"] || !list["Moin"] {
		t.Errorf("got %v", list)
	}
}

// listOf reads the list of texts that an answer is.
func listOf(tb testing.TB, m wire.Message) map[string]bool {
	tb.Helper()
	var r wire.Reader
	r.Reset(m.Protocol, m.Bytes, wire.DefaultLimits())
	head, err := r.MessageBegin()
	if err != nil || head.Type != wire.Reply {
		tb.Fatalf("%v, %s: %q", err, head.Type, m.Bytes)
	}
	_ = r.StructBegin()
	if _, err := r.Field(); err != nil {
		tb.Fatal(err)
	}
	_, n, err := r.ListBegin()
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]bool{}
	for range n {
		text, err := r.Text()
		if err != nil {
			tb.Fatal(err)
		}
		out[string(text)] = true
	}
	return out
}

// TestGatherIncomplete: of a gather that wants so many answers, fewer are an error that says who is
// missing; one that wants all has those that came.
func TestGatherIncomplete(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	h.serve("svc", jsonService(t))
	h.serve("svc", func(*question) *broker.Message { return nil })
	c := h.dial()
	header := wire.Shape{Transport: wire.Headered}
	soon := wire.Info{Pairs: []wire.Pair{{Key: []byte("client_timeout"), Value: []byte("400")}}}
	c.send(wrapped(t, header, ask(wire.Binary, "two", "Ada", 5), soon))
	m := c.next()
	parse(t, m.Protocol, m.Bytes).failsWith(t, wire.InternalError, "deadline: 1 of 2 answered, not ")
	c.send(wrapped(t, header, ask(wire.Binary, "all", "Ada", 5), soon))
	m = c.next()
	if list := listOf(t, m); len(list) != 1 {
		t.Errorf("all: %v", list)
	}
	if end, _ := m.Shape.Header.Get(broker.HeaderGatherEnd); string(end) != "incomplete" {
		t.Errorf("the gather ended %q", end)
	}
}

// TestRequest: a request's answer is fetched later, on another connection, and is the method's result or
// what it throws.
func TestRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	var asked atomic.Int32
	var once sync.Once
	free := make(chan struct{})
	h.serve("svc", func(q *question) *broker.Message {
		asked.Add(1)
		<-free
		return jsonService(t)(q)
	})
	t.Cleanup(func() { once.Do(func() { close(free) }) })
	c := h.dial()
	id := c.call(wire.Binary, "ask", "Ada").text
	thrown := c.call(wire.Binary, "ask", "thrown").text
	header := wire.Shape{Transport: wire.Headered}
	soon := wire.Info{Pairs: []wire.Pair{{Key: []byte("client_timeout"), Value: []byte("20")}}}
	c.send(wrapped(t, header, ask(wire.Binary, "fetch", id, 5), soon))
	m := c.next()
	parse(t, m.Protocol, m.Bytes).failsWith(t, wire.InternalError, "deadline: the request has no answer yet")
	once.Do(func() { close(free) })
	other := h.dial()
	if got := other.call(wire.Compact, "fetch", id); got.text != "Hello, Ada" {
		t.Errorf("got %+v", got)
	}
	if got := other.call(wire.JSON, "fetch", thrown); got.head.Type != wire.Reply || got.id != 1 || got.text != "the cat" {
		t.Errorf("got %+v", got)
	}
	other.call(wire.Binary, "fetch", "nothing").failsWith(t, wire.InternalError, "not-found: no request 'nothing'")
}

// TestDeadlines: what the form of the call says bounds it, else the contract (thrift.md, Door).
func TestDeadlines(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, false))
	h.serve("svc", func(*question) *broker.Message { return nil })
	c := h.dial()
	pair := wire.Info{Pairs: []wire.Pair{{Key: []byte("client_timeout"), Value: []byte("20")}}}
	for name, b := range map[string][]byte{
		"THeader": wrapped(t, wire.Shape{Transport: wire.Headered}, ask(wire.Binary, "greet", "", 5), pair),
		"TTHeader": wrapped(t, wire.Shape{Transport: wire.KitexHeader, Header: wire.Header{Kitex: true}},
			ask(wire.Binary, "greet", "", 5), wire.Info{Ints: []wire.Int{{Key: wire.KitexTimeoutMS, Value: []byte("20")}}}),
		"contract": ask(wire.Binary, "slow", "", 5),
	} {
		c.send(b)
		m := c.next()
		got := parse(t, m.Protocol, m.Bytes)
		got.failsWith(t, wire.InternalError, "deadline: no answer from 'svc' before the deadline")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestServiceFailureIsNotTheHubs: what a service calls its internal error is no error of the hub in the
// log.
func TestServiceFailureIsNotTheHubs(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHub(t, withContract(t, false), func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	h.serve("svc", func(*question) *broker.Message {
		return answered(t, "application/problem+json", []byte(`{"code":"internal","detail":"it broke"}`),
			broker.Field{Name: broker.HeaderError, Value: "exception"})
	})
	h.dial().call(wire.Binary, "greet", "Ada").failsWith(t, wire.InternalError, "internal: it broke")
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
}
