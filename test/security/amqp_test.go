// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// repeats is how often a cheap attack is made, four at a time.
const repeats = 200

// login returns the bytes of a login up to connection.open and channel.open of channel 1.
func login(password string) []byte {
	b := []byte(wire.ProtocolHeader)
	start := wire.ConnectionStartOk{
		Mechanism: "PLAIN", Response: "\x00guest\x00" + password, Locale: "en_US",
	}
	b = start.AppendFrame(b, 0)
	b = (&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072}).AppendFrame(b, 0)
	b = (&wire.ConnectionOpen{VirtualHost: "/"}).AppendFrame(b, 0)
	return (&wire.ChannelOpen{}).AppendFrame(b, 1)
}

// volley makes one attack many times, each on a connection of its own.
func volley(t *testing.T, times int, one func()) {
	t.Helper()
	const parallel = 4
	var group sync.WaitGroup
	for range parallel {
		group.Go(func() {
			for range times / parallel {
				if t.Failed() {
					return
				}
				one()
			}
		})
	}
	group.Wait()
}

// frames is a row that logs in, sends frames, and expects connection.close with a text.
func frames(row string, send []byte, want string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		raw := append(login("guest"), send...)
		volley(t, repeats, func() { answered(t, dialQuick(t, g.AMQP), raw, want) })
	}}
}

// dialQuick is dial for volleys: refused closes the connection.
func dialQuick(t *testing.T, addr string) net.Conn {
	conn, err := net.DialTimeout("tcp", addr, attackWait)
	if err != nil {
		t.Error(err)
		conn, _ = net.Pipe()
	}
	_ = conn.SetDeadline(time.Now().Add(attackWait)) // a fresh socket takes it
	return conn
}

// nested is a field table of the given depth, as client properties would carry it.
func nested(depth int) []byte {
	table := []byte{}
	for range depth {
		inner := append([]byte{1, 'a', 'F'}, byte(len(table)>>24), byte(len(table)>>16),
			byte(len(table)>>8), byte(len(table)))
		table = append(inner, table...)
	}
	return table
}

func amqpAttacks() []attack {
	publish := (&wire.BasicPublish{RoutingKey: []byte("nowhere")}).AppendFrame(nil, 1)
	header := func(size uint64) []byte {
		p := []byte{0, 60, 0, 0}
		for shift := 56; shift >= 0; shift -= 8 {
			p = append(p, byte(size>>shift))
		}
		return wire.AppendFrame(nil, wire.FrameHeader, 1, append(p, 0, 0))
	}
	return []attack{
		frames("A1 frame size 0xffffffff", []byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff},
			"frame_too_large,4294967295,131064"),
		{"A1 and the connection ends", func(t *testing.T, g *ground) {
			raw := append(login("guest"), 1, 0, 1, 0xff, 0xff, 0xff, 0xff)
			refused(t, dial(t, g.AMQP), raw, "frame_too_large,4294967295,131064")
		}},
		{"A1 before tune", func(t *testing.T, g *ground) {
			raw := append([]byte(wire.ProtocolHeader), 1, 0, 0, 0xff, 0xff, 0xff, 0xff)
			volley(t, 40, func() { answered(t, dialQuick(t, g.AMQP), raw, "PLAIN") })
			refused(t, dial(t, g.AMQP), raw, "PLAIN")
		}},
		frames("A2 no frame-end", []byte{8, 0, 0, 0, 0, 0, 0, 0}, "FRAME_ERROR"),
		frames("A2 heartbeat on channel 1", []byte{8, 0, 1, 0, 0, 0, 0, 0xce}, "UNEXPECTED_FRAME"),
		frames("A3 body of 2^63", append(publish, header(1<<63)...), "FRAME_ERROR"),
		{"A3 bodies never completed", func(t *testing.T, g *ground) {
			raw := append(append(login("guest"), publish...), header(128<<20)...)
			raw = append(raw, wire.AppendFrame(nil, wire.FrameBody, 1, make([]byte, 64<<10))...)
			for range 100 {
				conn := dial(t, g.AMQP)
				if _, err := conn.Write(raw); err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
		}},
		frames("A4 table 10,000 deep", wire.AppendFrame(nil, wire.FrameMethod, 1,
			append([]byte{0, 50, 0, 10, 0, 0, 1, 'q', 0}, longTable(nested(10_000))...)),
			"SYNTAX_ERROR"),
		{"A6 channels beyond the maximum", func(t *testing.T, g *ground) {
			raw := login("guest")
			for n := 2; n <= 2048; n++ {
				raw = (&wire.ChannelOpen{}).AppendFrame(raw, uint16(n))
			}
			volley(t, 20, func() {
				answered(t, dialQuick(t, g.AMQP), raw, "number of channels opened (2047)")
			})
		}},
		frames("A6 frames on unopened channels",
			wire.AppendFrame(nil, wire.FrameBody, 65535, nil), "CHANNEL_ERROR"),
		{"A7 publish and never read", neverRead},
		{"A9 bindings of many hashes", manyHashes},
		{"A10 forged reply tokens", forgedTokens},
		{"A12 SASL", func(t *testing.T, g *ground) {
			var group sync.WaitGroup // a refusal takes its time
			for _, response := range []string{
				"", "guest", "\x00guest", "\x00\x00", strings.Repeat("x", 8000),
				"\x00guest\x00" + secret, "\x00nobody\x00" + secret,
			} {
				raw := []byte(wire.ProtocolHeader)
				raw = (&wire.ConnectionStartOk{
					ClientProperties: wire.Table{{Name: "capabilities", Value: wire.Table{
						{Name: "authentication_failure_close", Value: true},
					}}},
					Mechanism: "PLAIN", Response: response, Locale: "en_US",
				}).AppendFrame(raw, 0)
				group.Go(func() { refused(t, dialQuick(t, g.AMQP), raw, "ACCESS_REFUSED") })
			}
			group.Wait()
		}},
		{"A13 arguments out of range", badArguments},
		{"limits before login", func(t *testing.T, g *ground) {
			var open []net.Conn
			for range 500 { // half a header, and silence
				conn := dial(t, g.AMQP)
				if _, err := io.WriteString(conn, "AMQP"); err != nil {
					t.Fatal(err)
				}
				open = append(open, conn)
			}
			for _, conn := range open {
				_ = conn.Close()
			}
		}},
	}
}

