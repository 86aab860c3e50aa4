// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestSecFrames are rows A1, A2, A3 and A6 of security.md: the named error, and the end of the
// connection for nobody else.
func TestSecFrames(t *testing.T) {
	t.Parallel()
	body := func(payload string) []byte {
		return wire.AppendFrame(nil, wire.FrameBody, 1, []byte(payload))
	}
	header := func(class byte, size uint64) []byte {
		payload := []byte{0, class, 0, 0}
		for i := 56; i >= 0; i -= 8 {
			payload = append(payload, byte(size>>i))
		}
		return wire.AppendFrame(nil, wire.FrameHeader, 1, append(payload, 0, 0))
	}
	publish := toQueue("q").AppendFrame(nil, 1)
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	testCases := []struct {
		name string
		raw  []byte
		code wire.ReplyCode
		text string
	}{
		{
			"A1 size 0xffffffff",
			[]byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff},
			wire.FrameError,
			"type 1, all octets = <<>>: {frame_too_large,4294967295,131064}",
		},
		{
			"A1 over frame-max",
			[]byte{3, 0, 1, 0, 2, 0, 1},
			wire.FrameError,
			"type 3, all octets = <<>>: {frame_too_large,131073,131064}",
		},
		{
			"A2 no frame-end",
			[]byte{8, 0, 0, 0, 0, 0, 0, 0},
			wire.FrameError,
			"type 8, all octets = <<>>: {invalid_frame_end_marker,0}",
		},
		{
			"A2 second protocol header", []byte(wire.ProtocolHeader + wire.ProtocolHeader),
			wire.FrameError, "type 65, all octets = <<>>: {frame_too_large,1342177289,131064}",
		},
		{
			"A2 unknown type", wire.AppendFrame(nil, 9, 1, nil), wire.FrameError,
			"type 9, all octets = <<>>: unknown_frame",
		},
		{
			"A2 heartbeat on channel 1",
			[]byte{8, 0, 1, 0, 0, 0, 0, 0xce},
			wire.UnexpectedFrame,
			"type 8, all octets = <<>>",
		},
		{
			"A3 size 2^63", join(publish, header(60, 1<<63)), wire.FrameError,
			"content body size 9223372036854775808 exceeds maximum allowed size 536870912",
		},
		{
			"A3 more body than announced", join(publish, header(60, 3), body("four")),
			wire.FrameError, "content body frame exceeds remaining content size",
		},
		{
			"A3 more body than announced, in two", join(publish, header(60, 3), body("to"), body("of")),
			wire.FrameError, "content body frame exceeds remaining content size",
		},
		{
			"class in the header", join(publish, header(10, 3)), wire.UnexpectedFrame,
			"expected content header for class 60, got one for class 10 instead",
		},
		{
			"method instead of a header", join(publish, publish), wire.UnexpectedFrame,
			"expected content header for class 60, got non content header frame instead",
		},
		{
			"body instead of a header", join(publish, body("x")), wire.UnexpectedFrame,
			"expected content header for class 60, got non content header frame instead",
		},
		{
			"method instead of body", join(publish, header(60, 3), publish), wire.UnexpectedFrame,
			"expected content body, got non content body frame instead",
		},
		{
			"header instead of body", join(publish, header(60, 3), header(60, 3)),
			wire.UnexpectedFrame, "expected content body, got non content body frame instead",
		},
		{
			"header without a method", header(60, 3), wire.UnexpectedFrame,
			"expected method frame, got non method frame instead",
		},
		{
			"body without a method", body("x"), wire.UnexpectedFrame,
			"expected method frame, got non method frame instead",
		},
		{
			"A6 unopened channel", (&wire.TxSelect{}).AppendFrame(nil, 9), wire.ChannelError,
			"expected 'channel.open'",
		},
		{
			"A6 body on an unopened channel", wire.AppendFrame(nil, wire.FrameBody, 65535, nil),
			wire.ChannelError, "expected 'channel.open'",
		},
		{
			"A6 open twice", (&wire.ChannelOpen{}).AppendFrame(nil, 1), wire.ChannelError,
			"second 'channel.open' seen",
		},
		{
			"A6 queue.declare on channel 0", (&wire.QueueDeclare{}).AppendFrame(nil, 0),
			wire.ChannelError, "unexpected method in connection state running",
		},
		{
			"start-ok again", (&wire.ConnectionStartOk{}).AppendFrame(nil, 0), wire.ChannelError,
			"unexpected method in connection state running",
		},
		{
			"body on channel 0", wire.AppendFrame(nil, wire.FrameBody, 0, []byte("x")),
			wire.UnexpectedFrame, `type 3, all octets = <<"x">>`,
		},
		{
			"unknown method", wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 60, 0, 99}),
			wire.CommandInvalid, "unknown method (60, 99)",
		},
		{
			"unknown class", wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 99, 0, 10}),
			wire.CommandInvalid, "unknown method (99, 10)",
		},
		{
			"method of the server", (&wire.BasicDeliver{}).AppendFrame(nil, 1), wire.CommandInvalid,
			"unimplemented method",
		},
		{
			"A4 arguments cut short", wire.AppendFrame(nil, wire.FrameMethod, 1,
				[]byte{0, 50, 0, 10, 0, 0, 5, 'q'}), wire.SyntaxError,
			"queue.declare: arguments cut short",
		},
		{
			"no method in the frame", wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 50}),
			wire.FrameError, "type 1, all octets = <<0,50>>: unknown_frame",
		},
	}
	s := newServer(t, Options{})
	canary := s.open(t)
	canary.declare("canary")
	canary.consume(&wire.BasicConsume{Queue: "canary", NoAck: true})
	t.Run("attacks", func(t *testing.T) {
		for _, tc := range testCases {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				p := s.open(t)
				p.write(tc.raw)
				p.wantClose(tc.code, tc.text)
			})
		}
	})
	canary.publish(toQueue("canary"), wire.Properties{}, "alive")
	if _, m := canary.deliver(); m.body != "alive" {
		t.Errorf("the canary got %q", m.body)
	}
}

