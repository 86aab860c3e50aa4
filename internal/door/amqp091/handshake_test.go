// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestProtocolHeader (§4.2.2, amqp-0-9-1.md "header"): what is not 0-9-1 gets our header.
func TestProtocolHeader(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, header string
		ok           bool
	}{
		{"0-9-1", wire.ProtocolHeader, true},
		{"0-9 of old clients", oldHeader, true},
		{"0-8", "AMQP\x01\x01\x08\x00", false},
		{"1.0", "AMQP\x00\x01\x00\x00", false},
		{"HTTP", "GET / HT", false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01", false},
	}
	s := newServer(t, Options{})
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := s.connect(t)
			p.write([]byte(tc.header))
			if tc.ok {
				p.want(0, &wire.ConnectionStart{})
				return
			}
			got, err := io.ReadAll(p.nc)
			if err != nil || string(got) != wire.ProtocolHeader {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		first      string
		ours, more bool
	}{
		{"", false, true},
		{"A", false, true},
		{"AMQP", false, true},
		{"AMQP\x00", true, false},
		{wire.ProtocolHeader, true, false},
		{oldHeader, true, false},
		{"AMQP\x00\x01\x00\x00", false, false},
		{"AMQP\x03", false, false},
		{"GET ", false, false},
	}
	for _, tc := range testCases {
		if ours, more := Match([]byte(tc.first)); ours != tc.ours || more != tc.more {
			t.Errorf("%q: got %t %t, want %+v", tc.first, ours, more, tc)
		}
	}
}

// TestServerProperties: what clients sniff.
func TestServerProperties(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{Product: "RabbitMQ", Version: "3.13.7"}).connect(t)
	p.write([]byte(wire.ProtocolHeader))
	var m wire.ConnectionStart
	p.want(0, &m)
	for name, want := range map[string]any{
		"product": "RabbitMQ", "version": "3.13.7", "cluster_name": "test",
	} {
		if got, _ := m.ServerProperties.Get(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	value, _ := m.ServerProperties.Get("capabilities")
	capabilities, _ := value.(wire.Table)
	for _, name := range []string{
		"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
		"connection.blocked", "consumer_priorities", "authentication_failure_close",
		"per_consumer_qos", "direct_reply_to",
	} {
		if got, _ := capabilities.Get(name); got != true {
			t.Errorf("capability %s is %v", name, got)
		}
	}
	if m.Locales != "en_US" || m.VersionMajor != 0 || m.VersionMinor != 9 {
		t.Errorf("got %+v", m)
	}
}

// TestLogin covers PLAIN, AMQPLAIN and the refusals of amqp-0-9-1.md "auth failure",
// "mechanism", and TestSecA12's malformed responses.
func TestSecA12Login(t *testing.T) {
	t.Parallel()
	plain := "\x00guest\x00guest"
	table := wire.Table{{Name: "LOGIN", Value: "guest"}, {Name: "PASSWORD", Value: "guest"}}
	bomb := append([]byte{1, 'L', 'F', 0xff, 0xff, 0xff, 0xff}, table.AppendFields(nil)...)
	refused := func(mechanism string) string {
		return "Login was refused using authentication mechanism " + mechanism +
			". For details see the broker logfile."
	}
	testCases := []struct {
		name, mechanism, response string
		code                      wire.ReplyCode // 0: welcome
		text                      string
	}{
		{"plain", "PLAIN", plain, 0, ""},
		{"amqplain", "AMQPLAIN", string(table.AppendFields(nil)), 0, ""},
		{"wrong password", "PLAIN", "\x00guest\x00x", wire.AccessRefused, refused("PLAIN")},
		{"no NUL", "PLAIN", "guestguest", wire.AccessRefused, refused("PLAIN")},
		{"one NUL", "PLAIN", "\x00guest", wire.AccessRefused, refused("PLAIN")},
		{
			"no password, RabbitMQ 2016-9877", "PLAIN", "\x00\x00", wire.AccessRefused,
			refused("PLAIN"),
		},
		{"long", "PLAIN", strings.Repeat("x", 7000), wire.AccessRefused, refused("PLAIN")},
		{"amqplain bomb", "AMQPLAIN", string(bomb), wire.AccessRefused, refused("AMQPLAIN")},
		{
			"amqplain without password", "AMQPLAIN", string(table[:1].AppendFields(nil)),
			wire.AccessRefused, refused("AMQPLAIN"),
		},
		{"unknown", "X", "", wire.CommandInvalid, "unknown authentication mechanism 'X'"},
		{
			"not offered", "EXTERNAL", "", wire.CommandInvalid,
			"invalid authentication mechanism 'EXTERNAL'",
		},
	}
	s := newServer(t, Options{})
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := s.connect(t)
			p.write([]byte(wire.ProtocolHeader))
			p.want(0, &wire.ConnectionStart{})
			p.send(0, &wire.ConnectionStartOk{
				ClientProperties: clientProperties(), Mechanism: tc.mechanism,
				Response: tc.response, Locale: "en_US",
			})
			if tc.code == 0 {
				p.want(0, &wire.ConnectionTune{})
				return
			}
			p.wantClose(tc.code, tc.text)
		})
	}
	t.Run("silent without the capability", func(t *testing.T) {
		t.Parallel()
		p := s.connect(t)
		p.write([]byte(wire.ProtocolHeader))
		p.want(0, &wire.ConnectionStart{})
		p.send(0, &wire.ConnectionStartOk{Mechanism: "PLAIN", Response: "\x00guest\x00x"})
		if _, err := p.in.Next(); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})
}

