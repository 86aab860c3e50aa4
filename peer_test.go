// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"log/slog"
	"net"
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// peer is a scripted hub at the other end of a connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *wire.Reader
}

// dialPeer connects to a peer that has accepted the login; script goes on from there.
func dialPeer(
	t *testing.T, tune wire.ConnectionTune, script func(*peer), opts ...Option,
) (*Conn, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &peer{t: t, conn: theirs, r: wire.NewReader(theirs)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if p.accept(&tune) {
			script(p)
		}
		theirs.Close()
	}()
	t.Cleanup(func() {
		theirs.Close()
		<-ended
	})
	opts = append([]Option{
		WithDialer(func(context.Context) (net.Conn, error) { return ours, nil }),
		WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	c, err := Dial(t.Context(), "parley://ada:secret@hub/v", opts...)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// accept is the hub's part of the handshake.
func (p *peer) accept(tune *wire.ConnectionTune) bool {
	if _, err := p.r.ProtocolHeader(); err != nil {
		p.t.Errorf("protocol header: %v", err)
		return false
	}
	p.say(0, &wire.ConnectionStart{VersionMinor: 9, Mechanisms: "PLAIN", Locales: "en_US"})
	var login wire.ConnectionStartOk
	p.read(&login)
	if login.Mechanism != "PLAIN" || login.Response != "\x00ada\x00secret" {
		p.t.Errorf("login = %s %q", login.Mechanism, login.Response)
	}
	p.say(0, tune)
	p.read(&wire.ConnectionTuneOk{})
	var open wire.ConnectionOpen
	p.read(&open)
	if open.VirtualHost != "v" {
		p.t.Errorf("virtual host %q", open.VirtualHost)
	}
	p.say(0, &wire.ConnectionOpenOk{})
	return true
}

// say writes a method; a client that is gone is its own test's business.
func (p *peer) say(channel uint16, m wire.Method) { p.raw(m.AppendFrame(nil, channel)) }

func (p *peer) raw(b []byte) { _, _ = p.conn.Write(b) }

// read reads frames up to the method it wants, and returns its channel.
func (p *peer) read(want wire.Method) uint16 {
	for {
		f, err := p.r.Next()
		if err != nil {
			return 0
		}
		if f.Type != wire.FrameMethod {
			continue
		}
		id, args, err := f.SplitMethod()
		if err != nil {
			p.t.Errorf("frame of the client: %v", err)
			return 0
		}
		if id == wire.IDConnectionClose {
			return 0 // the client is done
		}
		if id != want.ID() {
			p.t.Errorf("the client said %v, want %v", id, want.ID())
			return 0
		}
		if err := want.Decode(args); err != nil {
			p.t.Errorf("%v of the client: %v", id, err)
		}
		return f.Channel
	}
}

// openReplies plays the opening of the channel for calls.
func (p *peer) openReplies() (channel uint16) {
	channel = p.read(&wire.ChannelOpen{})
	p.say(channel, &wire.ChannelOpenOk{})
	var consume wire.BasicConsume
	p.read(&consume)
	if consume.Queue != directReplyTo || !consume.NoAck {
		p.t.Errorf("consume = %+v", consume)
	}
	p.say(channel, &wire.BasicConsumeOk{ConsumerTag: consume.ConsumerTag})
	return channel
}

// drain reads until the client is gone.
func (p *peer) drain() {
	for {
		if _, err := p.r.Next(); err != nil {
			return
		}
	}
}

// delivery is a message to the consumer of answers.
func (p *peer) delivery(channel uint16, body []byte, props wire.Properties) []byte {
	props.SetFlags()
	m := wire.BasicDeliver{ConsumerTag: []byte("answers"), DeliveryTag: 1}
	return wire.AppendDeliver(nil, &m, &wire.Content{
		Channel: channel, FrameMax: wire.FrameMinBytes, Properties: props.Append(nil), Body: body,
	})
}
