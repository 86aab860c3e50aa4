// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	apache "github.com/apache/thrift/lib/go/thrift"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/endpoint"
	thriftendpoint "github.com/parley-ipc/parley/internal/endpoint/thrift"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// upstreams are all forms in which a server of Apache or Kitex can be called.
func upstreams() (all []thriftendpoint.Options) {
	for _, protocol := range []string{"binary", "compact", "json"} {
		for _, transport := range []string{"framed", "unframed", "header", "ttheader", "zlib", "http"} {
			o := thriftendpoint.Options{Protocol: protocol, Transport: transport}
			if o.Protocol+o.Transport == "compactttheader" {
				continue // Kitex's codec reads no protocol but binary
			}
			if o.Validate() == nil {
				all = append(all, o)
			}
		}
	}
	return all
}

const idl = `
exception Refused { 1: string reason } (parley.status = "418")
service Service {
  string echo(1: string text)
  string headers(1: string name)
  void ping()
  string throw(1: string text) throws (1: Refused refused)
  string fail(1: string text)
  oneway void note(1: string text)
  string absent(1: string text)
}
`

// contracts describe the service "Service".
func contracts(t *testing.T) *contract.Registry {
	t.Helper()
	p, err := contract.Load(fstest.MapFS{"s.thrift": {Data: []byte(idl)}}, "s.thrift", contract.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := contract.New("s", p, contract.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	r := new(contract.Registry)
	err = r.Put(&contract.Entry{
		VHost: "/", Contract: c, Services: map[string]string{"Service": "Service"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// caller calls one server.
type caller struct {
	t      *testing.T
	kind   *thriftendpoint.Kind
	target endpoint.Target
}

func newCaller(t *testing.T, address string, o thriftendpoint.Options) *caller {
	t.Helper()
	k, err := thriftendpoint.New(thriftendpoint.Service{VHost: "/", Name: "Service"}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return &caller{t: t, kind: k, target: endpoint.Target{
		Member: "m", URL: "thrift://" + address, Address: address,
	}}
}

// try makes a call of a body.
func (c *caller) try(method, contentType string, body []byte, headers broker.Table) (
	*broker.Reply, endpoint.Outcome,
) {
	c.t.Helper()
	m := &broker.Message{Body: body}
	m.Type, m.ContentType = []byte(method), []byte(contentType)
	if headers != nil {
		p := broker.Properties{Set: broker.HasHeaders, Headers: headers}
		raw, err := broker.HubFormat{}.Append(nil, &p)
		if err != nil {
			c.t.Fatal(err)
		}
		m.Format, m.Props = broker.HubFormat{}, raw
	}
	until := time.Now().Add(patience)
	call, err := c.kind.Prepare(&broker.EndpointCall{Message: m, Deadline: until, Answers: true})
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return call.Try(c.t.Context(), endpoint.Attempt{
		Target: c.target, Number: 1, Deadline: until, Until: until,
	})
}

// json calls with arguments of JSON and returns the status and body of the answer.
func (c *caller) json(method, body string, headers ...broker.Field) (status int64, text string) {
	c.t.Helper()
	r, o := c.try(method, "application/json", []byte(body), headers)
	if r == nil {
		c.t.Fatalf("%s: %v, %v", method, o.Class, o.Err)
	}
	p, err := r.Message.Properties()
	if err != nil {
		c.t.Fatal(err)
	}
	status, ok := p.Headers.Integer("http-status")
	if !ok {
		status = 200
	}
	if by, ok := p.Headers.Text("Answered-By"); ok && by != "Apache" {
		c.t.Errorf("a header of the answer: %q", by)
	}
	return status, string(r.Message.Body)
}

// TestTheirServers: servers of Apache's library, and of Kitex's codec, are called in every protocol
// and transport, by askers of every protocol and of JSON.
func TestTheirServers(t *testing.T) {
	t.Parallel()
	described := contracts(t)
	for _, o := range upstreams() {
		t.Run(o.Protocol+" "+o.Transport, func(t *testing.T) {
			t.Parallel()
			s := &service{noted: make(chan string, 1)}
			o.Contracts = described
			c := newCaller(t, serveTheirs(t, o.Protocol, o.Transport, s), o)
			for _, text := range []string{"", "hello", strings.Repeat("lång ", 20_000)} {
				quoted := strconv.Quote(text)
				if status, got := c.json("echo", `{"text":`+quoted+`}`); status != 200 || got != quoted {
					t.Errorf("echo: %d %.60s", status, got)
				}
			}
			for _, tc := range []struct {
				method, body string
				status       int64
				want         string
			}{
				{"ping", "", 204, ""},
				{"throw", `{"text":"why"}`, 418, `"exception":"Refused","data":{"reason":"why"}`},
				{"fail", `{"text":"x"}`, 500, "Internal error processing fail: x"},
				{"absent", `{"text":"x"}`, 501, "Unknown function absent"},
				{"note", `{"text":"noted"}`, 202, ""},
				{"echo", `{"text":"after"}`, 200, `"after"`},
			} {
				status, got := c.json(tc.method, tc.body)
				if status != tc.status || !strings.Contains(got, tc.want) {
					t.Errorf("%s: %d %s", tc.method, status, got)
				}
			}
			select {
			case got := <-s.noted:
				if got != "noted" {
					t.Errorf("noted %q", got)
				}
			case <-time.After(patience):
				t.Error("nothing was noted")
			}
			for _, asker := range forms() {
				c.asThrift(asker)
			}
			if err := c.kind.Check(t.Context(), c.target, endpoint.Health{Method: "ping"}); err != nil {
				t.Errorf("check: %v", err)
			}
			if c.kind.Check(t.Context(), c.target, endpoint.Health{Method: "missing"}) == nil {
				t.Error("a check takes an exception for well")
			}
		})
	}
}

// asThrift calls with a message of Thrift.
func (c *caller) asThrift(f form) {
	c.t.Helper()
	var w wire.Writer
	w.Reset(f.protocol, nil)
	w.MessageBegin(wire.Head{Name: []byte("echo"), Type: wire.Call, Seq: 99, Lax: f.lax})
	text := func(id int16) {
		w.StructBegin()
		w.Field(wire.String, id)
		w.Text([]byte("by Thrift"))
		w.StructEnd()
		w.MessageEnd()
	}
	text(1)
	r, o := c.try("echo", "application/vnd.apache.thrift."+f.protocol.String(), w.Bytes(), nil)
	if r == nil {
		c.t.Fatalf("%s: %v, %v", f.name, o.Class, o.Err)
	}
	w.Reset(f.protocol, nil)
	w.MessageBegin(wire.Head{Name: []byte("echo"), Type: wire.Reply, Seq: 99, Lax: f.lax})
	text(0)
	if !bytes.Equal(r.Message.Body, w.Bytes()) {
		c.t.Errorf("%s: %q", f.name, r.Message.Body)
	}
}

// TestHeadersGoOn: what is left of the time, the trace and plain headers go to servers that have room
// for them (thrift.md, Door).
func TestHeadersGoOn(t *testing.T) {
	t.Parallel()
	described := contracts(t)
	for transport, key := range map[string]string{"header": "client_timeout", "ttheader": "12"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := &service{}
			o := thriftendpoint.Options{Transport: transport, Contracts: described}
			c := newCaller(t, serveTheirs(t, "binary", transport, s), o)
			ask := func(name string, headers ...broker.Field) string {
				t.Helper()
				status, got := c.json("headers", fmt.Sprintf(`{"name":%q}`, name), headers...)
				if status != 200 {
					t.Fatalf("%d %s", status, got)
				}
				return strings.Trim(got, `"`)
			}
			left, err := strconv.Atoi(ask(key))
			if most := int(patience.Milliseconds()); err != nil || left > most || left < most/2 {
				t.Errorf("time left %d, %v", left, err)
			}
			for _, name := range []string{"traceparent", "tracestate", "X-Own"} {
				if got := ask(name, broker.Field{Name: name, Value: "some value"}); got != "some value" {
					t.Errorf("%s: %q", name, got)
				}
			}
			for _, name := range []string{"content-type", "http-path", "crrst"} {
				if got := ask(name, broker.Field{Name: name, Value: "some value"}); got != "" {
					t.Errorf("%s goes on: %q", name, got)
				}
			}
		})
	}
}

// TestTheirServerStops: a server of Apache's Go library waits for its clients when it stops, for ever by
// default; it need not wait for the hub, once it drains (thrift.md, Services).
func TestTheirServerStops(t *testing.T) {
	t.Parallel()
	socket, err := apache.NewTServerSocket("127.0.0.1:0")
	if err == nil {
		err = socket.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	server := apache.NewTSimpleServer4(&service{}, socket,
		apache.NewTFramedTransportFactoryConf(apache.NewTTransportFactory(), nil), theirProtocol("binary"))
	done := make(chan error, 1)
	go func() { done <- server.Serve() }()
	kind, err := thriftendpoint.New(thriftendpoint.Service{VHost: "/", Name: "Service"},
		thriftendpoint.Options{Contracts: contracts(t)})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := endpoint.New(endpoint.Options{Service: "Service"}, kind)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pool.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if _, err := pool.Put(endpoint.Instance{
		ID: "one", URL: "thrift://" + socket.Addr().String(),
	}); err != nil {
		t.Fatal(err)
	}
	operation := []byte("echo")
	m := &broker.Message{Body: []byte(`{"text":"x"}`)}
	m.Type, m.ContentType = operation, []byte("application/json")
	if !pool.Take(operation) {
		t.Fatal("no credit")
	}
	r, err := pool.Call(t.Context(), &broker.EndpointCall{Message: m, Answers: true})
	if err != nil || string(r.Message.Body) != `"x"` {
		t.Fatalf("%+v, %v", r, err)
	}
	if !pool.Drain("one", true) {
		t.Fatal("no such instance")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop() }()
	select {
	case err := <-stopped:
		if err = errors.Join(err, <-done); err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the server waits for the hub")
	}
}
