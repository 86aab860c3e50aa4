// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// TestPublishGet sends a message with every property and looks at it in all four ways.
func TestPublishGet(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/queues/%2F/q", `{"durable":"true","arguments":{"x-max-length":5}}`).want(201)
	h.do("PUT", "/api/queues/%2F/q", `{"durable":true,"arguments":{"x-max-length":5}}`).want(204)
	h.do("PUT", "/api/queues/%2F/q", `{"durable":true}`).
		want(400, "bad_request", "inequivalent arg 'x-max-length'")
	const properties = `{"content_type":"text/plain","delivery_mode":2,"priority":3,` +
		`"headers":{"h":"1","t":true,"n":null},"correlation_id":"c","message_id":"m",` +
		`"timestamp":5,"type":"T","app_id":"a","user_id":"guest","expiration":"60000"}`
	const publish = "/api/exchanges/%2F/amq.default/publish"
	h.do("POST", publish, `{"routing_key":"q","properties":`+properties+
		`,"payload":"aGVsbG8=","payload_encoding":"base64"}`).want(200, `{"routed":true}`)
	h.do("POST", publish, `{"routing_key":"none","properties":{},"payload":"","payload_encoding":`+
		`"string"}`).want(200, `{"routed":false}`)

	const get = "/api/queues/%2F/q/get"
	ask := func(mode, more string) *answer {
		return h.do("POST", get, `{"count":"9","ackmode":"`+mode+`","encoding":"auto"`+more+`}`).
			want(200)
	}
	first := ask("ack_requeue_true", "").objects()
	if len(first) != 1 || first[0]["payload"] != "hello" || first[0]["redelivered"] != false ||
		first[0]["payload_bytes"] != 5.0 || first[0]["message_count"] != 0.0 ||
		first[0]["exchange"] != "" || first[0]["routing_key"] != "q" {
		t.Fatalf("messages %v", first)
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(properties), &want); err != nil {
		t.Fatal(err)
	}
	got, _ := first[0]["properties"].(map[string]any)
	for name, value := range want {
		if name == "headers" {
			continue // it has what the test's format makes of it
		}
		if got[name] != value {
			t.Errorf("property %s: %v, want %v", name, got[name], value)
		}
	}
	ask("reject_requeue_true", `,"truncate":2`).want(200, `"payload":"he"`, `"redelivered":true`,
		`"payload_bytes":5`)
	h.do("GET", "/api/queues/%2F/q", "").want(200, `"messages_ready":1`)
	h.do("POST", get, `{"count":1,"ackmode":"reject_requeue_false","encoding":"base64"}`).
		want(200, `"payload":"aGVsbG8="`)
	ask("ack_requeue_false", "").want(200, "[]")

	for _, body := range []string{
		`{}`, `{"count":1,"ackmode":"x","encoding":"auto"}`,
		`{"count":1,"ackmode":"ack_requeue_true","encoding":"x"}`,
		`{"count":-1,"ackmode":"ack_requeue_true","encoding":"auto"}`,
	} {
		h.do("POST", get, body).want(400, "bad_request")
	}
	h.do("POST", "/api/queues/%2F/nope/get", `{"count":1,"ackmode":"ack_requeue_true",`+
		`"encoding":"auto"}`).want(404, "not_found", "no queue 'nope' in vhost '/'")
}

func TestPublishRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const publish = "/api/exchanges/%2F/amq.direct/publish"
	for body, part := range map[string]string{
		`{"routing_key":"k","payload":"","payload_encoding":"string"}`: "properties",
		`{"routing_key":"k","properties":{},"payload":"","payload_encoding":"x"}`: "unsupported" +
			"_encoding",
		`{"routing_key":"k","properties":{},"payload":"!","payload_encoding":"base64"}`: "base64",
		`{"routing_key":"k","properties":{"priority":"x"},"payload":"","payload_encoding":` +
			`"string"}`: "whole number",
		`{"routing_key":"k","properties":{"expiration":"x"},"payload":"","payload_encoding":` +
			`"string"}`: "invalid expiration",
		`{"routing_key":"k","properties":{"user_id":"x"},"payload":"","payload_encoding":` +
			`"string"}`: "user_id property",
		`{"routing_key":"` + strings.Repeat("k", 256) + `","properties":{},"payload":"",` +
			`"payload_encoding":"string"}`: "longer than 255",
	} {
		h.do("POST", publish, body).want(400, part)
	}
	const body = `{"routing_key":"k","properties":{},"payload":"","payload_encoding":"string"}`
	h.do("POST", "/api/exchanges/%2F/nope/publish", body).
		want(400, "404 NOT_FOUND - no exchange 'nope' in vhost '/'")
	h.do("POST", publish, strings.Repeat(" ", largeBodyBytes+1)).want(413)
	// The heart asks for the permission, not the console.
	nothing := auth.Permission{Configure: "", Write: "", Read: ""}
	if err := h.users.SetPermission("management", "/", nothing); err != nil {
		t.Fatal(err)
	}
	h.as("management", "POST", publish, body).want(401, "ACCESS_REFUSED - write access")
	h.do("PUT", "/api/queues/%2F/q", "").want(201)
	h.as("management", "PUT", "/api/queues/%2F/p", "").want(401, "configure access")
	h.as("management", "DELETE", "/api/queues/%2F/q", "").want(401, "configure access")
	h.as("management", "DELETE", "/api/queues/%2F/q/contents", "").want(401, "read access")
	h.as("management", "POST", "/api/queues/%2F/q/get", `{"count":1,"ackmode":"ack_requeue_true",`+
		`"encoding":"auto"}`).want(401, "read access")
	h.as("management", "PUT", "/api/exchanges/%2F/x", "").want(401, "configure access")
	h.as("management", "POST", "/api/bindings/%2F/e/amq.direct/q/q", "").want(401, "write access")
	h.broker.DiskFull(true)
	h.do("POST", publish, body).want(503, "low on disk")
}

