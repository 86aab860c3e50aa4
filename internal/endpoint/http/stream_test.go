// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// TestStreamIsSentOnce: a member that ends a connection that had rested, without an answer to a body that
// streams, has broken it, and nothing is sent again.
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
	post := func(body string) *broker.EndpointCall {
		return &broker.EndpointCall{
			Head: headOf{"http-method": "POST", "http-path": "/"}, Streams: true,
			Body: io.NopCloser(strings.NewReader(body)), Length: -1,
		}
	}
	m.answered(post("first"))
	u, err := m.kind.upstream(m.target)
	if err != nil {
		t.Fatal(err)
	}
	u.plain.mu.Lock()
	for _, c := range u.plain.idle {
		c.since = c.since.Add(-2 * restedAfter) // it rests
	}
	u.plain.mu.Unlock()
	if _, o := m.try(t.Context(), post("money")); o.Class != endpoint.ClassBroken {
		t.Errorf("the second attempt was %v, %v", o.Class, o.Err) // stale is tried again, always
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
