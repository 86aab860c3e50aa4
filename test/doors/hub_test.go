// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/hub"
)

// TestMain checks that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// wait bounds what should happen at once.
	wait = 20 * time.Second
	// largeBytes is more than a socket's buffers hold: a writer has to wait for it.
	largeBytes = 4 << 20
	free       = "127.0.0.1:0"
)

// start runs a hub until the test ends.
func start(t *testing.T, set func(*hub.Options)) *hub.Hub {
	t.Helper()
	o := hub.Options{Drain: 5 * time.Second}
	for _, d := range []*hub.Door{
		&o.Doors.AMQP, &o.Doors.STOMP, &o.Doors.WebSTOMP, &o.Doors.REST, &o.Doors.Management,
		&o.Doors.Line, &o.Doors.Thrift,
	} {
		d.Listen = hub.Off
	}
	set(&o)
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return h
}

// dialer connects to one address, over TLS or not.
type dialer struct {
	address string
	tls     *tls.Config // nil: none
}

func (d dialer) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := d.tryDial()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (d dialer) tryDial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if d.tls == nil {
		var plain net.Dialer
		return plain.DialContext(ctx, "tcp", d.address)
	}
	secured := tls.Dialer{Config: d.tls}
	return secured.DialContext(ctx, "tcp", d.address)
}

// large is a body that is never the same twice in a row.
func large() []byte {
	body := make([]byte, largeBytes)
	for i := range body {
		body[i] = byte(i * i >> 7)
	}
	return body
}

// amqpWorks sends a large message to itself with amqp091-go.
func amqpWorks(t *testing.T, d dialer) {
	t.Helper()
	scheme := "amqp"
	if d.tls != nil {
		scheme = "amqps"
	}
	conn, err := amqp.DialConfig(scheme+"://guest:guest@"+d.address+"/", amqp.Config{
		TLSClientConfig: d.tls, Heartbeat: 10 * time.Second, Locale: "en_US",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := large()
	const messages = 3
	for range messages {
		err := ch.PublishWithContext(t.Context(), "", q.Name, false, false, amqp.Publishing{Body: body})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range messages {
		select {
		case d, ok := <-deliveries:
			if !ok || !bytes.Equal(d.Body, body) {
				t.Fatalf("got %d bytes, %t", len(d.Body), ok)
			}
		case <-time.After(wait):
			t.Fatal("no delivery")
		}
	}
}

// stompWorks sends a large message to itself with go-stomp over a connection that stands.
func stompWorks(t *testing.T, conn io.ReadWriteCloser, topic string) {
	t.Helper()
	client, err := stomp.Connect(conn, stomp.ConnOpt.Login("guest", "guest"),
		stomp.ConnOpt.HeartBeat(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := client.Subscribe(topic, stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	body := large()
	err = client.Send(topic, "application/octet-stream", body, stomp.SendOpt.Receipt,
		func(f *frame.Frame) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-sub.C:
		if m.Err != nil || !bytes.Equal(m.Body, body) {
			t.Fatalf("got %d bytes, %v", len(m.Body), m.Err)
		}
	case <-time.After(wait):
		t.Fatal("no MESSAGE")
	}
	if err := client.Disconnect(); err != nil {
		t.Error(err)
	}
}

// restWorks sends a message and reads the hub's state with net/http, HTTP/1.1 and HTTP/2.
func restWorks(t *testing.T, d dialer) {
	t.Helper()
	for _, major := range []int{1, 2} {
		transport := &http.Transport{TLSClientConfig: d.tls.Clone(), Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(major == 1)
		transport.Protocols.SetHTTP2(major == 2 && d.tls != nil)
		transport.Protocols.SetUnencryptedHTTP2(major == 2 && d.tls == nil)
		client := http.Client{Transport: transport, Timeout: wait}
		base := "http://" + d.address
		if d.tls != nil {
			base = "https://" + d.address
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			base+"/v1/topics/doors/messages", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("guest", "guest")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode >= 300 || response.ProtoMajor != major {
			t.Errorf("%s, %s: %s, %v", response.Status, response.Proto, text, err)
		}
		transport.CloseIdleConnections()
	}
}

// refused reports that nothing is to be had from a connection.
func refused(conn net.Conn) bool {
	_ = conn.SetDeadline(time.Now().Add(wait))
	_, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}
