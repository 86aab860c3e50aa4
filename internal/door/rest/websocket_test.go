// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// lineConn is a MessageConn for tests: a message is a line, a close a line "close CODE REASON".
type lineConn struct {
	net.Conn

	in *bufio.Reader
}

func upgradeToLines(w http.ResponseWriter, _ *http.Request, _ int64) (MessageConn, error) {
	conn, buffers, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	return &lineConn{conn, buffers.Reader}, err
}

func (c *lineConn) Read(context.Context) ([]byte, error) { return c.in.ReadBytes('\n') }

func (c *lineConn) Write(_ context.Context, message []byte) error {
	_, err := c.Conn.Write(append(message, '\n'))
	return err
}

func (c *lineConn) Ping(context.Context) error { return nil }

func (c *lineConn) Close(code int, reason string) error {
	_, _ = io.WriteString(c.Conn, "close "+strconv.Itoa(code)+" "+reason+"\n")
	return c.Conn.Close()
}

// socketClient is the client's side of it.
type socketClient struct {
	tb   testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func (h *hub) socket(path string, headers ...string) *socketClient {
	h.tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL, "http://"))
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		h.tb.Fatal(err)
	}
	head := append([]string{
		"GET " + path + " HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket",
	}, headers...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		h.tb.Fatal(err)
	}
	c := &socketClient{tb: h.tb, conn: conn, in: bufio.NewReader(conn)}
	if status := c.line(); !strings.Contains(status, " 101 ") {
		h.tb.Fatal(status)
	}
	c.line()
	return c
}

func (c *socketClient) line() string {
	c.tb.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.tb.Fatalf("%q, %v", line, err)
	}
	return strings.TrimRight(line, "\r\n")
}

func (c *socketClient) message() (m socketMessage) {
	c.tb.Helper()
	line := c.line()
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		c.tb.Fatalf("%q: %v", line, err)
	}
	return m
}

func (c *socketClient) send(text string) {
	c.tb.Helper()
	if _, err := io.WriteString(c.conn, text+"\n"); err != nil {
		c.tb.Fatal(err)
	}
}

func withSockets(o *Options) { o.Upgrade = upgradeToLines }

// rest.md, Streams: a WebSocket on a queue's stream, with acknowledgements inline.
func TestSocketQueue(t *testing.T) {
	t.Parallel()
	h := newHub(t, withSockets)
	h.queue("q")
	for i := range 5 {
		h.send("q", strconv.Itoa(i))
	}
	c := h.socket("/v1/queues/q/stream?ack=manual&prefetch=3")
	var leases []string
	for i := range 3 {
		m := c.message().Message
		if m == nil || m.text() != strconv.Itoa(i) || m.Lease == "" || m.Queue != "q" {
			t.Fatalf("message %+v", m)
		}
		leases = append(leases, m.Lease)
	}
	if st := h.stats("q"); st.Unsettled != 3 || st.Ready != 2 {
		t.Errorf("queue %+v", st)
	}
	c.send(`{"ack":"` + leases[0] + `"}`)
	if m := c.message().Message; m.text() != "3" {
		t.Errorf("message %+v", m)
	}
	c.send(`{"extend":{"lease":"` + leases[1] + `","extend_ms":1000}}`)
	c.send(`{"nack":{"lease":"` + leases[1] + `"}}`)
	if m := c.message().Message; m.text() != "1" || m.Attempt != 2 {
		t.Errorf("message %+v", m)
	}
	c.send(`{"nack":{"lease":"` + leases[2] + `","requeue":false}}`)
	if m := c.message().Message; m.text() != "4" {
		t.Errorf("message %+v", m)
	}
	c.send(`{"ack":"nobody's"}`)
	if e := c.message().Error; e == nil || e.Code != "lease-gone" || e.Lease != "nobody's" {
		t.Errorf("error %+v", e)
	}
	_ = c.conn.Close()
	h.eventually("what was out is back", func() bool {
		st := h.stats("q")
		return st.Ready == 3 && st.Unsettled == 0 && st.Consumers == 0
	})
}

