// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// idleStreams is how many streams one user may open here, and does.
	idleStreams = 10_000
	// streamKiB is what the hub may take for each: two goroutines' stacks, the buffers of net/http,
	// and a session of the heart.
	streamKiB = 64
	// collectWait is how long the hub may take to give the memory of all of them back.
	collectWait = time.Minute
	// comeBacks is how often a client breaks its stream and comes back.
	comeBacks = 500
	// dearRepeats is how often what is large is sent.
	dearRepeats       = 40
	rowSocketCommands = "H3 commands of a WebSocket"
)

// restStreamAttacks are the rows about streams, WebSockets and events of the REST door.
func restStreamAttacks() []attack {
	const end = "Connection: close\r\n\r\n"
	event := func(headers, body string) string {
		return fmt.Sprintf("POST /v1/queues/rest-events/messages HTTP/1.1\r\nHost: HOST\r\n%s"+
			"Content-Length: %d\r\n%s%s", headers, len(body), end, body)
	}
	const structured = "Content-Type: application/cloudevents+json\r\n"
	return []attack{
		{"10,000 idle streams", manyStreams},
		{"streams that break", brokenStreams},
		{rowSocketCommands, socketCommands},
		restRow("H8 POST of a page elsewhere", "POST /v1/queues/q/messages HTTP/1.1\r\nHost: HOST\r\n"+
			"Sec-Fetch-Site: cross-site\r\nContent-Length: 1\r\n"+end+"x", " 403 "),
		restRow("H8 DELETE of a page elsewhere", "DELETE /v1/queues/q HTTP/1.1\r\nHost: HOST\r\n"+
			"Origin: null\r\n"+end, " 403 "),
		restRow("H8 secret in the query", "GET /v1/queues/none?access_token="+secret+" HTTP/1.1\r\nHost: HOST\r\n"+
			end, " 404 "),
		restRow("H9 pattern as a name", "GET /v1/bindings?src=(a%2B)%2B%24"+strings.Repeat("a", 4_000)+
			" HTTP/1.1\r\nHost: HOST\r\n"+end, " 200 "),
		restRow("H11 queue that is a path", "PUT /v1/queues/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n"+
			"Host: HOST\r\nContent-Length: 0\r\n"+end, " 20"), // 201, then 200: a name is no path
		restRow("event 10,000 deep", event(structured, `{"data":`+strings.Repeat("[", 10_000)), " 400 "),
		restRow("event without attributes", event(structured, "{}"), " 400 "),
		restRow("event with half a character", event("ce-specversion: 1.0\r\nce-id: 1\r\nce-source: s\r\n"+
			"ce-type: t\r\nce-subject: %C0%A0\r\n", "x"), " 400 "),
		{"batch of 100,000 events", func(t *testing.T, g *ground) {
			raw := strings.ReplaceAll(event("Content-Type: application/cloudevents-batch+json\r\n",
				"["+strings.Repeat("{},", 100_000)+"{}]"), "HOST", g.REST)
			volley(t, dearRepeats, func() { answered(t, dialQuick(t, g.REST), []byte(raw), " 400 ") })
			refused(t, dial(t, g.REST), []byte(raw), " 400 ")
		}},
		restRow("lease id of another kind", "DELETE /v1/leases/"+strings.Repeat("a.", 200)+
			" HTTP/1.1\r\nHost: HOST\r\n"+end, " 410 "),
	}
}

// declare makes a queue over HTTP.
func declare(t *testing.T, g *ground, queue string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, g.URL("/v1/queues/"+queue), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// manyStreams opens as many event streams as a user may have, and one more; they cost the hub a bounded
// memory each, and all of it comes back.
func manyStreams(t *testing.T, g *ground) {
	t.Helper()
	harness.NeedDescriptors(t, idleStreams+1_000)
	declare(t, g, "rest-idle")
	before, err := harness.RSS(g.Pid())
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte("GET /v1/queues/rest-idle/stream HTTP/1.1\r\nHost: " + g.REST + "\r\n\r\n")
	conns := make([]net.Conn, 0, idleStreams)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
		collected(t, g, before)
	}()
	status := ""
	for range idleStreams + 1 {
		c := dial(t, g.REST)
		conns = append(conns, c)
		if _, err := c.Write(raw); err != nil {
			t.Fatal(err)
		}
		if status, err = bufio.NewReaderSize(c, 16).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(status, " 200 ") {
			break
		}
	}
	if len(conns) != idleStreams+1 || !strings.Contains(status, " 429 ") {
		t.Errorf("stream %d is answered with %q", len(conns), status)
	}
	after, err := harness.RSS(g.Pid())
	if err != nil {
		t.Fatal(err)
	}
	each := float64(after-before) / float64(len(conns)) / 1024
	t.Logf("%d streams take %.0f KiB each", len(conns), each)
	if each > streamKiB {
		t.Errorf("a stream takes %.0f KiB", each)
	}
}

// collected waits until the hub has collected what it holds no more: it is idle, and would do so in
// minutes.
func collected(t *testing.T, g *ground, before int) {
	t.Helper()
	err := harness.Poll(collectWait, func() error {
		if _, err := harness.Heap(t.Context(), g.pprof); err != nil {
			return err
		}
		after, err := harness.RSS(g.Pid())
		if err == nil && after-before > maxGrowthKiB<<10 {
			err = fmt.Errorf("%d KiB resident, %d before", after>>10, before>>10)
		}
		return err
	})
	if err != nil {
		t.Error("not collected: ", err)
	}
}

// brokenStreams breaks streams right after their first event and comes back without their ids, so that
// each waits for a client that is gone.
func brokenStreams(t *testing.T, g *ground) {
	t.Helper()
	volley(t, comeBacks, func() {
		c := dialQuick(t, g.REST)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(attackWait))
		_, _ = io.WriteString(c, "GET /v1/topics/rest.broken/stream?name=broken HTTP/1.1\r\nHost: "+g.REST+
			"\r\nLast-Event-ID: "+strings.Repeat("A", 22)+".1.99\r\n\r\n")
		in := bufio.NewReader(c)
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
			t.Errorf("%q, %v", line, err)
			return
		}
		res, err := http.Post(g.URL("/v1/topics/rest.broken/messages"), "text/plain",
			strings.NewReader("x"))
		if err != nil {
			t.Error(err)
			return
		}
		_ = res.Body.Close()
	})
}

// socketCommands sends what a stream's WebSocket does not take.
func socketCommands(t *testing.T, g *ground) {
	t.Helper()
	declare(t, g, "rest-socket")
	for _, text := range []string{
		"{", "{}", "[]", strings.Repeat("[", 10_000), `{"ack":"` + strings.Repeat("x", 1<<20) + `"}`,
		`{"nack":{"lease":"x","delay_ms":-1}}`, `{"extend":{"lease":"x","extend_ms":1e300}}`,
		`{"ack":"` + secret + `"}`,
	} {
		times := repeats
		if len(text) > 64<<10 {
			times = dearRepeats
		}
		volley(t, times, func() {
			ctx, cancel := context.WithTimeout(t.Context(), attackWait)
			defer cancel()
			//nolint:bodyclose // the library says that it needs no closing
			c, _, err := websocket.Dial(ctx, "ws://"+g.REST+"/v1/queues/rest-socket/stream?ack=manual", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.CloseNow() }()
			c.SetReadLimit(maxAnswer << 1)
			if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
				t.Error(err)
				return
			}
			if _, answer, err := c.Read(ctx); err != nil || !strings.Contains(string(answer), `"error"`) {
				t.Errorf("%.40q: %.200q, %v", text, answer, err)
			}
		})
	}
}
