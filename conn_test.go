// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		url  string
		want target
	}{
		{"parley://", target{"tcp", "localhost:5672", "localhost", "guest", "guest", "/", false}},
		{"parley://hub", target{"tcp", "hub:5672", "hub", "guest", "guest", "/", false}},
		{"amqp://hub:99/", target{"tcp", "hub:99", "hub", "guest", "guest", "/", false}},
		{"amqps://hub", target{"tcp", "hub:5671", "hub", "guest", "guest", "/", true}},
		{
			"parleys://ada:p%40ss@[::1]:1/team%2Fa",
			target{"tcp", "[::1]:1", "::1", "ada", "p@ss", "team/a", true},
		},
		{
			"unix:///run/parley.sock?vhost=v",
			target{"unix", "/run/parley.sock", "", "guest", "guest", "v", false},
		},
	}
	for _, tc := range testCases {
		if got, err := parseTarget(tc.url); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v\nwant %+v", tc.url, got, err, tc.want)
		}
	}
	for _, bad := range []string{"http://hub", "hub:5672", "parley://h:port", "parley://h:65536", "://", "parley://%zz"} {
		if _, err := parseTarget(bad); !errors.Is(err, CodeBadRequest) {
			t.Errorf("%s: %v, want %s", bad, err, CodeBadRequest)
		}
	}
	_, err := parseTarget("parley://ada:sesame@hub:port")
	if err == nil || bytes.Contains([]byte(err.Error()), []byte("sesame")) {
		t.Errorf("the password is in %v", err)
	}
}

func TestSplitName(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]string{
		{"quote", "quote", ""},
		{"greeter.SayHello", "greeter", "SayHello"},
		{"a.b.Op", "a.b", "Op"},
		{"a.b/Op", "a.b", "Op"},
		{"a/b.c/d", "a", "b.c/d"},
		{"my.queue/", "my.queue", ""},
		{".hidden", ".hidden", ""},
		{"", "", ""},
	} {
		if s, o := SplitName(tc[0]); s != tc[1] || o != tc[2] {
			t.Errorf("SplitName(%q) = %q, %q", tc[0], s, o)
		}
	}
}