// TestTune is amqp-0-9-1.md "tune" and "bad tune-ok", each limit at N-1, N, N+1.
func TestTune(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name string
		m    wire.ConnectionTuneOk
		text string // empty: welcome
	}{
		{"as offered", wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072}, ""},
		{"least", wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096}, ""},
		{
			"frame 4095",
			wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4095},
			"negotiated frame_max = 4095 is lower than the minimum allowed value (4096)",
		},
		{
			"frame 0",
			wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 0},
			"negotiated frame_max = 0 is higher than the maximum allowed value (131072)",
		},
		{
			"frame 131073",
			wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 131073},
			"negotiated frame_max = 131073 is higher than the maximum allowed value (131072)",
		},
		{"channel 0", wire.ConnectionTuneOk{ChannelMax: 0, FrameMax: 4096}, "negotiated channel_max" +
			" = 0 (no limit) is higher than the maximum allowed value (2047)"},
		{
			"channel 2048",
			wire.ConnectionTuneOk{ChannelMax: 2048, FrameMax: 4096},
			"negotiated channel_max = 2048 is higher than the maximum allowed value (2047)",
		},
	}
	s := newServer(t, Options{})
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := s.connect(t)
			p.write([]byte(wire.ProtocolHeader))
			p.start("guest", "guest")
			var offer wire.ConnectionTune
			p.want(0, &offer)
			if offer != (wire.ConnectionTune{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60}) {
				t.Errorf("offered %+v", offer)
			}
			p.send(0, &tc.m)
			if tc.text != "" {
				p.wantClose(wire.NotAllowed, tc.text)
				return
			}
			p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
			p.want(0, &wire.ConnectionOpenOk{})
		})
	}
}

// TestOpen is amqp-0-9-1.md "open" and "connection limits".
func TestOpen(t *testing.T) {
	t.Parallel()
	open := func(s *server, vhost string) *peer {
		p := s.connect(t)
		p.write([]byte(wire.ProtocolHeader))
		p.start("guest", "guest")
		p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096})
		p.send(0, &wire.ConnectionOpen{VirtualHost: vhost})
		return p
	}
	s := newServer(t, Options{})
	open(s, "x").wantClose(wire.NotAllowed, "vhost x not found")
	open(s, "").wantClose(wire.NotAllowed, "vhost  not found")
	one := newServer(t, Options{Broker: newBroker(t, broker.Limits{Connections: 1})})
	first := open(one, "/")
	first.want(0, &wire.ConnectionOpenOk{})
	open(one, "/").wantClose(wire.NotAllowed,
		"connection refused: node connection limit (1) is reached")
	got := one.broker.Connections()
	if len(got) != 1 || got[0].ClientName != "peer" || got[0].User != "guest" ||
		got[0].Door != "amqp091" || !strings.Contains(got[0].Name, " -> ") {
		t.Errorf("listed: %+v", got)
	}
}

