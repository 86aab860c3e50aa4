// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

// ceHeaders are the headers of an event in binary mode.
func ceHeaders(more ...string) []string {
	return append([]string{
		"ce-specversion: 1.0", "ce-id: e1", "ce-source: /shop", "ce-type: order.placed",
	}, more...)
}

// attributes returns the attributes of a message, and its body.
func attributes(m seen) map[string]any {
	out := map[string]any{"": m.body}
	for _, f := range m.properties.Headers {
		if name, ok := strings.CutPrefix(f.Name, "cloudEvents_"); ok {
			out[name] = f.Value
		}
	}
	return out
}

// rest.md, CloudEvents: the three modes, on every send route, come out as one and the same message.
func TestCloudEventModes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.do("POST", "/v1/bindings",
		`{"source":"amq.topic","destination_queue":"q","binding_key":"t"}`).want(204)
	p := h.peer("other")
	p.consume("q")
	const one = `{"specversion":"1.0","id":"e1","source":"/shop","type":"order.placed",` +
		`"subject":"å","count":3,"fresh":true,"none":null,"datacontenttype":"text/plain","data":"hi"}`
	binary := ceHeaders("Content-Type: text/plain", "ce-subject: %c3%a5", "ce-count: 3", "ce-fresh: true")
	for _, path := range []string{
		"/v1/queues/q/messages", "/v1/topics/t/messages", "/v1/exchanges/amq.default/messages?key=q",
	} {
		for _, tc := range []struct {
			body    string
			headers []string
			typed   bool // as JSON has it
		}{
			{"hi", binary, false},
			{one, []string{"Content-Type: Application/CloudEvents+JSON; charset=utf-8"}, true},
		} {
			r := h.do("POST", path, tc.body, tc.headers...).want(201)
			if at := r.header.Get("Location"); !strings.HasSuffix(at, "/messages/e1") {
				t.Errorf("location %q", at)
			}
			got := p.next()
			want := map[string]any{
				"": "hi", "specversion": "1.0", "id": "e1", "source": "/shop", "type": "order.placed",
				"subject": "å", "count": "3", "fresh": "true",
			}
			if tc.typed {
				want["count"], want["fresh"] = int64(3), true
			}
			if diff := cmp.Diff(want, attributes(got)); diff != "" {
				t.Errorf("%s %v: %s", path, tc.headers, diff)
			}
			if got.properties.ContentType != "text/plain" || got.properties.MessageID != "e1" {
				t.Errorf("properties %+v", got.properties)
			}
		}
		results := struct{ Results []lineResult }{}
		h.do("POST", path, "["+one+`,{"id":"x"},`+strings.ReplaceAll(one, "e1", "e2")+"]",
			"Content-Type: application/cloudevents-batch+json").want(200).json(&results)
		want := []lineResult{
			{Status: 201, Routed: 1, MessageID: "e1"},
			{Status: 400, Code: "bad-request", Detail: "the event has no source"},
			{Status: 201, Routed: 1, MessageID: "e2"},
		}
		if diff := cmp.Diff(want, results.Results); diff != "" {
			t.Error(diff)
		}
		if a, b := p.next(), p.next(); a.properties.MessageID != "e1" || b.body != "hi" {
			t.Errorf("%+v, %+v", a, b)
		}
	}
	h.do("POST", "/v1/queues/q/messages", "[]", "Content-Type: application/cloudevents-batch+json").
		want(200)
	// An event format that the hub does not know passes as it is.
	h.do("POST", "/v1/queues/q/messages", "\x01", "Content-Type: application/cloudevents+avro").want(201)
	if got := p.next(); got.body != "\x01" || got.properties.ContentType != "application/cloudevents+avro" {
		t.Errorf("%+v", got)
	}
	// Without one of the four attributes it is no event.
	h.do("POST", "/v1/queues/q/messages", "x", "ce-id: 1", "ce-type: t", "ce-source: s").want(201)
	if got := p.next(); len(attributes(got)) != 1 {
		t.Errorf("%+v", got)
	}
}

