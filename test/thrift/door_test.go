// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apache "github.com/apache/thrift/lib/go/thrift"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/parleytest"
)

// clientForms are all forms in which a client of Apache's library can speak: a protocol, and a
// transport around it.
func clientForms() (all [][2]string) {
	for _, protocol := range []string{"binary", "compact", "json", "header", "header compact"} {
		for _, transport := range []string{"buffered", "framed", "zlib", "http"} {
			all = append(all, [2]string{protocol, transport})
		}
	}
	return all
}

// apacheClient is a client of Apache's library as its compiler makes them.
type apacheClient struct {
	t        *testing.T
	protocol apache.TProtocol
}

// dialTheirs connects a client in a form.
func dialTheirs(t *testing.T, address string, form [2]string) *apacheClient {
	t.Helper()
	conf := &apache.TConfiguration{ConnectTimeout: patience, SocketTimeout: patience}
	var transport apache.TTransport = apache.NewTSocketConf(address, conf)
	var err error
	switch form[1] {
	case "buffered":
		transport = apache.NewTBufferedTransport(transport, 4<<10)
	case "framed":
		transport = apache.NewTFramedTransportConf(transport, conf)
	case "zlib":
		transport, err = apache.NewTZlibTransport(transport, 6)
	case "http":
		transport, err = apache.NewTHttpClient("http://" + address + "/")
	}
	if err != nil {
		t.Fatal(err)
	}
	var protocol apache.TProtocol
	switch form[0] {
	case "binary":
		protocol = apache.NewTBinaryProtocolConf(transport, conf)
	case "compact":
		protocol = apache.NewTCompactProtocolConf(transport, conf)
	case "json":
		protocol = apache.NewTJSONProtocol(transport)
	default:
		id := apache.THeaderProtocolBinary
		if form[0] == "header compact" {
			id = apache.THeaderProtocolCompact
		}
		conf.THeaderProtocolID = &id
		protocol = apache.NewTHeaderProtocolConf(transport, conf)
	}
	if err := protocol.Transport().Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = protocol.Transport().Close() })
	return &apacheClient{t: t, protocol: protocol}
}

// record is a struct of anything, as arguments and results are.
type record struct{ value }

// Write implements apache.TStruct.
func (r *record) Write(ctx context.Context, p apache.TProtocol) error {
	return writeTheirs(ctx, p, r.value)
}

// Read implements apache.TStruct.
func (r *record) Read(ctx context.Context, p apache.TProtocol) (err error) {
	r.value, err = anything(ctx, p, apache.STRUCT)
	return err
}

// text is a struct with one string.
func text(s string) *record {
	return &record{value{
		kind: apache.STRUCT, ids: []int16{1}, kids: []value{{kind: apache.STRING, s: s}},
	}}
}

// call calls a method of a service.
func (c *apacheClient) call(service, method, arg string) (value, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	out := c.protocol
	if service != "" {
		out = apache.NewTMultiplexedProtocol(c.protocol, service)
	}
	client := apache.NewTStandardClient(c.protocol, out)
	var result record
	_, err := client.Call(ctx, method, text(arg), &result)
	return result.value, err
}

