// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
)

// events is a hub, and the CloudEvents SDK as its client over HTTP.
type events struct {
	*hub.Hub

	at   string // of the REST door
	amqp *amqp.Channel
}

func startEvents(t *testing.T) *events {
	t.Helper()
	h := &events{Hub: start(t, func(o *hub.Options) {
		o.Doors.REST.Listen, o.Doors.AMQP.Listen, o.Doors.STOMP.Listen = free, free, free
		o.Webhooks.Networks = []string{"127.0.0.1"}
	})}
	h.at = "http://" + h.Addr("rest").String() + "/v1"
	conn, err := amqp.Dial("amqp://guest:guest@" + h.Addr("amqp").String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if h.amqp, err = conn.Channel(); err != nil {
		t.Fatal(err)
	}
	return h
}

// queue declares a queue of its own for each part of a test.
func (h *events) queue(t *testing.T, name string) string {
	t.Helper()
	if _, err := h.amqp.QueueDeclare(name, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	return name
}

// ask sends a request that has to be answered with a status.
func (h *events) ask(
	t *testing.T, status int, method, path, body string, header ...string,
) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.at+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.send(t, status, r)
}

// send sends a request and returns its answer, read to its end.
func (h *events) send(t *testing.T, status int, r *http.Request) answer {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%s %s: %s %s, %v", r.Method, r.URL, res.Status, body, err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: body}
}

// leased takes an event out of a queue, in the mode that accept asks for, as the SDK reads it.
func (h *events) leased(t *testing.T, queue, accept string) *event.Event {
	t.Helper()
	res := h.ask(t, http.StatusOK, http.MethodPost, "/queues/"+queue+"/leases", `{"wait_ms":10000}`,
		"Accept", accept)
	e, err := cehttp.NewEventFromHTTPResponse(&http.Response{
		Header: res.header, Body: io.NopCloser(bytes.NewReader(res.body)),
	})
	if err != nil {
		t.Fatalf("%v: %v", res.header, err)
	}
	h.ask(t, http.StatusNoContent, http.MethodDelete, "/leases/"+res.header.Get("Parley-Lease"), "")
	return e
}

// ordered is an event with an attribute of each kind.
func ordered(t *testing.T, id string) event.Event {
	t.Helper()
	e := event.New()
	e.SetID(id)
	e.SetType("order.placed")
	e.SetSource("/shop/1")
	e.SetSubject("summer-sale") // this SDK neither encodes attributes in HTTP's headers nor decodes them
	e.SetTime(time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC))
	e.SetDataSchema("https://shop.example/order.json")
	e.SetExtension("sequence", 7)
	e.SetExtension("urgent", true)
	if err := e.SetData("application/json", map[string]any{"count": 3, "text": "å"}); err != nil {
		t.Fatal(err)
	}
	return e
}

// mustBe compares events; over HTTP's headers every attribute is text.
func mustBe(t *testing.T, got *event.Event, want event.Event) {
	t.Helper()
	text := func(e *event.Event) string {
		return fmt.Sprintf("%s\n%v\n%v\n%s", e.Context, e.Extensions()["sequence"],
			e.Extensions()["urgent"], e.Data())
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if text(got) != text(&want) {
		t.Errorf("got\n%s\nwant\n%s", text(got), text(&want))
	}
}

const (
	binaryMode     = "application/octet-stream"
	structuredMode = event.ApplicationCloudEventsJSON
)

// TestCloudEventsSDK: the Go SDK's events in each mode in, and in each mode out of leases (rest.md, CloudEvents).
func TestCloudEventsSDK(t *testing.T) {
	t.Parallel()
	h := startEvents(t)
	q := h.queue(t, "events")
	p, err := cehttp.New(cehttp.WithTarget(h.at + "/queues/" + q + "/messages"))
	if err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{binaryMode, structuredMode} {
		for mode, ctx := range map[string]context.Context{
			"binary":     binding.WithForceBinary(t.Context()),
			"structured": binding.WithForceStructured(t.Context()),
		} {
			err := p.Send(ctx, binding.ToMessage(new(ordered(t, "1"))))
			var result *cehttp.Result // results are errors, of a kind
			if !errors.As(err, &result) || result.StatusCode != http.StatusCreated {
				t.Fatalf("%s: %v", mode, err)
			}
			mustBe(t, h.leased(t, q, accept), ordered(t, "1"))
		}
	}
	r, err := cehttp.NewHTTPRequestFromEvents(t.Context(), h.at+"/queues/"+q+"/messages",
		[]event.Event{ordered(t, "1"), ordered(t, "2")})
	if err != nil {
		t.Fatal(err)
	}
	h.send(t, http.StatusOK, r)
	mustBe(t, h.leased(t, q, binaryMode), ordered(t, "1"))
	mustBe(t, h.leased(t, q, structuredMode), ordered(t, "2"))
	// What the SDK does not see as an event is none for the hub, or is refused.
	h.ask(t, http.StatusBadRequest, http.MethodPost, "/queues/"+q+"/messages",
		`{"specversion":"1.0","id":"1"}`, "Content-Type", structuredMode)
	h.ask(t, http.StatusBadRequest, http.MethodPost, "/queues/"+q+"/messages", "x",
		"Ce-Specversion", "0.3", "Ce-Id", "1", "Ce-Type", "t", "Ce-Source", "s")
}

// TestCloudEventsPosted: subscriptions post to a receiver of the SDK, which consents by itself, in each
// mode.
func TestCloudEventsPosted(t *testing.T) {
	t.Parallel()
	h := startEvents(t)
	consents, err := cehttp.New(
		cehttp.WithDefaultOptionsHandlerFunc([]string{http.MethodPost}, 100, []string{"*"}, false))
	if err != nil {
		t.Fatal(err)
	}
	type posted struct {
		mode   string
		events []event.Event
		err    error
	}
	came := make(chan posted, 8)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			consents.OptionsHandler(w, r)
			return
		}
		out := posted{mode: cehttp.NewMessageFromHttpRequest(r).ReadEncoding().String()}
		if cehttp.IsHTTPBatch(r.Header) {
			out.events, out.err = cehttp.NewEventsFromHTTPRequest(r)
		} else if e, err := cehttp.NewEventFromHTTPRequest(r); err == nil {
			out.events = []event.Event{*e}
		} else {
			out.err = err
		}
		came <- out
		w.WriteHeader(http.StatusNoContent)
	}))
	defer target.Close()
	for format, mode := range map[string]binding.Encoding{
		"binary": binding.EncodingBinary, "structured": binding.EncodingStructured,
		"batch": binding.EncodingBatch,
	} {
		q := h.queue(t, format)
		h.ask(t, http.StatusCreated, http.MethodPut, "/subscriptions/"+format, fmt.Sprintf(
			`{"source":{"queue":%q},"push":{"url":%q,"format":%q}}`, q, target.URL, format),
			"Content-Type", "application/json")
		r, err := cehttp.NewHTTPRequestFromEvent(t.Context(), h.at+"/queues/"+q+"/messages",
			ordered(t, format))
		if err != nil {
			t.Fatal(err)
		}
		h.send(t, http.StatusCreated, r)
		select {
		case got := <-came:
			if got.err != nil || got.mode != mode.String() || len(got.events) != 1 {
				t.Fatalf("%s: %+v", format, got)
			}
			mustBe(t, &got.events[0], ordered(t, format))
		case <-time.After(wait):
			t.Fatalf("%s: nothing was posted", format)
		}
	}
}

