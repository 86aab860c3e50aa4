// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"context"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// TestStreamIsSentOnce: a body that streams is not sent again, what is left of it, when the member ends a
// connection that had rested without an answer.
func TestStreamIsSentOnce(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	bodies := make(chan string, 4)
	m := script(t, func(c net.Conn, r *bufio.Reader) {
		for n := 0; ; n++ {
			q, err := nethttp.ReadRequest(r)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(q.Body)
			bodies <- string(body)
			if n == 1 {
				return // it has read all of it, and dies
			}
			_, _ = io.WriteString(c, ok)
		}
	})
	p, err := endpoint.New(endpoint.Options{Service: "svc"}, m.kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown(context.WithoutCancel(t.Context())) })
	if _, err := p.Put(endpoint.Instance{ID: "a", URL: m.target.URL}); err != nil {
		t.Fatal(err)
	}
	call := func(body string) error {
		if !p.Take(nil) {
			t.Fatal("no credit")
		}
		reply, err := p.Call(t.Context(), &broker.EndpointCall{
			Message: &broker.Message{}, Head: headOf{"http-method": "POST", "http-path": "/"}, Streams: true,
			Body: io.NopCloser(strings.NewReader(body)), Length: -1, Answers: true,
		})
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, reply.Stream)
		_ = reply.Stream.Close()
		return err
	}
	if err := call("first"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(restedAfter + restedAfter/10) // what is tested is a connection that rests
	if err := call("money"); err == nil {
		t.Error("the second call succeeds")
	}
	for _, want := range []string{"first", "money"} {
		if got := <-bodies; got != want {
			t.Errorf("the member got %q, want %q", got, want)
		}
	}
	select {
	case body := <-bodies:
		t.Errorf("and then %q", body)
	default:
	}
}