// longTable puts the length before a table.
func longTable(table []byte) []byte {
	n := len(table)
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, table...)
}

// neverRead asks without an end and reads no answer: the connection is held, everybody else goes on.
func neverRead(t *testing.T, g *ground) {
	conn := dial(t, g.AMQP)
	raw := login("guest")
	raw = (&wire.QueueDeclare{Queue: "a7", Exclusive: true, NoWait: true}).AppendFrame(raw, 1)
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	question := bytes.Repeat((&wire.BasicGet{Queue: "a7"}).AppendFrame(nil, 1), 1000)
	if err := conn.SetWriteDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	const endless = 256 << 20
	written := 0
	for written < endless {
		n, err := conn.Write(question)
		written += n
		if err != nil {
			break // held back: that is what should happen
		}
	}
	if written >= endless {
		t.Errorf("the hub took %d bytes from a client that reads nothing", written)
	}
	_ = conn.Close()
}

// manyHashes binds with keys that make a naive matcher explode, and publishes against them.
func manyHashes(t *testing.T, g *ground) {
	ch := channel(t, g)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 60; n++ {
		key := strings.TrimSuffix(strings.Repeat("#.*.", n), ".")
		if err := ch.QueueBind(q.Name, key, "amq.topic", false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	const publishes = 200
	for n := range publishes {
		key := fmt.Sprintf("%d.%s", n, strings.Repeat("a.", 110)+"z")
		done, err := ch.PublishWithDeferredConfirm("amq.topic", key, false, false, amqp.Publishing{})
		if err != nil {
			t.Fatal(err)
		}
		done.Wait()
	}
	if each := time.Since(start) / publishes; each > 20*time.Millisecond {
		t.Errorf("a publish against such bindings took %v", each)
	}
}

func channel(t *testing.T, g *ground) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(g.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // after the row; some rows close it
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// forgedTokens answers to addresses that nobody gave out; no answer may reach the asker.
func forgedTokens(t *testing.T, g *ground) {
	asker, forger := channel(t, g), channel(t, g)
	replies, err := asker.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		key := fmt.Sprintf("amq.rabbitmq.reply-to.hub.%022d", n)
		if err := forger.Publish("", key, true, false, amqp.Publishing{Body: []byte("forged")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := forger.QueueDeclarePassive("amq.rabbitmq.reply-to.hub.x", false, false, false,
		false, nil); err == nil {
		t.Error("a forged reply address exists")
	}
	select {
	case d := <-replies:
		t.Errorf("a forged answer arrived: %s", d.Body)
	default:
	}
	_ = asker.Close()
}

func badArguments(t *testing.T, g *ground) {
	for name, value := range map[string]any{
		"x-max-priority": int64(1) << 31, "x-message-ttl": int64(1)<<62 + 1,
		"x-max-length": int32(-1), "x-expires": int32(0), "x-overflow": "explode",
		"x-dead-letter-exchange": []any{}, "x-delivery-limit": "many",
	} {
		ch := channel(t, g)
		_, err := ch.QueueDeclare("", false, true, true, false, amqp.Table{name: value})
		if e, ok := err.(*amqp.Error); !ok || e.Code != amqp.PreconditionFailed { //nolint:errorlint // the client's own
			t.Errorf("%s = %v: %v", name, value, err)
		}
	}
}

func TestNested(t *testing.T) {
	t.Parallel()
	if want := []byte{1, 'a', 'F', 0, 0, 0, 7, 1, 'a', 'F', 0, 0, 0, 0}; !bytes.Equal(nested(2), want) {
		t.Fatalf("nested(2) is %v", nested(2))
	}
}
