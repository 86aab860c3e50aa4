// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/internal/store"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// thriftCall is a call as a server got it: its argument is a string, or there is none.
type thriftCall struct {
	thrift.Message

	head thrift.Head
	text string
}

// thriftHandler writes what a server answers to a call, or nothing.
type thriftHandler func(w *thrift.Writer, c *thriftCall)

// thriftServer is a server of Thrift that knows nothing of the hub. It answers each call in the form
// in which it came.
func thriftServer(t *testing.T, f thriftHandler) net.Addr {
	t.Helper()
	address, _ := stoppable(t, f)
	return address
}

// stoppable is a server that the test may stop before its end.
func stoppable(t *testing.T, f thriftHandler) (address net.Addr, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			done.Go(func() { serveThrift(t, c, f) })
		}
	})
	stop = func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		done.Wait()
	}
	t.Cleanup(stop)
	return l.Addr(), stop
}

func serveThrift(t *testing.T, c net.Conn, f thriftHandler) {
	t.Helper()
	defer c.Close()
	stream := thrift.NewStream(c, thrift.DefaultLimits())
	how := thrift.Wrapping{Limits: thrift.DefaultLimits()}
	for {
		m, err := stream.Next()
		if err != nil {
			return
		}
		call := thriftCall{Message: m}
		call.head, call.text = readText(t, m.Protocol, m.Bytes)
		var w thrift.Writer
		w.Reset(m.Protocol, nil)
		f(&w, &call)
		if len(w.Bytes()) == 0 {
			continue
		}
		out, err := m.Shape.Append(nil, w.Bytes(), &how)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// echoThrift is a service with methods of every kind: say returns text, or throws what it is told to,
// ping nothing, size a number, fail is not answered well, note not at all.
func echoThrift(w *thrift.Writer, c *thriftCall) {
	head := c.head
	head.Type = thrift.Reply
	switch method := string(head.Name); {
	case method == "say" && c.text == "Refused":
		writeThrown(w, head, 1, "too loud")
	case method == "say" && c.text == "Plain":
		writeThrown(w, head, 2, "no")
	case method == "say":
		writeText(w, head, 0, "say: "+c.text)
	case method == "ping":
		w.MessageBegin(head)
		w.StructBegin()
		w.StructEnd()
		w.MessageEnd()
	case method == "size":
		w.MessageBegin(head)
		w.StructBegin()
		w.Field(thrift.I64, 0)
		w.I64(int64(len(c.text)) << 40)
		w.StructEnd()
		w.MessageEnd()
	case method == "note":
	case method == "fail":
		writeFailure(w, head, thrift.InternalError, "Internal error processing fail: "+c.text)
	default:
		writeFailure(w, head, thrift.UnknownMethod, "Unknown function "+method)
	}
}

// writeThrown writes a result that is a declared exception with one string.
func writeThrown(w *thrift.Writer, head thrift.Head, id int16, text string) {
	w.MessageBegin(head)
	w.StructBegin()
	w.Field(thrift.Struct, id)
	w.StructBegin()
	w.Field(thrift.String, 1)
	w.Text([]byte(text))
	w.StructEnd()
	w.StructEnd()
	w.MessageEnd()
}

// writeFailure writes a TApplicationException.
func writeFailure(w *thrift.Writer, head thrift.Head, t thrift.ExceptionType, text string) {
	e := thrift.ApplicationException{Type: t, Message: []byte(text)}
	e.Append(w, head)
}

const echoIDL = `
exception Refused { 1: string reason } (parley.status = "409")
exception Plain { 1: string reason }
service Echo {
  string say(1: string text) throws (1: Refused refused, 2: Plain plain)
  void ping()
  i64 size(1: string text) (parley.idempotent)
  oneway void note(1: string text)
  string fail(1: string text)
  string gone(1: string text)
}
`

// writeText writes a message whose struct has one string.
func writeText(w *thrift.Writer, head thrift.Head, id int16, text string) {
	w.MessageBegin(head)
	w.StructBegin()
	w.Field(thrift.String, id)
	w.Text([]byte(text))
	w.StructEnd()
	w.MessageEnd()
}

// readText reads a message whose struct has one string, or none.
func readText(t *testing.T, p thrift.Protocol, message []byte) (head thrift.Head, text string) {
	t.Helper()
	var r thrift.Reader
	r.Reset(p, message, thrift.DefaultLimits())
	head, err := r.MessageBegin()
	if err == nil {
		err = r.StructBegin()
	}
	var f thrift.Field
	if err == nil {
		f, err = r.Field()
	}
	var raw []byte
	if err == nil && f.Type == thrift.String {
		raw, err = r.Text()
	}
	if err != nil {
		t.Errorf("no message with a string: %v", err)
	}
	return head, string(raw)
}

// binaryCall is a whole call in the binary protocol.
func binaryCall(method, text string) string {
	var w thrift.Writer
	w.Reset(thrift.Binary, nil)
	writeText(&w, thrift.Head{Name: []byte(method), Type: thrift.Call, Seq: 77}, 1, text)
	return string(w.Bytes())
}

const binaryType = "Content-Type: application/vnd.apache.thrift.binary"

// TestThriftService: a service of the configuration that speaks Thrift is called with Thrift through
// REST, and its servers come and go at run time as others do.
func TestThriftService(t *testing.T) {
	t.Parallel()
	address := thriftServer(t, echoThrift)
	o := doors()
	o.Services = map[string]Service{
		"Echo": {Members: map[string]Instance{"one": {URL: "thrift://" + address.String()}}},
		"Narrow": {
			Protocol: "thrift", Members: map[string]Instance{"one": {URL: address.String()}},
			Thrift: ThriftService{Protocol: "compact", Transport: "header", Oneway: []string{"note"}},
		},
	}
	h := start(t, o)
	for _, service := range []string{"Echo", "Narrow"} {
		r, body := ask(t, h, "POST", "/v1/services/"+service+"/say", binaryCall("say", "hello"), binaryType)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", service, r.StatusCode, body)
		}
		head, text := readText(t, thrift.Binary, []byte(body))
		if text != "say: hello" || string(head.Name) != "say" || head.Seq != 77 ||
			head.Type != thrift.Reply ||
			r.Header.Get("Content-Type") != "application/vnd.apache.thrift.binary" {
			t.Errorf("%s: %q %+v %v", service, text, head, r.Header)
		}
		if !h.called.bodies.wantsThrift("/", service) {
			t.Errorf("%s wants no Thrift", service)
		}
		if got := h.called.bodies.isOneway("/", service, []byte("note")); got != (service == "Narrow") {
			t.Errorf("%s: note is oneway: %t", service, got)
		}
	}
	r, body := ask(t, h, "POST", "/v1/services/Echo/fail", binaryCall("fail", "x"), binaryType)
	if r.StatusCode != http.StatusOK || !strings.Contains(body, "Internal error processing fail: x") {
		t.Errorf("an exception: %d %q", r.StatusCode, body)
	}
	r, body = ask(t, h, "POST", "/v1/services/Echo/say", binaryCall("other", "x"), binaryType)
	if r.StatusCode != http.StatusBadRequest {
		t.Errorf("another method than it says: %d %q", r.StatusCode, body)
	}
	const at = "/v1/services/Echo/instances/"
	for _, tc := range []struct {
		body   string
		status int
	}{
		{`{"url":"http://127.0.0.1:1/"}`, http.StatusBadRequest},
		{`{"url":"thrift://169.254.169.254:9090"}`, http.StatusBadRequest},
		{`{"url":"thrift://127.0.0.1"}`, http.StatusBadRequest},
		{
			`{"url":"thrift://` + address.String() + `","health":{"thrift":{"method":"say"}}}`,
			http.StatusCreated,
		},
		{`{"url":"thrift://` + address.String() + `","protocol":"http"}`, http.StatusBadRequest},
	} {
		if r, body := ask(t, h, "PUT", at+"two", tc.body); r.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.body, r.StatusCode, body)
		}
	}
	r, body = ask(t, h, "PUT", "/v1/services/Late/instances/a",
		`{"url":"`+address.String()+`","protocol":"thrift"}`)
	if r.StatusCode != http.StatusCreated || !h.called.bodies.wantsThrift("/", "Late") {
		t.Errorf("attached at run time: %d %s", r.StatusCode, body)
	}
	r, body = ask(t, h, "PUT", "/v1/services/Late/instances/b", `{"url":"http://127.0.0.1:1"}`)
	if r.StatusCode != http.StatusBadRequest || !strings.Contains(body, "speaks thrift") {
		t.Errorf("mixed protocols: %d %s", r.StatusCode, body)
	}
}