// TestSecA4TableBomb: a table nested 10,000 deep in a method and in headers.
func TestSecA4TableBomb(t *testing.T) {
	t.Parallel()
	var bomb []byte
	for range 10_000 {
		n := len(bomb)
		field := []byte{0, 'F', byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		bomb = append(field, bomb...)
	}
	n := len(bomb)
	table := append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, bomb...)
	s := newServer(t, Options{})

	p := s.open(t)
	declare := append([]byte{0, 50, 0, 10, 0, 0, 1, 'q', 0}, table...)
	p.write(wire.AppendFrame(nil, wire.FrameMethod, 1, declare))
	p.wantClose(wire.SyntaxError, "field table: nested too deep")

	p = s.open(t)
	raw := toQueue("q").AppendFrame(nil, 1)
	content := append([]byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0}, table...)
	p.write(wire.AppendFrame(raw, wire.FrameHeader, 1, content))
	p.wantClose(wire.SyntaxError, "field table: nested too deep")
}

// TestSecA6ChannelMax: channels at N and N+1 of what was negotiated, and reuse of a number.
func TestSecA6ChannelMax(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{ChannelMax: 3})
	p := s.connect(t)
	p.write([]byte(wire.ProtocolHeader))
	p.start("guest", "guest")
	p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 2, FrameMax: 4096})
	p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	p.want(0, &wire.ConnectionOpenOk{})
	p.openChannel(65535) // the number does not count, as in RabbitMQ 3.10
	p.openChannel(1)
	p.send(1, &wire.ChannelClose{ReplyCode: 200})
	p.want(1, &wire.ChannelCloseOk{})
	p.openChannel(2)
	p.send(3, &wire.ChannelOpen{})
	p.wantClose(wire.NotAllowed,
		"number of channels opened (2) has reached the negotiated channel_max (2)")
}

// TestConnectionClose: exclusive queues are gone before close-ok is written.
func TestConnectionClose(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	p.call(&wire.QueueDeclare{Queue: "mine", Exclusive: true}, &wire.QueueDeclareOk{})
	p.send(0, &wire.ConnectionClose{ReplyCode: 200})
	p.want(0, &wire.ConnectionCloseOk{})
	if vh, _ := s.broker.VirtualHost("/"); vh != nil {
		if _, ok := vh.Queue("mine"); ok {
			t.Error("the exclusive queue outlives close-ok")
		}
	}
	p.wantEOF()
	if n := len(s.broker.Connections()); n != 0 {
		t.Errorf("%d connections are listed", n)
	}
}

