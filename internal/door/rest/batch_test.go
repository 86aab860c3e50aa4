// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"slices"
	"strings"
	"testing"
)

const ndjson = "Content-Type: application/x-ndjson"

// results sends a batch and returns its results.
func (h *hub) results(path string, lines ...string) []lineResult {
	h.tb.Helper()
	var out struct{ Results []lineResult }
	h.do("POST", path, strings.Join(lines, "\n"), ndjson).want(200).json(&out)
	return out.Results
}

// rest.md, Messages: a batch has one result for each entry, in order; they succeed or fail alone.
func TestSendBatch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	got := h.results("/v1/queues/q/messages",
		`{"body":"hi","type":"greet","headers":{"Color":"Blue","n":1},"correlation_id":"c",`+
			`"reply_to":"r","message_id":"m","priority":3,"expires_ms":60000,"app_id":"a"}`,
		``,
		`{"body":{"n":1}}`,
		`{"body":1,"body_b64":"AA=="}`,
		`{"body_b64":"/w==","content_type":"image/x"}`,
		`{"later":1}`,
		`{`,
		`{"priority":256}`,
		`{"expires_ms":-1}`,
		`{"type":"`+strings.Repeat("x", 256)+`"}`,
		"{\"body\":\"\xff\"}",
		`{}`,
	)
	want := []int{201, 201, 400, 201, 400, 400, 400, 400, 400, 400, 201}
	if len(got) != len(want) {
		t.Fatalf("%d results, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.Status != want[i] || (r.Status == 201) != (r.Routed == 1 && r.MessageID != "") ||
			(r.Status == 400) != (r.Code == "bad-request" && r.Detail != "") {
			t.Errorf("entry %d: %+v, want %d", i, r, want[i])
		}
	}
	list := h.lease("q", `{"max":9}`)
	if len(list) != 4 {
		t.Fatalf("%d messages, want 4", len(list))
	}
	m := list[0]
	if m.text() != "hi" || m.Type != "greet" || m.Headers["Color"] != "Blue" ||
		m.Headers["n"] != 1.0 || m.CorrelationID != "c" || m.ReplyTo != "r" ||
		m.MessageID != "m" || m.Priority != 3 || m.ExpiresMS != "60000" || m.AppID != "a" ||
		m.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("message %+v", m)
	}
	if m := list[1]; m.text() != `{"n":1}` || m.ContentType != "application/json" {
		t.Errorf("message %+v", m)
	}
	if m := list[2]; *m.BodyB64 != "/w==" || m.ContentType != "image/x" {
		t.Errorf("message %+v", m)
	}
	if m := list[3]; m.text() != "" || m.ContentType != "" {
		t.Errorf("message %+v", m)
	}
}

// What the heart refuses fails alone too.
func TestSendBatchRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/v1/queues/two",
		`{"arguments":{"x-max-length":2,"x-overflow":"reject-publish"}}`).want(201)
	statuses := func(path string, n int) string {
		var out []string
		for _, r := range h.results(path, slices.Repeat([]string{"{}"}, n)...) {
			out = append(out, r.Code)
		}
		return strings.Join(out, " ")
	}
	for path, want := range map[string]string{
		"/v1/queues/two/messages":     "  queue-full queue-full",
		"/v1/queues/none/messages":    "not-found not-found not-found not-found",
		"/v1/exchanges/none/messages": "not-found not-found not-found not-found",
		"/v1/exchanges/amq.direct/messages?key=k&mandatory=1": strings.TrimSpace(
			strings.Repeat("unroutable ", 4)),
		"/v1/topics/nobody/messages": "   ",
	} {
		if got := statuses(path, 4); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// A batch with a key is published through one session, however long it is: users may have few.
func TestSendBatchOnceSessions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	v := &visit{door: h.door}
	var err error
	if v.client, err = h.door.client(clientKey{user: "guest", vhost: "/"}); err != nil {
		t.Fatal(err)
	}
	defer v.client.release()
	b := batch{v: v, to: target{key: "q", mandatory: true}, read: readLine, key: "key"}
	defer b.done()
	const entries = 50
	b.results, b.waits = make([]lineResult, entries), make([]*sent, entries)
	for i := range entries {
		if err := b.publish(i, []byte(`{"body":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(v.client.conn.Sessions()); n != 1 || h.stats("q").Ready != entries {
		t.Errorf("%d sessions, %+v", n, h.stats("q"))
	}
}

// Bounds of a batch.
func TestSendBatchBounds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	const at = "/v1/queues/q/messages"
	h.do("POST", at, "\n \n", ndjson).problem(400, "bad-request")
	h.do("POST", at, strings.Repeat("{}\n", batchEntriesMax+1), ndjson).problem(400, "bad-request")
	h.do("POST", at, strings.Repeat("{}\r\n", batchEntriesMax), ndjson).want(200)
	if n := h.stats("q").Ready; n != batchEntriesMax {
		t.Errorf("%d messages, want %d", n, batchEntriesMax)
	}
}