// TestSecLimitsBeforeLogin is security.md: frames of at most 8192 octets, channel 0 and methods
// of the connection class only, all within the handshake timeout.
func TestSecLimitsBeforeLogin(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	testCases := []struct {
		name, text string
		code       wire.ReplyCode
		raw        []byte
	}{
		{
			"frame of 8193", "type 1, all octets = <<>>: {frame_too_large,8193,8184}",
			wire.FrameError,
			[]byte{1, 0, 0, 0, 0, 0x20, 0x01},
		},
		{
			"channel 1", "type 1, all octets = <<0,20,0,10,0>>",
			wire.UnexpectedFrame, (&wire.ChannelOpen{}).AppendFrame(nil, 1),
		},
		{
			"body", "type 3, all octets = <<>>",
			wire.UnexpectedFrame, wire.AppendFrame(nil, wire.FrameBody, 0, nil),
		},
		{
			"other method", "unexpected method in handshake: queue.declare",
			wire.CommandInvalid, (&wire.QueueDeclare{Queue: "q"}).AppendFrame(nil, 0),
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := s.connect(t)
			p.write([]byte(wire.ProtocolHeader))
			p.want(0, &wire.ConnectionStart{})
			p.write(tc.raw)
			p.wantClose(tc.code, tc.text)
		})
	}
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		p := newServer(t, Options{HandshakeTimeout: time.Millisecond}).connect(t)
		if _, err := p.nc.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})
	t.Run("heartbeats may come between", func(t *testing.T) {
		t.Parallel()
		p := s.connect(t)
		p.write(wire.AppendHeartbeat([]byte(wire.ProtocolHeader)))
		p.start("guest", "guest")
		p.want(0, &wire.ConnectionTune{})
	})
	t.Run("close in the handshake", func(t *testing.T) {
		t.Parallel()
		p := s.connect(t)
		p.write([]byte(wire.ProtocolHeader))
		p.want(0, &wire.ConnectionStart{})
		p.send(0, &wire.ConnectionClose{ReplyCode: 200})
		p.want(0, &wire.ConnectionCloseOk{})
		p.wantEOF()
	})
}

// TestFailurePause: a handshake that failed is kept for a while, so that guessing costs time.
func TestFailurePause(t *testing.T) {
	t.Parallel()
	const pause = 200 * time.Millisecond
	p := newServer(t, Options{FailurePause: pause}).connect(t)
	start := time.Now()
	p.write([]byte("AMQP\x09\x09\x09\x09"))
	got, err := io.ReadAll(p.nc)
	if err != nil || !bytes.Equal(got, []byte(wire.ProtocolHeader)) {
		t.Fatalf("got %q, %v", got, err)
	}
	if took := time.Since(start); took < pause {
		t.Errorf("closed after %v", took)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Limits{})
	testCases := []struct {
		name string
		o    Options
		ok   bool
	}{
		{"zero values", Options{Broker: b, Auth: passwords{}}, true},
		{"nothing", Options{}, false},
		{"frame max", Options{Broker: b, Auth: passwords{}, FrameMaxBytes: 4095}, false},
		{"channel max", Options{Broker: b, Auth: passwords{}, ChannelMax: 65536}, false},
		{"heartbeat", Options{Broker: b, Auth: passwords{}, Heartbeat: 1500 * time.Millisecond}, false},
		{"timeout", Options{Broker: b, Auth: passwords{}, HandshakeTimeout: -1}, false},
	}
	for _, tc := range testCases {
		if _, err := New(tc.o); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