// Without ack=manual a message is acknowledged when it is written.
func TestSocketTopic(t *testing.T) {
	t.Parallel()
	h := newHub(t, withSockets)
	c := h.socket("/v1/topics/a.*/stream?name=s")
	for _, body := range []string{"1", "\xff"} {
		h.do("POST", "/v1/topics/a.b/messages", body).want(201)
	}
	if m := c.message().Message; m.text() != "1" || m.RoutingKey != "a.b" || m.Lease != "" {
		t.Errorf("message %+v", m)
	}
	if m := c.message().Message; m.BodyB64 == nil || *m.BodyB64 != "/w==" {
		t.Errorf("message %+v", m)
	}
	h.eventually("all is acknowledged", func() bool {
		return h.stats("subscription.s").Unsettled == 0
	})
	h.do("DELETE", "/v1/queues/subscription.s", "").want(204)
	if m := c.message(); m.Gone == "" {
		t.Errorf("message %+v", m)
	}
	if line := c.line(); !strings.HasPrefix(line, "close 1000 ") {
		t.Error(line)
	}
}

// rest.md, Streams: 1008 on policy, 1001 on drain; what is refused before the upgrade is a problem.
func TestSocketCloses(t *testing.T) {
	t.Parallel()
	h := newHub(t, withSockets)
	h.queue("q")
	for _, text := range []string{
		"", "x", "{}", "[]", `{"ack":"a","nack":{"lease":"a"}}`, `{"what":1}`, `{"ack":1}`,
	} {
		c := h.socket("/v1/queues/q/stream?ack=manual")
		c.send(text)
		if e := c.message().Error; e == nil || e.Code != wordBadRequest {
			t.Errorf("%q: %+v", text, e)
		}
		if line := c.line(); !strings.HasPrefix(line, "close 1008 ") {
			t.Errorf("%q: %s", text, line)
		}
	}
	c := h.socket("/v1/queues/none/stream")
	if e := c.message().Error; e == nil || e.Code != wordNotFound {
		t.Errorf("%+v", e)
	}
	if line := c.line(); line != "close 1008 not-found" {
		t.Error(line)
	}
	h.do("GET", "/v1/queues/q/stream?prefetch=0", "", "Connection: Upgrade", "Upgrade: websocket").
		problem(400, wordBadRequest)
	h.do("GET", "/v1/queues/q/stream", "", "Connection: Upgrade", "Upgrade: websocket",
		"Origin: http://evil.example").problem(403, "forbidden")
	forced := h.socket("/v1/queues/q/stream")
	h.eventually("it consumes", func() bool { return h.stats("q").Consumers == 1 })
	for _, c := range h.broker.Connections() {
		if strings.HasPrefix(c.Name, "http stream ") {
			c.ForceClose("maintenance")
		}
	}
	if line := forced.line(); !strings.HasPrefix(line, "close 1001 ") {
		t.Error(line)
	}
	drained := h.socket("/v1/queues/q/stream")
	h.door.Drain()
	if line := drained.line(); line != "close 1001 the hub stops" {
		t.Error(line)
	}
}

// The table of leases is full: the client is told, and its messages go back.
func TestSocketLeasesMax(t *testing.T) {
	t.Parallel()
	h := newHub(t, withSockets, func(o *Options) { o.LeasesMax = 1 })
	h.queue("q")
	h.send("q", "1")
	h.send("q", "2")
	h.one("q")
	c := h.socket("/v1/queues/q/stream?ack=manual")
	if line := c.line(); line != "close 1008 quota" {
		t.Error(line)
	}
	h.eventually("the message is back", func() bool {
		st := h.stats("q")
		return st == broker.QueueStats{Ready: 1, Unsettled: 1, Consumers: 0} ||
			st.Ready == 1 && st.Unsettled == 1
	})
}