// TestThriftInstances: the first server that is attached says how all of its service are called, and
// that is kept with each.
func TestThriftInstances(t *testing.T) {
	t.Parallel()
	address := thriftServer(t, echoThrift)
	log := keptLog{store.NewMemory(store.MemoryOptions{Retain: true})}
	open := func() *Hub {
		h, err := newHub(doors(), func(*Hub) (boundLog, error) { return log, nil })
		if err == nil {
			err = h.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open()
	const at = "/v1/services/Echo/instances/"
	server := func(more string) string { return `{"url":"thrift://` + address.String() + `"` + more + `}` }
	for _, tc := range []struct {
		path, body string
		status     int
		about      string
	}{
		{"b", server(`,"thrift":{"protocol":"xml"}`), http.StatusBadRequest, "protocol"},
		{"b", server(`,"thrift":{"protocol":"json","transport":"header"}`), http.StatusBadRequest, "transport"},
		{"b", server(`,"in_flight":100`), http.StatusBadRequest, "in_flight"},
		{"b", server(`,"thrift":{"protocol":"compact","transport":"unframed"}`), http.StatusCreated, ""},
		{"a", server(``), http.StatusCreated, ""},
		{"c", server(`,"thrift":{"protocol":"binary"}`), http.StatusBadRequest, "in the same way"},
		{"c", `{"url":"` + address.String() + `"}`, http.StatusCreated, ""},
		{"c", `{"url":"` + address.String() + `","protocol":"http"}`, http.StatusBadRequest, "speaks thrift"},
	} {
		r, body := ask(t, h, "PUT", at+tc.path, tc.body)
		if r.StatusCode != tc.status || !strings.Contains(body, tc.about) {
			t.Errorf("%s: %d %s", tc.body, r.StatusCode, body)
		}
	}
	for range 2 {
		r, body := ask(t, h, "POST", "/v1/services/Echo/say", binaryCall("say", "x"), binaryType)
		if r.StatusCode != http.StatusOK || !strings.Contains(body, "say: x") {
			t.Errorf("%d %q", r.StatusCode, body)
		}
		if list := show(t, h); strings.Count(list, `"healthy"`) != 3 {
			t.Error(list)
		}
		if err := h.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		h = open()
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// echoOptions are those of a hub that has a contract of the service Echo, under the names of services.
func echoOptions(t *testing.T, services map[string]Service) Options {
	t.Helper()
	file := filepath.Join(t.TempDir(), "echo.thrift")
	if err := os.WriteFile(file, []byte(echoIDL), 0o600); err != nil {
		t.Fatal(err)
	}
	o := doors()
	o.Services = services
	described := map[string]string{}
	for name := range services {
		if name != "Bare" {
			described[name] = "Echo"
		}
	}
	o.Contracts = map[string]Contract{"echo": {File: file, Services: described}}
	return o
}

// TestJSONToThrift: who knows only JSON calls a service of Thrift by its contract, through REST on the
// caller's goroutine and through the queue, as a gather and over AMQP (thrift.md, Services).
func TestJSONToThrift(t *testing.T) {
	t.Parallel()
	address := thriftServer(t, echoThrift)
	members := map[string]Instance{
		"one": {URL: "thrift://" + address.String()}, "two": {URL: "thrift://" + address.String()},
	}
	h := start(t, echoOptions(t, map[string]Service{
		"Echo":    {Members: members},
		"Compact": {Members: members, Thrift: ThriftService{Protocol: "compact", Transport: "ttheader"}},
		"TJSON":   {Members: members, Thrift: ThriftService{Protocol: "json", Transport: "unframed"}},
		"Bare":    {Members: members},
	}))
	long := strings.Repeat("x", 100<<10) // more than a body that does not stream
	for _, tc := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "say", `{"text":"hello"}`, 200, `"say: hello"`},
		{"POST", "say", `{"text":"` + long + `"}`, 200, `"say: ` + long + `"`},
		{"GET", "ping", "", 405, `"code":"method-not-allowed"`},
		{"POST", "ping", "", 204, ""},
		{"POST", "ping", "{}", 204, ""},
		{"POST", "size", `{"text":"12345"}`, 200, "5497558138880"},
		{"POST", "note", `{"text":"x"}`, 202, ""},
		{"POST", "say", `{"text":"Refused"}`, 409, `{"type":"/problems/exception","title":"Exception",` +
			`"status":409,"detail":"the service threw Refused","code":"exception","exception":"Refused",` +
			`"data":{"reason":"too loud"}}`},
		{"POST", "say", `{"text":"Plain"}`, 422, `"exception":"Plain","data":{"reason":"no"}`},
		{"POST", "fail", `{"text":"x"}`, 500, `"Internal error processing fail: x","code":"internal"`},
		{"POST", "gone", `{"text":"x"}`, 501, `"Unknown function gone","code":"no-method"`},
		{"POST", "absent", `{}`, 404, `"code":"no-method"`},
		{"POST", "say", `{"text":1}`, 400, `/text`},
		{"POST", "say", `{"text":"x","more":1}`, 400, `more`},
		{"POST", "say", `{`, 400, `"code":"bad-request"`},
		{"POST", "say/it", `{}`, 404, `"code":"no-method"`},
	} {
		for _, service := range []string{"Echo", "Compact", "TJSON"} {
			r, body := ask(t, h, tc.method, "/v1/services/"+service+"/"+tc.path, tc.body,
				"Content-Type: application/json")
			if r.StatusCode != tc.status || !strings.Contains(body, tc.answer) {
				t.Errorf("%s %s.%s %.40s: %d %.200s", tc.method, service, tc.path, tc.body, r.StatusCode, body)
			}
		}
	}
	r, body := ask(t, h, "POST", "/v1/services/Bare/say", `{"text":"x"}`)
	if r.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(body, "no contract") {
		t.Errorf("without a contract: %d %s", r.StatusCode, body)
	}
	for i, headers := range [][]string{nil, {"Idempotency-Key: one"}} { // with a key it goes by the queue
		headers = append(headers, "Prefer: handling=lenient")
		r, body = ask(t, h, "POST", "/v1/services/Echo/say", `{"text":"x","more":1}`, headers...)
		if r.StatusCode != http.StatusOK || body != `"say: x"` {
			t.Errorf("lenient %d: %d %s", i, r.StatusCode, body)
		}
	}
	r, body = ask(t, h, "POST", "/v1/services/Echo/say", `{"text":"Refused"}`, "Idempotency-Key: two")
	if r.StatusCode != http.StatusConflict || !strings.Contains(body, `"exception":"Refused"`) {
		t.Errorf("an exception by way of the queue: %d %s", r.StatusCode, body)
	}
	_, body = ask(t, h, "POST", "/v1/services/Echo/say/gather",
		`{"body":{"text":"all"},"timeout_ms":5000}`, "Content-Type: application/json")
	if strings.Count(body, "say: all") != 2 || !strings.Contains(body, `"complete":true`) {
		t.Errorf("a gather: %s", body)
	}
	conn, err := parley.Dial(t.Context(), "amqp://guest:guest@"+h.Addr("amqp").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	say := parley.NewOp[struct {
		Text string `json:"text"`
	}, string]("Echo.say")
	got, err := say.Call(t.Context(), conn, struct {
		Text string `json:"text"`
	}{"Ada"})
	if err != nil || got != `"say: Ada"` { // text is its own codec, and the body is JSON
		t.Errorf("over AMQP: %q, %v", got, err)
	}
	if _, err = say.Call(t.Context(), conn, struct {
		Text string `json:"text"`
	}{"Refused"}); err == nil || err.Error() != "exception: the service threw Refused" {
		t.Errorf("an exception over AMQP: %v", err)
	}
}