// send calls a method without an answer, as the compiler's clients do.
func (c *apacheClient) send(service, method, arg string) {
	c.t.Helper()
	out := apache.NewTMultiplexedProtocol(c.protocol, service)
	_, err := apache.NewTStandardClient(c.protocol, out).Call(c.t.Context(), method, text(arg), nil)
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

// consume attaches a consumer with amqp091-go whose answers are f's; nil is none.
func consume(t *testing.T, h *parleytest.Running, queue string, f func(d *amqp.Delivery) *amqp.Publishing) {
	t.Helper()
	conn, err := amqp.Dial(h.AMQP())
	if err != nil {
		t.Fatal(err)
	}
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = channel.QueueDeclare(queue, false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	deliveries, err := channel.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for d := range deliveries {
			answer := f(&d)
			if answer == nil || d.ReplyTo == "" {
				continue
			}
			answer.CorrelationId = d.CorrelationId
			if err := channel.Publish("", d.ReplyTo, false, false, *answer); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// process answers a whole message by Apache's own processor, which reads it out of a buffer.
func process(t *testing.T, s *service) func(d *amqp.Delivery) *amqp.Publishing {
	t.Helper()
	return func(d *amqp.Delivery) *amqp.Publishing {
		name := strings.TrimPrefix(d.ContentType, "application/vnd.apache.thrift.")
		in := &apache.TMemoryBuffer{Buffer: bytes.NewBuffer(d.Body)}
		out := apache.NewTMemoryBuffer()
		factory := theirProtocol(name)
		if _, err := s.Process(t.Context(), factory.GetProtocol(in), factory.GetProtocol(out)); err != nil {
			t.Errorf("%s of %s: %v", d.Type, d.ContentType, err)
		}
		return &amqp.Publishing{ContentType: d.ContentType, Body: out.Bytes()}
	}
}

// answerJSON is the service in JSON.
func answerJSON(t *testing.T, noted chan<- string) func(d *amqp.Delivery) *amqp.Publishing {
	t.Helper()
	return func(d *amqp.Delivery) *amqp.Publishing {
		var in struct{ Text, Name string }
		if err := json.Unmarshal(d.Body, &in); err != nil || d.ContentType != "application/json" {
			t.Errorf("%s: %q of %q, %v", d.Type, d.Body, d.ContentType, err)
		}
		switch d.Type {
		case "echo":
			body, err := json.Marshal(in.Text)
			if err != nil {
				t.Error(err)
			}
			return &amqp.Publishing{ContentType: "application/json", Body: body}
		case "ping":
			return &amqp.Publishing{}
		case "throw":
			body, err := json.Marshal(map[string]any{
				"title": "refused", "status": 418, "code": "exception", "exception": "Refused",
				"data": map[string]string{"reason": in.Text},
			})
			if err != nil {
				t.Error(err)
			}
			return &amqp.Publishing{
				ContentType: "application/problem+json", Body: body,
				Headers: amqp.Table{"parley-error": "exception"},
			}
		case "note":
			noted <- in.Text
			return nil
		default:
			return &amqp.Publishing{Headers: amqp.Table{
				"parley-error": "internal", "parley-error-message": "Internal error processing " + d.Type,
			}}
		}
	}
}

// doorHub runs a hub with a service of each kind: Raw is an AMQP consumer that runs Apache's processor,
// Service one that speaks JSON and has a contract, Theirs a server of Apache that the hub calls.
func doorHub(t *testing.T) (h *parleytest.Running, noted map[string]chan string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "service.thrift")
	if err := os.WriteFile(file, []byte(idl), 0o600); err != nil {
		t.Fatal(err)
	}
	const many = 256
	noted = map[string]chan string{"Service": make(chan string, many), "Theirs": make(chan string, many)}
	theirs := serveTheirs(t, "compact", "header", &service{noted: noted["Theirs"]})
	h = parleytest.Hub(t, func(o *hub.Options) {
		o.Doors.Thrift.Service = "Raw"
		o.Contracts = map[string]hub.Contract{
			"service": {File: file, Services: map[string]string{"Service": "Service", "Theirs": "Service"}},
		}
		o.Services = map[string]hub.Service{"Theirs": {
			Members: map[string]hub.Instance{"one": {URL: "thrift://" + theirs}},
			Thrift:  hub.ThriftService{Protocol: "compact", Transport: "header"},
			Pool:    hub.Pool{Breaker: endpoint.Breaker{Percent: -1}}, // its failures are meant
		}}
	})
	consume(t, h, "Raw", process(t, &service{noted: make(chan string, many)}))
	consume(t, h, "Service", answerJSON(t, noted["Service"]))
	return h, noted
}

// TestTheirClients: clients of Apache's library in every form reach services of every kind, with the same
// answers, declared exceptions and TApplicationExceptions, two and more calls on a connection.
func TestTheirClients(t *testing.T) {
	t.Parallel()
	h, noted := doorHub(t)
	for _, form := range clientForms() {
		t.Run(form[0]+" "+form[1], func(t *testing.T) {
			t.Parallel()
			c := dialTheirs(t, h.Addr("thrift"), form)
			for _, service := range []string{"", "Service", "Theirs"} {
				clientWorks(t, c, service)
				if noted[service] == nil {
					continue // the hub would not know that it is not to wait
				}
				word := form[0] + " " + form[1]
				c.send(service, "note", word)
				clientWorks(t, c, service)
			}
		})
	}
	t.Cleanup(func() {
		for service, list := range noted {
			for range clientForms() {
				select {
				case <-list:
				case <-time.After(patience):
					t.Errorf("%s did not get all that was sent", service)
					return
				}
			}
		}
	})
}

// clientWorks makes calls of every kind.
func clientWorks(t *testing.T, c *apacheClient, service string) {
	t.Helper()
	long := "ä \"quoted\" € 😀 " + strings.Repeat("long ", 5000)
	for _, arg := range []string{"", long} {
		got, err := c.call(service, "echo", arg)
		if err != nil || len(got.kids) != 1 || got.ids[0] != 0 || got.kids[0].s != arg {
			t.Fatalf("%q echo: %.100v, %v", service, got, err)
		}
	}
	if got, err := c.call(service, "ping", ""); err != nil || len(got.kids) != 0 {
		t.Fatalf("%q ping: %v, %v", service, got, err)
	}
	got, err := c.call(service, "throw", "not today")
	if err != nil || len(got.kids) != 1 || got.ids[0] != 1 || got.kids[0].kids[0].s != "not today" {
		t.Fatalf("%q throw: %v, %v", service, got, err)
	}
	for method, want := range map[string]struct {
		kind int32
		text string
	}{
		"fail":    {apache.INTERNAL_ERROR, "Internal error processing fail"},
		"unknown": {apache.UNKNOWN_METHOD, "Unknown function unknown"},
	} {
		_, err := c.call(service, method, "x")
		var e apache.TApplicationException
		if !errors.As(err, &e) || e.TypeId() != want.kind || !strings.Contains(e.Error(), want.text) {
			t.Fatalf("%q %s: %v", service, method, err)
		}
	}
	_, err = c.call("Nobody", "echo", "x")
	var e apache.TApplicationException
	if !errors.As(err, &e) || e.TypeId() != apache.UNKNOWN_METHOD {
		t.Fatalf("nobody: %v", err)
	}
}

// TestTheirHeaders: the headers of a client go to the server, and the server's come back.
func TestTheirHeaders(t *testing.T) {
	t.Parallel()
	h, _ := doorHub(t)
	c := dialTheirs(t, h.Addr("thrift"), [2]string{"header", "buffered"})
	p, ok := c.protocol.(*apache.THeaderProtocol)
	if !ok {
		t.Fatal("no headers")
	}
	p.SetWriteHeader("Some-Key", "some value")
	got, err := c.call("Theirs", "headers", "Some-Key")
	if err != nil || got.kids[0].s != "some value" {
		t.Errorf("the server got %v, %v", got, err)
	}
	if back := p.GetReadHeaders()["Answered-By"]; back != "Apache" {
		t.Errorf("the client got %v", p.GetReadHeaders())
	}
}