// TestCloudEventsCross: events go to clients of AMQP and STOMP, with the attributes' names of each, and
// come from them, in either spelling of AMQP's binding.
func TestCloudEventsCross(t *testing.T) {
	t.Parallel()
	h := startEvents(t)
	want := ordered(t, "1")
	attributes := map[string]string{
		"specversion": "1.0", "id": "1", "type": "order.placed", "source": "/shop/1",
		"subject": want.Subject(), "time": "2026-11-30T10:00:00Z",
		"dataschema": "https://shop.example/order.json", "sequence": "7", "urgent": "true",
	}
	sdk := func(queue string) {
		t.Helper()
		r, err := cehttp.NewHTTPRequestFromEvent(t.Context(), h.at+"/queues/"+queue+"/messages", want)
		if err != nil {
			t.Fatal(err)
		}
		h.send(t, http.StatusCreated, r)
	}
	t.Run("to AMQP", func(t *testing.T) {
		q := h.queue(t, "to-amqp")
		sdk(q)
		got, ok, err := h.amqp.Get(q, true)
		if err != nil || !ok || got.ContentType != "application/json" || got.MessageId != "1" ||
			string(got.Body) != string(want.Data()) {
			t.Fatalf("%+v, %t, %v", got, ok, err)
		}
		for name, value := range attributes {
			if text := fmt.Sprint(got.Headers["cloudEvents_"+name]); text != value {
				t.Errorf("%s: %q, want %q", name, text, value)
			}
		}
	})
	for _, prefix := range []string{"cloudEvents:", "cloudEvents_"} {
		t.Run("from AMQP "+prefix, func(t *testing.T) {
			q := h.queue(t, "from-amqp"+prefix[len(prefix)-1:])
			m := amqp.Publishing{
				ContentType: "application/json", Body: want.Data(), Headers: amqp.Table{},
			}
			for name, value := range attributes {
				m.Headers[prefix+name] = value
			}
			m.Headers[prefix+"time"], m.Headers[prefix+"sequence"] = want.Time(), int32(7)
			m.Headers[prefix+"urgent"] = true
			for _, accept := range []string{binaryMode, structuredMode} {
				if err := h.amqp.PublishWithContext(t.Context(), "", q, false, false, m); err != nil {
					t.Fatal(err)
				}
				mustBe(t, h.leased(t, q, accept), want)
			}
		})
	}
	t.Run("STOMP", func(t *testing.T) {
		conn, err := net.Dial("tcp", h.Addr("stomp").String())
		if err != nil {
			t.Fatal(err)
		}
		client, err := stomp.Connect(conn, stomp.ConnOpt.Login("guest", "guest"),
			stomp.ConnOpt.HeartBeat(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Disconnect() }()
		q := h.queue(t, "to-stomp")
		sub, err := client.Subscribe("/amq/queue/"+q, stomp.AckAuto)
		if err != nil {
			t.Fatal(err)
		}
		sdk(q)
		var m *stomp.Message
		select {
		case m = <-sub.C:
		case <-time.After(wait):
			t.Fatal("no MESSAGE")
		}
		if m.Err != nil || m.ContentType != "application/json" || string(m.Body) != string(want.Data()) {
			t.Fatalf("%+v", m)
		}
		options := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
		for name, value := range attributes {
			if got := m.Header.Get("ce-" + name); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
			options = append(options, stomp.SendOpt.Header("ce-"+name, value))
		}
		q = h.queue(t, "from-stomp")
		for range 2 {
			if err := client.Send("/amq/queue/"+q, "application/json", want.Data(), options...); err != nil {
				t.Fatal(err)
			}
		}
		mustBe(t, h.leased(t, q, binaryMode), want)
		got, _, err := h.amqp.Get(q, true)
		if err != nil || got.Headers["cloudEvents_subject"] != want.Subject() {
			t.Errorf("%+v, %v", got.Headers, err)
		}
	})
}