func TestQueues(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, name := range []string{"b", "a", "c%2F%20"} {
		h.do("PUT", "/api/queues/%2F/"+name, `{"auto_delete":false}`).want(201)
	}
	h.do("PUT", "/api/queues/%2F/amq.x", "").want(401, "reserved prefix")
	if _, err := h.broker.AddVirtualHost("other"); err != nil {
		t.Fatal(err)
	}
	h.do("GET", "/api/queues/%2F?page=1&page_size=2&columns=name,messages&sort=name", "").
		want(200, `"items":[{"messages":0,"name":"a"},{"messages":0,"name":"b"}]`,
			`"page_count":2`, `"total_count":3`)
	h.do("GET", "/api/queues/%2F?sort=message_stats.publish_details.rate&sort_reverse=true", "").
		want(200)
	h.do("GET", "/api/queues", "").want(200, `"name":"c/ "`)
	h.do("GET", "/api/queues/%2F/a", "").want(200, `"state":"running"`, `"consumer_details":[]`,
		`"type":"classic"`, `"exclusive_consumer_tag":null`)
	h.do("DELETE", "/api/queues/%2F/a?if-empty=true&if-unused=true", "").want(204)
	h.do("DELETE", "/api/queues/%2F/a", "").want(404)
	h.do("DELETE", "/api/queues/%2F/b/contents", "").want(204)
	h.do("DELETE", "/api/queues/%2F/c%2F%20", "").want(204)
}

func TestExchanges(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/exchanges/%2F/x", `{"type":"topic","durable":true,"arguments":{}}`).want(201)
	h.do("PUT", "/api/exchanges/%2F/x", `{"type":"topic","durable":"true"}`).want(204)
	h.do("PUT", "/api/exchanges/%2F/x", `{"type":"fanout"}`).want(400, "inequivalent arg 'type'")
	h.do("PUT", "/api/exchanges/%2F/y", `{"type":"nope"}`).want(400, "unknown exchange type")
	h.do("PUT", "/api/exchanges/%2F/y", `{"durable":5}`).want(400, "neither true nor false")
	h.do("GET", "/api/exchanges/%2F/x", "").want(200, `"type":"topic"`, `"internal":false`)
	h.do("GET", "/api/exchanges/%2F/amq.default", "").want(200, `"name":""`)
	if l := h.do("GET", "/api/exchanges/%2F", "").objects(); len(l) != 8 {
		t.Errorf("exchanges %v", l)
	}
	h.do("DELETE", "/api/exchanges/%2F/x?if-unused=true", "").want(204)
	h.do("DELETE", "/api/exchanges/%2F/x", "").want(404)
	h.do("DELETE", "/api/exchanges/%2F/amq.direct", "").want(401, "system exchange")
}

