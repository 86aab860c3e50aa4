// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
)

// TestDrain: a hub that stops tells the clients of its shared port, each in its protocol; those that
// have not said who they are hold nothing up, and nobody comes in any more.
func TestDrain(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	const drain = 30 * time.Second // nobody is to need it
	// hold is less than what an HTTP server would wait for a client that asks for nothing.
	const hold = 4500 * time.Millisecond
	h := start(t, func(o *hub.Options) { o.Listen, o.TLS, o.Drain = free, ca.hubTLS(t), drain })
	plain := dialer{h.Addr(hub.SharedPort).String(), nil}
	secured := dialer{plain.address, ca.client(t, "")}

	conn, err := amqp.Dial("amqp://guest:guest@" + plain.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	amqpEnds := conn.NotifyClose(make(chan *amqp.Error, 1))
	stomp := secured.dial(t)
	defer stomp.Close()
	web := dialWeb(t, plain)
	if err := web.Write(t.Context(), websocket.MessageText, []byte(connect)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := web.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	stompIn := bufio.NewReader(stomp)
	if _, err := io.WriteString(stomp, connect); err != nil {
		t.Fatal(err)
	}
	if text, err := stompIn.ReadString(0); err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	stream, err := http.Get("http://" + plain.address + "/v1/topics/drain/stream")
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatal(stream, err)
	}
	defer stream.Body.Close()
	for _, octets := range []string{"", "CONN", "GET / HT", "\x16\x03\x01\x02", `{"op":`} {
		mute := plain.dial(t)
		defer mute.Close()
		if _, err := io.WriteString(mute, octets); err != nil {
			t.Fatal(err)
		}
	}

	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- h.Shutdown(context.WithoutCancel(t.Context())) }()
	if text, err := io.ReadAll(stompIn); err != nil || !strings.Contains(string(text), "message:connection_forced") {
		t.Errorf("STOMP: %q, %v", text, err)
	}
	if text, code := converse(t, web); !strings.Contains(text, "shutdown") || code != websocket.StatusNormalClosure {
		t.Errorf("WebSocket: %q, %d", text, code)
	}
	if _, err := io.ReadAll(stream.Body); err != nil {
		t.Errorf("stream: %v", err)
	}
	select {
	case reason := <-amqpEnds:
		if reason == nil || reason.Code != amqp.ConnectionForced {
			t.Errorf("AMQP: %v", reason)
		}
	case <-time.After(wait):
		t.Error("AMQP: not told")
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > hold {
		t.Errorf("the drain took %v", took)
	}
	if late, err := plain.tryDial(); err == nil {
		late.Close()
		t.Error("a client came in")
	}
}
