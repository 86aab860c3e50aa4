// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// canary publishes and consumes persistent messages on connections of its own while an attack runs.
type canary struct {
	client *client
	queue  string
	sent   int
}

func (h *hub) canary(tb testing.TB) *canary {
	tb.Helper()
	k := &canary{client: h.login(tb, wire.V12), queue: "/queue/canary." + newName()}
	k.client.do("SUBSCRIBE\nid:c\nack:client-individual\ndestination:"+k.queue, "")
	return k
}

// sing sends one message and gets it back.
func (k *canary) sing() {
	k.client.tb.Helper()
	body := strconv.Itoa(k.sent)
	k.sent++
	k.client.do("SEND\npersistent:true\ndestination:"+k.queue, body)
	f := k.client.want("MESSAGE")
	if f.body != body {
		k.client.tb.Errorf("the canary got %q, want %q", f.body, body)
	}
	k.client.do(k.client.ack("ACK", f), "")
}

// hostileLines reads the decoder's table of hostile octets: name, header message, octets.
func hostileLines(t *testing.T) [][3]string {
	t.Helper()
	data, err := os.ReadFile("../../wire/stomp/testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines [][3]string
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			continue
		}
		var octets strings.Builder
		for text := fields[2]; text != ""; {
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				t.Fatal(err)
			}
			part, _ := strconv.Unquote(quoted)
			count, rest, _ := strings.Cut(text[len(quoted):], " ")
			n := 1
			if count != "" {
				if n, err = strconv.Atoi(count[1:]); err != nil {
					t.Fatal(err)
				}
			}
			octets.WriteString(strings.Repeat(part, n))
			text = rest
		}
		lines = append(lines, [3]string{fields[0], fields[1], octets.String()})
	}
	return lines
}

// TestSecHostile: rows S1 to S4 through the door: the named ERROR, then the close, while a canary
// sings.
func TestSecHostile(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	k := h.canary(t)
	for _, line := range hostileLines(t) {
		t.Run(line[0], func(t *testing.T) { //nolint:paralleltest // the canary sings between them
			c := h.login(t, wire.V12)
			c.send(line[2])
			c.wantError(line[1], "")
			k.sing()
		})
	}
}

// TestSecS1BeforeLogin: before login a frame has at most 64 KiB and 100 headers, and only
// CONNECT is answered.
func TestSecS1BeforeLogin(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	k := h.canary(t)
	testCases := []struct{ name, octets, message string }{
		{"header line without end", "CONNECT\nlogin:" + strings.Repeat("x", 64<<10), "Frame too large"},
		{"headers", "CONNECT\n" + strings.Repeat("a:b\n", 101), "Frame too large"},
		{"claimed body", "CONNECT\ncontent-length:65536\n\n", "Frame too large"},
		{"body without end", "CONNECT\n\n" + strings.Repeat("x", 64<<10), "Frame too large"},
		{"command", strings.Repeat("C", 34), "Bad command"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "Invalid frame"},
		{"another frame", "SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\x00", "Illegal command"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) { //nolint:paralleltest // the canary sings between them
			c := h.dial(t)
			c.send(tc.octets)
			c.wantError(tc.message, "")
			k.sing()
		})
	}
}

// TestSecS2Largest: a body of 16 MiB passes, one octet more does not.
func TestSecS2Largest(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/large", "")
	body := strings.Repeat("0123456789abcdef", 1<<20)
	c.do("SEND\ndestination:/queue/large\ncontent-length:16777216", body)
	if f := c.want("MESSAGE"); f.body != body {
		t.Errorf("a body of %d octets came back", len(f.body))
	}
	c.sendUnheard("SEND\ndestination:/queue/large\n\n" + body + "xx\x00")
	c.wantErrorOrReset("Frame too large")
}

// sendUnheard writes octets that the peer may refuse to read to their end.
func (c *client) sendUnheard(octets string) {
	c.tb.Helper()
	_, err := io.WriteString(c.net, octets)
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		c.tb.Fatal(err)
	}
}

// wantErrorOrReset reads an ERROR and the close; a sender of much that is not read any more may
// see the reset first.
func (c *client) wantErrorOrReset(message string) {
	c.tb.Helper()
	f, err := c.next()
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil || f.headers["message"] != message {
		c.tb.Errorf("got %v, %v, want %q", f.headers, err, message)
	}
}

