// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// posted is what a target got.
type posted struct {
	header http.Header
	body   string
}

// TestWebhooks: messages and results leave a whole hub as its REST door writes them.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	got := make(chan posted, 100)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", r.Header.Get("WebHook-Request-Origin"))
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- posted{r.Header, string(body)}
	}))
	defer target.Close()
	o := doors()
	o.Webhooks.Networks = []string{"127.0.0.0/8"}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	do := func(method, path, body string, want int, headers ...string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method,
			"http://"+h.Addr("rest").String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != want {
			t.Fatalf("%s %s: %s %s, %v", method, path, res.Status, answer, err)
		}
	}
	next := func() posted {
		t.Helper()
		select {
		case p := <-got:
			return p
		case <-time.After(20 * time.Second):
			t.Fatal("nothing was posted")
			return posted{}
		}
	}
	const event = `{"specversion":"1.0","id":"7","source":"/s","type":"t","datacontenttype":"text/plain",` +
		`"data":"hello"}`
	for _, format := range []string{"structured", "binary", "batch", "plain"} {
		do("PUT", "/v1/queues/"+format, "", http.StatusCreated)
		do("PUT", "/v1/subscriptions/"+format, `{"source":{"queue":"`+format+`"},"push":{"url":"`+
			target.URL+`","format":"`+format+`"}}`, http.StatusCreated)
		do("POST", "/v1/queues/"+format+"/messages", event, http.StatusCreated,
			"Content-Type", "application/cloudevents+json")
		p := next()
		body := []byte(p.body)
		switch kind := p.header.Get("Content-Type"); format {
		case "structured":
			isEvent(t, body)
			if kind != "application/cloudevents+json" {
				t.Errorf("structured: %s", kind)
			}
		case "binary":
			if kind != "text/plain" || p.body != "hello" || p.header.Get("Ce-Id") != "7" ||
				p.header.Get("Ce-Source") != "/s" || p.header.Get("Ce-Subject") != "" {
				t.Errorf("binary: %v %s", p.header, body)
			}
		case "batch":
			var list []json.RawMessage
			if err := json.Unmarshal(body, &list); err != nil || len(list) != 1 ||
				kind != "application/cloudevents-batch+json" {
				t.Fatalf("batch: %s %s, %v", kind, body, err)
			}
			isEvent(t, list[0])
		case "plain":
			if kind != "text/plain" || p.body != "hello" ||
				p.header.Get("Parley-Message-Id") != "7" {
				t.Errorf("plain: %v %s", p.header, body)
			}
		}
	}
	do("PUT", "/v1/queues/svc", "", http.StatusCreated)
	do("POST", "/v1/services/svc/do", "x", http.StatusAccepted, "Prefer", "respond-async",
		"Parley-Timeout-Ms", "10", "Parley-Callback", target.URL)
	p := next()
	if p.header.Get("Parley-Status") != "504" || p.header.Get("Parley-Request-State") != "expired" ||
		p.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("callback: %v %s", p.header, p.body)
	}
}

// isEvent fails the test unless the JSON is the event that was sent.
func isEvent(t *testing.T, data []byte) {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(data, &e); err != nil || e["id"] != "7" || e["data"] != "hello" ||
		e["source"] != "/s" || e["type"] != "t" || e["subject"] != nil {
		t.Errorf("event %s, %v", data, err)
	}
}

// TestSubscriptionFault: what is wrong with a subscription is said in words of JSON, with the place.
func TestSubscriptionFault(t *testing.T) {
	t.Parallel()
	r, body := ask(t, start(t, doors()), "PUT", "/v1/subscriptions/s",
		`{"source":{"queue":"q"},"push":{"url":"http://127.0.0.1/","retry":{"attempts":"3"}}}`)
	if r.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"pointer":"/push/retry/attempts"`) ||
		!strings.Contains(body, `"detail":"push.retry.attempts must be a whole number, not string"`) {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}