// CloudEvents, HTTP binding §3.1.3.2: how attributes stand in headers, both ways.
func TestCloudEventAttributes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Euro%20%E2%82%AC": "Euro €", "%e2%82%ac": "€", "%41": "A", "%2541": "%41", `"a \"b\" c"`: `a "b" c`,
		`"%20"`: " ", "plain": "plain", `"`: `"`,
	} {
		if got, err := attributeIn(in); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"%C0%A0", "%", "%4", "%zz", "\xff"} {
		if got, err := attributeIn(in); err == nil {
			t.Errorf("%q is %q", in, got)
		}
	}
	for in, want := range map[string]string{
		"Euro € 😀": "Euro%20%E2%82%AC%20%F0%9F%98%80", `a"b%`: "a%22b%25", "~!\x7f\n": "~!%7F%0A",
	} {
		if got := attributeOut(in); got != want {
			t.Errorf("%q is written as %q, want %q", in, got, want)
		}
		if back, err := attributeIn(attributeOut(in)); err != nil || back != in {
			t.Errorf("%q came back as %q, %v", in, back, err)
		}
	}
}

// CloudEvents §3, JSON event format §2: what is no event.
func TestCloudEventRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	const path, start = "/v1/queues/q/messages", `{"specversion":"1.0","id":"1","source":"s","type":"t"`
	for _, body := range []string{
		"", "[]", "null", start, start + `,"id":"2"}`, `{"specversion":"0.3","id":"1","source":"s","type":"t"}`,
		`{"specversion":"1.0","id":"","source":"s","type":"t"}`, start + `,"Upper":"x"}`, start + `,"a_b":"x"}`,
		start + `,"x":1.5}`, start + `,"x":{}}`, start + `,"x":4294967296}`, start + `,"datacontenttype":1}`,
		start + `,"data":1,"data_base64":"AA=="}`, start + `,"data_base64":"?"}`, start + `,"data_base64":1}`,
		start + `,"x":"` + "\xff" + `"}`,
	} {
		h.do("POST", path, body, "Content-Type: application/cloudevents+json").problem(400, "bad-request")
	}
	for _, headers := range [][]string{
		ceHeaders("ce-datacontenttype: text/plain"), ceHeaders("ce-subject: %C0%A0"),
		ceHeaders("ce-subject: a", "ce-subject: b"), ceHeaders("ce-subject: a%0Ab"), ceHeaders("ce-a_b: x"),
		{"ce-specversion: 2.0", "ce-id: 1", "ce-source: s", "ce-type: t"},
	} {
		h.do("POST", path, "x", headers...).problem(400, "bad-request")
	}
	for _, body := range []string{"", "{}", "null", "[1]x"} {
		h.do("POST", path, body, "Content-Type: application/cloudevents-batch+json").
			problem(400, "bad-request")
	}
	h.do("POST", path, "["+strings.Repeat(`{},`, batchEntriesMax)+"{}]",
		"Content-Type: application/cloudevents-batch+json").problem(400, "bad-request")
}

// JSON event format §3.1: which data becomes which body.
func TestCloudEventData(t *testing.T) {
	t.Parallel()
	const start = `{"specversion":"1.0","id":"1","source":"s","type":"t"`
	for members, want := range map[string]cloudEvent{
		``:                      {},
		`,"data":{"a":1}`:       {contentType: "application/json", data: []byte(`{"a":1}`)},
		`,"data":"x"`:           {contentType: "application/json", data: []byte(`"x"`)},
		`,"data":null`:          {},
		`,"data_base64":"/w=="`: {data: []byte("\xff")},
		`,"datacontenttype":"application/vnd.a+json","data":"x"`: {
			contentType: "application/vnd.a+json", data: []byte(`"x"`),
		},
		`,"datacontenttype":"text/xml","data":"<x/>"`: {contentType: "text/xml", data: []byte("<x/>")},
		`,"datacontenttype":"text/xml","data":7`:      {contentType: "text/xml", data: []byte("7")},
	} {
		got, err := structuredIn([]byte(start + members + "}"))
		if err != nil || got.contentType != want.contentType || string(got.data) != string(want.data) {
			t.Errorf("%s: %+v, %v", members, got, err)
			continue
		}
		again, err := got.structuredOut()
		if err != nil {
			t.Fatal(err)
		}
		back, err := structuredIn(again)
		if err != nil || back.contentType != got.contentType || string(back.data) != string(got.data) {
			t.Errorf("%s came back as %+v from %s, %v", members, back, again, err)
		}
	}
}

