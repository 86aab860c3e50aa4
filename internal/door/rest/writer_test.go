// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func TestWriterEvents(t *testing.T) {
	t.Parallel()
	var p broker.Properties
	p.MessageID, p.ContentType = "m1", "text/plain"
	p.Set = broker.HasMessageID | broker.HasContentType | broker.HasHeaders
	if _, err := (Writer{}).Structured(&p, nil); err == nil {
		t.Error("a message without attributes is an event")
	}
	for name, value := range map[string]string{
		"specversion": "1.0", "id": "1", "source": "/s", "type": "a b",
	} {
		p.Headers = p.Headers.With("cloudEvents_"+name, value)
	}
	h := http.Header{}
	Writer{}.Binary(h, &p)
	if h.Get("Ce-Id") != "1" || h.Get("Ce-Type") != "a%20b" || h.Get("Content-Type") != "text/plain" {
		t.Errorf("binary %v", h)
	}
	data, err := Writer{}.Structured(&p, []byte("hello"))
	if err != nil || !strings.Contains(string(data), `"data":"hello"`) ||
		!strings.Contains(string(data), `"datacontenttype":"text/plain"`) {
		t.Errorf("structured %s, %v", data, err)
	}
	h = http.Header{}
	Writer{}.Plain(h, &p)
	if h.Get("Parley-Message-Id") != "m1" || h.Get("Content-Type") != "text/plain" {
		t.Errorf("plain %v", h)
	}
}

// The result of a request is what GET …/response shows: the service's answer, or a problem.
func TestWriterResult(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	p := h.peer("service")
	ask := func(timeout string) *broker.Request {
		t.Helper()
		at := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async",
			"Parley-Timeout-Ms: "+timeout).want(202).header.Get("Location")
		q, err := p.session.FindRequest(at[strings.LastIndexByte(at, '/')+1:])
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	result := func(q *broker.Request) (http.Header, int, string) {
		t.Helper()
		<-q.Ended()
		header := http.Header{}
		status, body, err := Writer{}.Result(header, q)
		if err != nil {
			t.Fatal(err)
		}
		return header, status, string(body)
	}
	header, status, body := result(ask("1"))
	if status != 504 || header.Get("Content-Type") != "application/problem+json" ||
		!strings.Contains(body, `"code":"deadline"`) {
		t.Errorf("no answer: %d %v %s", status, header, body)
	}
	p.consume("svc")
	for _, c := range []struct {
		headers []broker.Field
		status  int
		body    string
	}{
		{[]broker.Field{
			{Name: "http-status", Value: int32(299)}, {Name: "Color", Value: "blue"},
		}, 299, "42"},
		{[]broker.Field{{Name: "parley-error", Value: "no-tea"}}, 422, `"exception":"no-tea"`},
		{[]broker.Field{{Name: "http-status", Value: "soon"}}, 502, `"code":"bad-reply"`},
	} {
		q := ask("10000")
		p.answer(p.next(), "42", c.headers...)
		header, status, body = result(q)
		if status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%v: %d %v %s", c.headers, status, header, body)
		}
		if status == 299 && (header.Get("Color") != "blue" ||
			header.Get("Content-Type") != "text/plain") {
			t.Errorf("headers %v", header)
		}
	}
}