// TestSecS2LargerThanDoor: a message from another door that is larger than this one
// takes is dead-lettered for its consumer, who lives.
func TestSecS2LargerThanDoor(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.Limits.BodyBytes = 1000 })
	s := h.session(t)
	for name, args := range map[string]broker.Table{
		"too.large":      {{Name: "x-dead-letter-exchange", Value: "amq.direct"}},
		"too.large.dead": nil,
	} {
		_, err := s.DeclareQueue(broker.QueueParams{Name: name, Durable: true, Arguments: args})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := s.Bind(broker.BindingParams{
		Source: "amq.direct", Destination: "too.large.dead", Key: "too.large",
	})
	if err != nil {
		t.Fatal(err)
	}
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\nack:client\ndestination:/amq/queue/too.large", "")
	for _, size := range []int{1001, 1000} {
		m := &broker.Message{Body: make([]byte, size)}
		m.Key = []byte("too.large")
		if _, err := s.Publish(m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
		s.Flush()
	}
	if f := c.want("MESSAGE"); len(f.body) != 1000 {
		t.Errorf("body of %d", len(f.body))
	}
	q, _ := h.vhostQueue("too.large.dead")
	for end := time.Now().Add(patience); q.Stats().Ready == 0; {
		if time.Now().After(end) {
			t.Fatal("the larger message was not dead-lettered")
		}
		c.wantNothing() // a turn of the read loop
	}
}

// TestSecS3Unread: a client that never reads is cut off from deliveries, not the queue; another
// consumer goes on, and memory stays bounded.
func TestSecS3Unread(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.OutputBytes = 64 << 10 })
	deaf := h.login(t, wire.V12)
	deaf.do("SUBSCRIBE\nid:1\nack:client-individual\ndestination:/queue/deaf", "")
	other := h.login(t, wire.V12)
	other.do("SUBSCRIBE\nid:1\nack:client-individual\nprefetch-count:1\ndestination:/queue/deaf", "")
	pub := h.login(t, wire.V12)
	body := strings.Repeat("x", 10_000)
	const messages = 2_000 // 20 MB, far more than sockets and the output hold
	read := 0
	for range messages {
		pub.do("SEND\ndestination:/queue/deaf", body)
	}
	q, _ := h.vhostQueue("deaf")
	for q.Stats().Ready > 0 { // all that the deaf one was not given goes to the other
		f := other.want("MESSAGE")
		other.do(other.ack("ACK", f), "")
		read++
	}
	if read < messages/2 {
		t.Errorf("the other consumer got %d of %d", read, messages)
	}
	h.canary(t).sing()
}

// TestSecS7Drip: a frame that arrives octet by octet is still a frame, and a lone LF is not one.
func TestSecS7Drip(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	for _, octet := range "\n\nBEGIN\ntransaction:t\nreceipt:d\n\n\x00\n" {
		c.send(string(octet))
	}
	c.wantReceipt("d")
}

// TestAlarm: during an alarm a connection is not read after its next SEND, and goes on
// when it ends; one that only consumes goes on.
func TestAlarm(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SEND\ndestination:/queue/alarm", "before")
	serving := onlyConn(h)
	serving.Block("low on memory")
	c.do("BEGIN\ntransaction:t", "") // read on until the next SEND
	c.send("SEND\ndestination:/queue/alarm\n\nduring\x00ABORT\ntransaction:t\nreceipt:late\n\n\x00")
	q, _ := h.vhostQueue("alarm")
	for end := time.Now().Add(patience); q.Stats().Ready < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the SEND during the alarm did not arrive")
		}
	}
	for end := time.Now().Add(patience); !serving.beat.held.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is read on")
		}
	}
	serving.Block("")
	c.wantReceipt("late")

	serving.Block("low on disk")
	c.send("SEND\ndestination:/queue/alarm\n\nx\x00")
	for end := time.Now().Add(patience); !serving.beat.held.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is read on")
		}
	}
	h.broker.Connections()[0].ForceClose("while it is held")
	c.wantError("connection_forced", "while it is held")
}

// onlyConn returns the door's one connection.
func onlyConn(h *hub) *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		return c
	}
	return nil
}

// TestShutdown: clients are told, also those that have not logged in.
func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	clients := []*client{h.login(t, wire.V10), h.login(t, wire.V12), h.dial(t)}
	clients[2].send("CONN")
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		n := len(h.conns)
		h.mu.Unlock()
		if n == len(clients) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections", n)
		}
	}
	h.stop()
	for _, c := range clients {
		c.wantError("connection_forced", "shutdown")
		_ = c.net.Close()
	}
}

// TestManyClients: connections that come, work and go at the same time.
func TestManyClients(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	const clients, messages = 8, 50
	for i := range clients {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			c := h.login(t, versions()[i%3])
			c.do("SUBSCRIBE\nid:all\ndestination:/topic/many."+strconv.Itoa(i%2), "")
			c.do(fmt.Sprintf("SUBSCRIBE\nid:own\nack:client\ndestination:/queue/many.%d", i), "")
			for n := range messages {
				c.send(fmt.Sprintf("SEND\ndestination:/topic/many.%d\n\n%d\x00", i%2, n))
				c.do(fmt.Sprintf("SEND\ndestination:/queue/many.%d\npersistent:true", i), strconv.Itoa(n))
			}
			for n := 0; n < messages; {
				f := c.want("MESSAGE")
				if f.headers["subscription"] != "own" {
					continue
				}
				if f.body != strconv.Itoa(n) {
					t.Fatalf("message %d is %q", n, f.body)
				}
				c.do(c.ack("ACK", f), "")
				n++
			}
		})
	}
}