// TestForcedClose is amqp-0-9-1.md "forced close": 320 with the reason, queues gone before it.
func TestForcedClose(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	p.call(&wire.QueueDeclare{Queue: "mine", Exclusive: true}, &wire.QueueDeclareOk{})
	s.broker.Connections()[0].ForceClose("Closed via management plugin")
	var m wire.ConnectionClose
	p.want(0, &m)
	if m.ReplyText != "CONNECTION_FORCED - Closed via management plugin" || m.ReplyCode != 320 {
		t.Errorf("got %+v", m)
	}
	vh, _ := s.broker.VirtualHost("/")
	if _, ok := vh.Queue("mine"); ok {
		t.Error("the exclusive queue outlives the close")
	}
	p.send(0, &wire.ConnectionCloseOk{})
	p.wantEOF()
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p, early := s.open(t), s.connect(t)
	s.stop()
	p.wantClose(wire.ConnectionForced, shutdownReason)
	p.wantEOF()
	early.wantEOF() // who has not logged in is told nothing
	late := s.connect(t)
	if _, err := late.nc.Read(make([]byte, 1)); err == nil {
		t.Error("a connection after the stop is served")
	}
}

// TestAbruptEnd: a client that goes away leaves nothing behind.
func TestAbruptEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	p.call(&wire.QueueDeclare{Queue: "mine", Exclusive: true}, &wire.QueueDeclareOk{})
	half := toQueue("mine").AppendFrame(nil, 1)
	p.write(half[:len(half)-3])
	p.nc.Close()
	deadline := time.Now().Add(patience)
	for len(s.broker.Connections()) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the connection stays")
		}
		time.Sleep(time.Millisecond) // polling for another goroutine's end
	}
}

// pipe serves one side of a net.Pipe in a synctest bubble and returns a client on the other.
func pipe(t *testing.T, o Options, heartbeat uint16) *peer {
	t.Helper()
	o.Broker, o.Auth = newBroker(t, broker.Limits{}), passwords{}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Serve(t.Context(), there, func() {})
	}()
	t.Cleanup(func() {
		here.Close()
		<-done
	})
	p := &peer{tb: t, nc: here, in: wire.NewReader(here)}
	p.write([]byte(wire.ProtocolHeader))
	p.start("guest", "guest")
	p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072, Heartbeat: heartbeat})
	p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	p.want(0, &wire.ConnectionOpenOk{})
	p.waitForever()
	return p
}

// waitForever takes the bound of the last step away: what follows lasts hours on the fake clock.
func (p *peer) waitForever() {
	p.tb.Helper()
	if err := p.nc.SetDeadline(time.Time{}); err != nil {
		p.tb.Fatal(err)
	}
}

// TestSecA8Silence is amqp-0-9-1.md "heartbeat": two silent checks of T, that is 2T to 3T.
func TestSecA8Silence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const interval = 10 * time.Second
		p := pipe(t, Options{}, 10)
		start := time.Now()
		beats := 0
		for {
			f, err := p.in.Next()
			if err != nil {
				break
			}
			if f.Type != wire.FrameHeartbeat {
				t.Fatalf("got frame type %d", f.Type)
			}
			beats++
		}
		took := time.Since(start)
		if took < 2*interval || took > 3*interval {
			t.Errorf("closed after %v, want 2T to 3T", took)
		}
		if want := int(took / (interval / 2)); beats < want-1 || beats > want {
			t.Errorf("%d heartbeats in %v", beats, took)
		}
	})
}

// TestSecA8AnyOctet: octets that are no whole frame are signs of life too, but a frame must be
// complete in time.
func TestSecA8Drip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, Options{}, 1)
		go func() { _, _ = io.Copy(io.Discard, p.nc) }() // takes the heartbeats
		start := time.Now()
		publish := toQueue(strings.Repeat("k", 200)).AppendFrame(nil, 1)
		for _, octet := range publish {
			if _, err := p.nc.Write([]byte{octet}); err != nil {
				break
			}
			time.Sleep(900 * time.Millisecond)
		}
		if took := time.Since(start); took < partialTimeout || took > partialTimeout*6 {
			t.Errorf("dripped for %v", took)
		}
	})
}

// TestSecA3NeverCompleted: a body that is not completed ends the connection, however lively.
func TestSecA3NeverCompleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, Options{}, 10)
		p.openChannel(1)
		raw := appendPublish(nil, toQueue("q"), wire.Properties{}, "0123456789")
		p.write(raw[:len(raw)-18]) // method and header
		p.waitForever()
		go func() { _, _ = io.Copy(io.Discard, p.nc) }()
		start := time.Now()
		for {
			if _, err := p.nc.Write(wire.AppendHeartbeat(nil)); err != nil {
				break
			}
			time.Sleep(5 * time.Second)
		}
		if took := time.Since(start); took < partialTimeout || took > 2*partialTimeout {
			t.Errorf("kept for %v", took)
		}
	})
}

// TestIdle: a connection without heartbeats stays, however long nothing is said.
func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, Options{}, 0)
		time.Sleep(24 * time.Hour)
		p.openChannel(1)
	})
}
