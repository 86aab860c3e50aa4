// SPDX-License-Identifier: Apache-2.0

package security

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

const (
	// unsettledCap and bindingsCap are limits of the hub under attack, lower than its own defaults so
	// that a row reaches them.
	unsettledCap = 5_000
	bindingsCap  = 20_000
	// quiet is how long nothing has to come until a row believes that nothing will.
	quiet = 300 * time.Millisecond
)

// configuration is the hub's: the caps of the rows that reach them, and TLS.
func configuration(t *testing.T, certs *certificates) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "parley.yaml")
	text := fmt.Sprintf("limits: {unsettled_per_session: %d, bindings: %d}\n"+
		"rest: {streams: %d, streams_per_user: %d}\n%s",
		unsettledCap, bindingsCap, idleStreams, idleStreams, certs.configuration())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// amqpLimitAttacks are the rows that reach a limit: N - 1 and N are taken, N + 1 is not.
func amqpLimitAttacks() []attack {
	return []attack{
		frames("A2 second protocol header", []byte(wire.ProtocolHeader), "FRAME_ERROR"),
		frames("A3 more body than announced", moreBody(), "exceeds remaining content size"),
		{"A6 65,535 channels", everyChannel},
		{"A7 unacknowledged deliveries", unsettled},
		{"A8 drip", drip},
		{"A9 bindings", bindings},
		{"A12 10,000 wrong passwords", wrongPasswords},
	}
}

// moreBody announces an octet and sends two.
func moreBody() []byte {
	b := (&wire.BasicPublish{RoutingKey: []byte("nowhere")}).AppendFrame(nil, 1)
	b = wire.AppendFrame(b, wire.FrameHeader, 1, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0})
	return wire.AppendFrame(b, wire.FrameBody, 1, []byte("xy"))
}

// everyChannel opens each channel that has a number.
func everyChannel(t *testing.T, g *ground) {
	raw := login("guest")
	for n := 2; n <= 1<<16-1; n++ {
		raw = (&wire.ChannelOpen{}).AppendFrame(raw, uint16(n))
	}
	volley(t, 8, func() {
		answered(t, dialQuick(t, g.AMQP), raw, "number of channels opened (2047) has reached")
	})
}

// unsettled never acknowledges: deliveries stop at the cap, and go on one by one as they are settled.
func unsettled(t *testing.T, g *ground) {
	ch := channel(t, g)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range unsettledCap + 2 {
		if err := ch.Publish("", q.Name, false, false, amqp.Publishing{}); err != nil {
			t.Fatal(err)
		}
	}
	deliveries, err := ch.Consume(q.Name, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	come := func(want int) (last amqp.Delivery) {
		t.Helper()
		n := 0
		for wait := time.After(attackWait); n < want; n++ {
			select {
			case last = <-deliveries:
			case <-wait:
				t.Fatalf("%d of %d came", n, want)
			}
		}
		select {
		case <-deliveries:
			t.Fatalf("one more than %d came", want)
		case <-time.After(quiet):
		}
		return last
	}
	last := come(unsettledCap)
	for range 2 {
		if err := last.Ack(false); err != nil {
			t.Fatal(err)
		}
		last = come(1)
	}
	_ = ch.Close()
}

// drip sends an octet of a frame now and then: any octet is a sign of life, so the heartbeat does not
// end it, and a frame that is complete still gets its answer.
func drip(t *testing.T, g *ground) {
	conn := dial(t, g.AMQP)
	raw := []byte(wire.ProtocolHeader)
	raw = (&wire.ConnectionStartOk{
		Mechanism: "PLAIN", Response: "\x00guest\x00guest", Locale: "en_US",
	}).AppendFrame(raw, 0)
	raw = (&wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096, Heartbeat: 1}).AppendFrame(raw, 0)
	raw = (&wire.ConnectionOpen{VirtualHost: "/"}).AppendFrame(raw, 0)
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	frame := wire.AppendFrame(nil, wire.FrameHeartbeat, 0, nil)
	ticker := time.NewTicker(600 * time.Millisecond)
	defer ticker.Stop()
	for i := range frame {
		<-ticker.C
		if _, err := conn.Write(frame[i : i+1]); err != nil {
			t.Fatalf("closed after %d octets: %v", i, err)
		}
	}
	_ = conn.Close()
}

// bindings fills a virtual host with them: the last one that fits is taken, the next is refused, and
// the routing stays quick.
func bindings(t *testing.T, g *ground) {
	ch := channel(t, g)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	bind := func(n int, wait bool) error {
		return ch.QueueBind(q.Name, fmt.Sprintf("%d.#.%d.*", n, n), "amq.topic", !wait, nil)
	}
	const margin = 200 // what other rows and the canary may have bound
	for n := range bindingsCap - margin {
		if err := bind(n, false); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 * margin {
		if err = bind(bindingsCap+n, true); err != nil {
			break
		}
	}
	if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Code != amqp.PreconditionFailed {
		t.Errorf("above the limit: %v", err)
	}
	other := channel(t, g)
	start := time.Now()
	const publishes = 500
	for n := range publishes {
		key := fmt.Sprintf("%d.%s%d.z", n, strings.Repeat("a.", 100), n)
		if err := other.Publish("amq.topic", key, false, false, amqp.Publishing{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.QueueDeclarePassive(q.Name, false, true, true, false, nil); err == nil {
		t.Error("an exclusive queue of another connection")
	}
	if each := time.Since(start) / publishes; each > 20*time.Millisecond {
		t.Errorf("a publish against %d bindings took %v", bindingsCap, each)
	}
}

// wrongPasswords tries one after the other, many at a time: every refusal is the same, and costs the
// hub no more than a socket for a second. From loopback nobody is locked out; the limit of an address
// is TestSecA12FailuresAreLimited and TestSecA12WrongPasswords of the door.
func wrongPasswords(t *testing.T, g *ground) {
	times := 10_000
	if testing.Short() {
		times = 1_000
	}
	const parallel = 250
	raw := []byte(wire.ProtocolHeader)
	raw = (&wire.ConnectionStartOk{
		ClientProperties: wire.Table{{Name: "capabilities", Value: wire.Table{
			{Name: "authentication_failure_close", Value: true},
		}}},
		Mechanism: "PLAIN", Response: "\x00guest\x00" + secret, Locale: "en_US",
	}).AppendFrame(raw, 0)
	done := make(chan struct{})
	for range parallel {
		go func() {
			defer func() { done <- struct{}{} }()
			for range times / parallel {
				if t.Failed() {
					return
				}
				answered(t, dialQuick(t, g.AMQP), raw,
					"ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN")
			}
		}()
	}
	for range parallel {
		<-done
	}
}