func TestDialFailsWithACode(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	_, err = Dial(t.Context(), "parley://"+closed.Addr().String())
	if !errors.Is(err, CodeUnreachable) {
		t.Errorf("nobody listens: %v, want %s", err, CodeUnreachable)
	}
	testCases := []struct {
		name   string
		answer []byte // to the protocol header
		code   Code
	}{
		{"another version", []byte("AMQP\x00\x01\x00\x00"), CodeUnreachable},
		{"another protocol", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), CodeUnreachable},
		{"nothing", nil, CodeUnreachable},
		{
			"out of turn", (&wire.ConnectionTune{}).AppendFrame(nil, 0), CodeBadReply,
		},
		{
			"refused", (&wire.ConnectionClose{
				ReplyCode: 403, ReplyText: "ACCESS_REFUSED - Login was refused",
			}).AppendFrame(nil, 0), CodeUnauthenticated,
		},
		{
			"no such virtual host", (&wire.ConnectionClose{
				ReplyCode: 530, ReplyText: "NOT_ALLOWED - vhost v not found", ClassID: 10, MethodID: 40,
			}).AppendFrame(nil, 0), CodeForbidden,
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				_, _ = io.ReadFull(theirs, make([]byte, wire.ProtocolHeaderBytes))
				_, _ = theirs.Write(tc.answer)
				if len(tc.answer) > 8 {
					_, _ = io.Copy(io.Discard, theirs)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := Dial(ctx, "parley://", WithDialer(func(context.Context) (net.Conn, error) {
				return ours, nil
			}))
			ours.Close()
			if !errors.Is(err, tc.code) {
				t.Errorf("err = %v, want %s", err, tc.code)
			}
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, "parley://", WithDialer(func(context.Context) (net.Conn, error) {
		return ours, nil
	}))
	if !errors.Is(err, CodeDeadline) {
		t.Fatalf("a hub that says nothing: %v, want %s", err, CodeDeadline)
	}
}

// What no hub sends ends the connection with an error, and hangs nobody.
func TestHostileFramesEndTheConnection(t *testing.T) {
	t.Parallel()
	tune := wire.ConnectionTune{ChannelMax: 10, FrameMax: wire.FrameMinBytes}
	answer := wire.Properties{CorrelationID: "x"}
	method := func(ch uint16, m wire.Method) []byte { return m.AppendFrame(nil, ch) }
	whole := (&peer{}).delivery(1, []byte("0123456789"), answer)
	headOnly := whole[:len(whole)-10-wire.FrameOverheadBytes]
	testCases := []struct {
		name  string
		bytes []byte
	}{
		{"channel that is not open", method(7, &wire.BasicAck{DeliveryTag: 1})},
		{"answer that was not asked for", bytes.Repeat(method(1, &wire.QueueDeclareOk{}), 2)},
		{"method of the other side", method(0, &wire.ConnectionOpen{})},
		{"body before its header", wire.AppendFrame(nil, wire.FrameBody, 1, []byte("x"))},
		{"header before its method", (&wire.Content{Channel: 1}).AppendHeader(nil)},
		{"more body than announced", wire.AppendFrame(bytes.Clone(headOnly), wire.FrameBody, 1,
			[]byte("0123456789+"))},
		{"method inside of a content", append(bytes.Clone(headOnly),
			method(1, &wire.BasicAck{DeliveryTag: 1})...)},
		{"body above the limit", (&peer{}).delivery(1, make([]byte, 2001), answer)},
		{"frame above the limit", []byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff}},
		{"no frame end", append(method(1, &wire.BasicAck{})[:11], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"unknown method", wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 99, 0, 99})},
		{"method cut short", wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 60, 0, 60, 1})},
		{"end of the stream", nil},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := dialPeer(t, tune, func(p *peer) {
				p.openReplies()
				p.read(&wire.BasicPublish{})
				done := make(chan struct{})
				go func() { // the client may still be writing
					defer close(done)
					p.drain()
				}()
				p.raw(tc.bytes)
				if tc.bytes == nil {
					p.conn.Close()
				}
				<-done
			}, WithMaxBodyBytes(2000))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err = NewOp[string, string]("svc.Op").Call(ctx, c, "x")
			if !errors.Is(err, CodeBadReply) {
				t.Errorf("call in flight: %v, want %s", err, CodeBadReply)
			}
			if c.Err() == nil {
				t.Error("the connection goes on")
			}
			if _, err := NewOp[string, string]("svc.Op").Call(ctx, c, "x"); err == nil ||
				errors.Is(err, CodeDeadline) {
				t.Errorf("next call: %v", err)
			}
		})
	}
}

// A hub that stops says so; work in flight may have been done, what comes later was not.
func TestHubThatStops(t *testing.T) {
	t.Parallel()
	c, err := dialPeer(t, wire.ConnectionTune{}, func(p *peer) {
		p.openReplies()
		p.read(&wire.BasicPublish{})
		go p.drain()
		p.say(0, &wire.ConnectionClose{ReplyCode: 320, ReplyText: "CONNECTION_FORCED - shutdown"})
		<-t.Context().Done()
	})
	if err != nil {
		t.Fatal(err)
	}
	op := NewOp[string, string]("svc.Op")
	_, err = op.Call(t.Context(), c, "x")
	if !errors.Is(err, CodeBadReply) || !errors.Is(err, CodeDraining) {
		t.Errorf("call in flight: %v, want %s because of %s", err, CodeBadReply, CodeDraining)
	}
	<-c.Done()
	if _, err := op.Call(t.Context(), c, "x"); !errors.Is(err, CodeDraining) ||
		errors.Is(err, CodeBadReply) {
		t.Errorf("next call: %v, want %s", err, CodeDraining)
	}
}

// A close of the hub's that crosses one of ours ends the channel, not the connection.
func TestCrossedChannelCloses(t *testing.T) {
	t.Parallel()
	c, err := dialPeer(t, wire.ConnectionTune{}, func(p *peer) {
		for f, err := p.r.Next(); err == nil; f, err = p.r.Next() {
			switch id, _, _ := f.SplitMethod(); id { //nolint:exhaustive // the rest needs no answer
			case wire.IDChannelOpen:
				p.say(f.Channel, &wire.ChannelOpenOk{})
			case wire.IDQueueDeclare:
				p.say(f.Channel, &wire.QueueDeclareOk{Queue: "q"})
			case wire.IDChannelClose:
				p.say(f.Channel, &wire.ChannelClose{ReplyCode: uint16(wire.PreconditionFailed)})
				p.say(f.Channel, &wire.ChannelCloseOk{})
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.Queue(t.Context(), "q"); err != nil {
			t.Error(err)
		}
	}
}