// rest.md, CloudEvents: an event comes out in binary or structured mode, whichever way its attributes are
// spelled inside the hub; its trace goes on as the message's.
func TestCloudEventLease(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for range 2 {
		h.send("q", `{"n":1}`, ceHeaders("Content-Type: application/json", "ce-subject: Euro%20%E2%82%AC",
			"ce-traceparent: "+parent)...)
	}
	r := h.do("POST", "/v1/queues/q/leases", "", "Accept: application/octet-stream").want(200)
	if r.header.Get("Ce-Subject") != "Euro%20%E2%82%AC" || r.header.Get("Ce-Id") != "e1" ||
		r.header.Get("Content-Type") != "application/json" || r.header.Get("Traceparent") != parent ||
		r.header.Get("Parley-Header-Cloudevents_id") != "" || string(r.body) != `{"n":1}` {
		t.Errorf("headers %v, body %s", r.header, r.body)
	}
	r = h.do("POST", "/v1/queues/q/leases", "", "Accept: application/cloudevents+json").want(200)
	if r.header.Get("Content-Type") != "application/cloudevents+json" || r.header.Get("Parley-Lease") == "" {
		t.Errorf("headers %v", r.header)
	}
	var event map[string]any
	r.json(&event)
	want := map[string]any{
		"specversion": "1.0", "id": "e1", "source": "/shop", "type": "order.placed", "subject": "Euro €",
		"traceparent": parent, "datacontenttype": "application/json", "data": map[string]any{"n": 1.0},
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Error(diff)
	}
	for _, prefix := range []string{"cloudEvents:", "ce-"} {
		p := h.peer("other")
		p.publish("", "q", "x", func(m *broker.Message) {
			for _, name := range requiredAttributes() {
				value := name
				if name == "specversion" {
					value = "1.0"
				}
				m.Overlay = append(m.Overlay, broker.Field{Name: prefix + name, Value: value})
			}
			m.Overlay = append(m.Overlay, broker.Field{ // as AMQP may send it
				Name: prefix + "time", Value: broker.Timestamp(1_764_410_400),
			})
		})
		r := h.do("POST", "/v1/queues/q/leases", "", "Accept: application/cloudevents+json").want(200)
		contains(t, r.body, `"source":"source"`)
		contains(t, r.body, `"time":"2025-11-29T10:00:00Z"`)
	}
}

// FuzzCloudEvent: whatever is read as an event is written so that it is read as the same.
func FuzzCloudEvent(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":[1]}}`), "%20")
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AA=="}`), `"\""`)
	f.Fuzz(func(t *testing.T, data []byte, attribute string) {
		if value, err := attributeIn(attribute); err == nil {
			if back, err := attributeIn(attributeOut(value)); err != nil || back != value {
				t.Errorf("%q came back as %q, %v", value, back, err)
			}
		}
		e, err := structuredIn(data)
		if err != nil {
			return
		}
		e.binaryOut(http.Header{})
		out, err := e.structuredOut()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := structuredIn(out); err != nil || len(back.attributes) != len(e.attributes) {
			t.Errorf("%s came back as %s, %v", data, out, err)
		}
	})
}
