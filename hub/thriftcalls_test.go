// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// TestThriftDeadline: a call from HTTP goes through the queue to a server of Thrift, which is told what
// is left of the time, never more; what waits spends from it (resilience.md).
func TestThriftDeadline(t *testing.T) {
	t.Parallel()
	const most = 14 * time.Second
	hold := make(chan struct{})
	address := thriftServer(t, func(w *thrift.Writer, c *thriftCall) {
		left, _ := c.Shape.Header.Get("client_timeout")
		if c.text == "hold" {
			<-hold
		}
		head := c.head
		head.Type = thrift.Reply
		writeText(w, head, 0, string(left))
	})
	h := start(t, echoOptions(t, map[string]Service{"Echo": {
		Members: map[string]Instance{"one": {URL: "thrift://" + address.String()}},
		Thrift:  ThriftService{Transport: "header"}, Pool: Pool{InFlight: 1},
	}}))
	left := func(headers ...string) time.Duration {
		t.Helper()
		headers = append(headers, "Connect-Timeout-Ms: "+strconv.FormatInt(most.Milliseconds(), 10))
		r, body := ask(t, h, "POST", "/v1/services/Echo/say", `{"text":"x"}`, headers...)
		ms, err := strconv.ParseInt(strings.Trim(body, `"`), 10, 64)
		if r.StatusCode != http.StatusOK || err != nil {
			t.Fatalf("%d %s, %v", r.StatusCode, body, err)
		}
		return time.Duration(ms) * time.Millisecond
	}
	for _, headers := range [][]string{nil, {"Idempotency-Key: by-the-queue"}} {
		if got := left(headers...); got > most || got < most/2 {
			t.Errorf("%v: %v left of %v", headers, got, most)
		}
	}
	var first sync.WaitGroup
	first.Go(func() { ask(t, h, "POST", "/v1/services/Echo/say", `{"text":"hold"}`) })
	for !strings.Contains(show(t, h), `"in_flight":1`) {
		time.Sleep(time.Millisecond)
	}
	const waits = 500 * time.Millisecond
	timer := time.AfterFunc(waits, func() { close(hold) })
	defer timer.Stop()
	if got := left(); got > most-waits/5 { // the machine may be slow before the call has begun
		t.Errorf("%v left of %v after a wait", got, most)
	}
	first.Wait()
	r, body := ask(t, h, "POST", "/v1/services/Echo/say", `{"text":"x"}`, "Connect-Timeout-Ms: 1")
	if r.StatusCode != http.StatusOK && !strings.Contains(body, "deadline") {
		t.Errorf("no time: %d %s", r.StatusCode, body)
	}
}

// show is the list of services.
func show(t *testing.T, h *Hub) string {
	t.Helper()
	_, body := ask(t, h, "GET", "/v1/services", "")
	return body
}

// TestThriftAttempts: an exception 6 is the service's failure. A method that the contract calls
// idempotent is tried again, another one is not, and enough of them open the method's breaker; what is
// declared, or unknown, never does (resilience.md, What counts as what).
func TestThriftAttempts(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	address := thriftServer(t, func(w *thrift.Writer, c *thriftCall) {
		n := attempts.Add(1)
		if c.text == "first fails" && n == 1 {
			writeFailure(w, c.head, thrift.InternalError, "not yet")
			return
		}
		echoThrift(w, c)
	})
	h := start(t, echoOptions(t, map[string]Service{"Echo": {
		Members: map[string]Instance{"one": {URL: "thrift://" + address.String()}},
		Pool:    Pool{Retry: endpoint.Retry{Base: time.Millisecond, Cap: time.Millisecond}},
	}}))
	call := func(method, text string) (status int, body string) {
		t.Helper()
		r, body := ask(t, h, "POST", "/v1/services/Echo/"+method, `{"text":"`+text+`"}`)
		return r.StatusCode, body
	}
	if status, body := call("size", "first fails"); status != http.StatusOK || attempts.Load() != 2 {
		t.Errorf("idempotent: %d %s after %d attempts", status, body, attempts.Load())
	}
	attempts.Store(0)
	status, body := call("say", "first fails")
	if status != http.StatusInternalServerError || attempts.Load() != 1 ||
		!strings.Contains(body, `"not yet","code":"internal"`) {
		t.Errorf("not idempotent: %d %s after %d attempts", status, body, attempts.Load())
	}
	const enough = 30
	for range enough {
		if status, body := call("say", "Refused"); status != http.StatusConflict {
			t.Fatalf("a declared exception: %d %s", status, body)
		}
		if status, body := call("gone", "x"); status != http.StatusNotImplemented {
			t.Fatalf("an unknown method: %d %s", status, body)
		}
	}
	open := 0
	for range enough {
		switch status, body := call("fail", "x"); {
		case status == http.StatusServiceUnavailable && strings.Contains(body, "breaker-open"):
			open++
		case status != http.StatusInternalServerError:
			t.Fatalf("a failure: %d %s", status, body)
		}
	}
	if open == 0 || open > enough-20 { // 20 calls are what it takes
		t.Errorf("%d of %d calls are refused", open, enough)
	}
	if status, body := call("say", "x"); status != http.StatusOK {
		t.Errorf("another method: %d %s", status, body)
	}
}

// TestThriftMemberGoes: calls go on while one of two servers goes away with its connections.
func TestThriftMemberGoes(t *testing.T) {
	t.Parallel()
	one := thriftServer(t, echoThrift)
	two, stop := stoppable(t, echoThrift)
	h := start(t, echoOptions(t, map[string]Service{"Echo": {
		Members: map[string]Instance{
			"one": {URL: "thrift://" + one.String()}, "two": {URL: "thrift://" + two.String()},
		},
		Pool: Pool{Balance: endpoint.Balance{ForceAfter: 10 * time.Millisecond}}, // both get some
	}}))
	call := func() {
		t.Helper()
		r, body := ask(t, h, "POST", "/v1/services/Echo/say", `{"text":"x"}`)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", r.StatusCode, body)
		}
	}
	until := func(done func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !done(); call() {
			if time.Now().After(end) {
				t.Fatal(show(t, h))
			}
		}
	}
	until(func() bool { return strings.Count(show(t, h), `"successes":0`) == 0 })
	stop()
	until(func() bool { return strings.Contains(show(t, h), "unhealthy") })
	for range 10 {
		call()
	}
}