// TestBindings: the key of a binding is what RabbitMQ makes of it, but for the hash.
func TestBindings(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/queues/%2F/q", "").want(201)
	const path = "/api/bindings/%2F/e/amq.topic/q/q"
	for body, key := range map[string]string{
		`{}`:                       "~",
		`{"routing_key":"~"}`:      "%7E",
		`{"routing_key":"a.b ~*"}`: "a.b+%7E%2A",
		`{"routing_key":"é/%"}`:    "%C3%A9%2F%25",
		`{"arguments":{"x":1}}`:    "~",
		`{"routing_key":"k","arguments":{"x":1,"y":"z"}}`: "k~",
	} {
		a := h.do("POST", path, body).want(201)
		at := a.header.Get("Location")
		// What the location names is there, under the key it says.
		shown := h.do("GET", "/api/bindings/%2F/e/amq.topic/q/"+at, "").want(200).object()
		got, _ := shown["properties_key"].(string)
		if hashed := strings.Contains(body, "arguments"); !hashed && got != key ||
			hashed && (!strings.HasPrefix(got, key) || len(got) < len(key)+8) {
			t.Errorf("%s has the key %s, want %s", body, got, key)
		}
	}
	if l := h.do("GET", path, "").want(200).objects(); len(l) != 6 {
		t.Errorf("bindings %v", l)
	}
	if l := h.do("GET", "/api/queues/%2F/q/bindings", "").want(200).objects(); len(l) != 7 {
		t.Errorf("bindings of the queue, with the default exchange's: %v", l)
	}
	h.do("GET", "/api/exchanges/%2F/amq.default/bindings/source", "").
		want(200, `"destination":"q"`, `"properties_key":"q"`)
	h.do("DELETE", path+"/a.b%2B%257E%252A", "").want(204)
	h.do("DELETE", path+"/a.b%2B%257E%252A", "").want(404)
	h.do("DELETE", path+"/~", "").want(204)
	h.do("POST", "/api/bindings/%2F/e/amq.topic/q/nope", "").want(404)

	h.do("POST", "/api/bindings/%2F/e/amq.topic/e/amq.fanout", `{"routing_key":"k"}`).want(201)
	h.do("GET", "/api/exchanges/%2F/amq.fanout/bindings/destination", "").
		want(200, `"destination_type":"exchange"`)
	h.do("GET", "/api/bindings/%2F/e/amq.topic/e/amq.fanout/k", "").want(200)
	h.do("DELETE", "/api/bindings/%2F/e/amq.topic/e/amq.fanout/k", "").want(204)
	h.do("GET", "/api/bindings/%2F?page=1&page_size=500", "").want(200, `"total_count":5`)
}

// TestConsumersAndRates: who consumes is listed, and what autoscalers read is counted.
func TestConsumersAndRates(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/queues/%2F/q", "").want(201)
	conn, _ := h.client("127.0.0.1:5000 -> 127.0.0.1:5672", "guest", "/")
	s := &sink{wake: make(chan struct{}, 1)}
	session, err := conn.OpenSession(s)
	if err != nil {
		t.Fatal(err)
	}
	session.SetNumber(7)
	session.SetPrefetch(3, false)
	if _, err := session.Consume(broker.ConsumerParams{
		Queue: "q", Tag: "<img>", AutoAck: false, Exclusive: true, Priority: 0, Prefetch: -1,
		Limited: false, Linger: 0, Arguments: broker.Table{{Name: "a", Value: "b"}}, Data: nil,
	}); err != nil {
		t.Fatal(err)
	}
	h.broker.SampleRates()
	for range 2 {
		h.do("POST", "/api/exchanges/%2F/amq.default/publish", `{"routing_key":"q","properties":{}`+
			`,"payload":"x","payload_encoding":"string"}`).want(200, "true")
	}
	if err := session.Settle(broker.SettleParams{
		Tag: 1, Multiple: false, Of: nil, Outcome: broker.Accepted,
	}); err != nil {
		t.Fatal(err)
	}
	h.broker.SampleRates()
	q := h.do("GET", "/api/queues/%2F/q", "").want(200, `"consumers":1`,
		`"messages_unacknowledged":1`, `"exclusive_consumer_tag":"\u003cimg\u003e"`).object()
	stats, _ := q["message_stats"].(map[string]any)
	for name, want := range map[string]float64{
		"publish": 2, "deliver_get": 2, "deliver": 2, "ack": 1, "get": 0, "redeliver": 0,
	} {
		details, _ := stats[name+"_details"].(map[string]any)
		rate, _ := details["rate"].(float64)
		if stats[name] != want || (rate > 0) != (want > 0) {
			t.Errorf("%s: %v, rate %v, want %v", name, stats[name], rate, want)
		}
	}
	h.do("GET", "/api/overview", "").want(200, `"publish":2`, `"channels":1`, `"consumers":1`)
	h.do("GET", "/api/consumers/%2F", "").want(200, `"ack_required":true`, `"prefetch_count":3`,
		`"arguments":{"a":"b"}`, `"name":"127.0.0.1:5000 -\u003e 127.0.0.1:5672 (7)"`)
	if l := h.as("management", "GET", "/api/consumers", "").objects(); len(l) != 0 {
		t.Errorf("others' consumers %v", l)
	}
	h.do("GET", "/api/channels", "").want(200, `"number":7`, `"messages_unacknowledged":1`)
	h.do("GET", "/api/channels/127.0.0.1:5000%20-%3E%20127.0.0.1:5672%20(7)", "").
		want(200, `"consumer_count":1`)
	h.do("GET", "/api/connections/127.0.0.1:5000%20-%3E%20127.0.0.1:5672/channels", "").want(200)
	h.do("DELETE", "/api/queues/%2F/q?if-unused=true", "").want(400, "in use")
	// The counts of a queue that is gone stay in the total.
	h.do("DELETE", "/api/queues/%2F/q", "").want(204)
	h.broker.SampleRates()
	h.do("GET", "/api/overview", "").want(200, `"publish":2`, `"publish_details":{"rate":0}`)
}
