// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Limits that this side offers in the handshake. The hub may ask for less.
const (
	maxChannels   = 2047
	maxFrameBytes = 128 << 10
)

// DefaultURL is a hub on this machine with its defaults.
const DefaultURL = "parley://localhost"

// target is a parsed URL.
type target struct {
	network, address string
	host             string // for TLS
	user, password   string
	vhost            string
	tls              bool
}

// parseTarget reads parley://user:password@host:port/vhost. Defaults are guest, guest, 5672 (5671
// with TLS) and the virtual host "/".
func parseTarget(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, &Error{Code: CodeBadRequest, Message: "hub URL: " + urlFault(err)}
	}
	t := target{network: "tcp", user: "guest", password: "guest", vhost: "/"}
	port := "5672"
	switch u.Scheme {
	case "parley", "amqp":
	case "parleys", "amqps":
		t.tls, port = true, "5671"
	case "unix":
		t.network, t.address = "unix", u.Path
	default:
		return target{}, errorf(CodeBadRequest,
			"hub URL: scheme %q is not parley, parleys, amqp, amqps or unix", u.Scheme)
	}
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
	}
	if t.network == "unix" {
		if v := u.Query().Get("vhost"); v != "" {
			t.vhost = v
		}
		return t, nil
	}
	if p := u.Port(); p != "" {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return target{}, errorf(CodeBadRequest, "hub URL: port %s is more than 65535", p)
		}
		port = p
	}
	t.host = u.Hostname()
	if t.host == "" {
		t.host = "localhost"
	}
	t.address = net.JoinHostPort(t.host, port)
	if v := strings.TrimPrefix(u.Path, "/"); v != "" {
		t.vhost = v
	}
	return t, nil
}

// urlFault is the error without the URL, which may hold a password.
func urlFault(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// Dial connects to a hub. The URL is parley://user:password@host:port/vhost, where every part but
// the scheme may be left out; parleys:// is the same over TLS, amqp:// and amqps:// are other names
// of the two, unix:///path/of/socket?vhost=v is a Unix socket. ctx bounds the connecting only;
// without a deadline it is DefaultTimeout. Failures are an *[Error]: CodeUnreachable,
// CodeUnauthenticated, CodeForbidden.
func Dial(ctx context.Context, url string, opts ...Option) (*Conn, error) {
	t, err := parseTarget(url)
	if err != nil {
		return nil, err
	}
	o := dialOptions{
		heartbeat: DefaultHeartbeat, maxBodyBytes: DefaultMaxBodyBytes, logger: slog.Default(),
	}
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	nc, err := dialSocket(ctx, t, &o)
	if err != nil {
		return nil, &Error{Code: CodeUnreachable, Message: err.Error(), cause: err}
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	source := &deadlineReader{conn: nc}
	c := &Conn{
		nc: nc, options: o, source: source, reader: wire.NewReader(source),
		asks: newLazyChannel(), sends: newLazyChannel(), publicly: newLazyChannel(),
		done: make(chan struct{}), channels: make(map[uint16]*channel),
	}
	c.writer.init()
	if err := c.handshake(t); err != nil {
		stop()
		nc.Close()
		if ctx.Err() != nil {
			return nil, contextError(ctx, "connect to the hub")
		}
		return nil, err
	}
	if !stop() {
		nc.Close()
		return nil, contextError(ctx, "connect to the hub")
	}
	c.start()
	return c, nil
}

// withDefault gives ctx a deadline when it has none.
func withDefault(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

func dialSocket(ctx context.Context, t target, o *dialOptions) (net.Conn, error) {
	if o.dial != nil {
		return o.dial(ctx)
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, t.network, t.address)
	if err != nil || !t.tls {
		return nc, err
	}
	conf := o.tls.Clone()
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if conf.ServerName == "" {
		conf.ServerName = t.host
	}
	secure := tls.Client(nc, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return secure, nil
}

// handshake logs in (AMQP 0-9-1 §2.2.4): start, tune, open. It runs before the connection's
// goroutines; the context of Dial closes the socket when it takes too long.
func (c *Conn) handshake(t target) error {
	if _, err := io.WriteString(c.nc, wire.ProtocolHeader); err != nil {
		return unreachable(err)
	}
	var start wire.ConnectionStart
	if err := c.expect(&start); err != nil {
		return err
	}
	login := wire.ConnectionStartOk{
		ClientProperties: c.clientProperties(), Mechanism: "PLAIN",
		Response: "\x00" + t.user + "\x00" + t.password, Locale: "en_US",
	}
	if err := c.say(&login); err != nil {
		return err
	}
	var tune wire.ConnectionTune
	if err := c.expect(&tune); err != nil {
		return err
	}
	ok := c.negotiate(&tune)
	if err := c.say(&ok); err != nil {
		return err
	}
	if err := c.say(&wire.ConnectionOpen{VirtualHost: t.vhost}); err != nil {
		return err
	}
	return c.expect(&wire.ConnectionOpenOk{})
}

func (c *Conn) clientProperties() wire.Table {
	t := wire.Table{
		{Name: "product", Value: "parley"},
		{Name: "platform", Value: "Go"},
		{Name: "version", Value: Version()},
		{Name: "capabilities", Value: wire.Table{
			{Name: "publisher_confirms", Value: true},
			{Name: "consumer_cancel_notify", Value: true},
			{Name: "basic.nack", Value: true},
			{Name: "connection.blocked", Value: true},
			{Name: "authentication_failure_close", Value: true},
		}},
	}
	if c.options.name != "" {
		t = append(t, wire.Field{Name: "connection_name", Value: c.options.name})
	}
	return t
}

// negotiate takes the lesser of what both sides offer; 0 is no limit (AMQP 0-9-1 §4.2.7, tune).
func (c *Conn) negotiate(tune *wire.ConnectionTune) wire.ConnectionTuneOk {
	c.channelMax, c.frameMax = maxChannels, maxFrameBytes
	if tune.ChannelMax != 0 {
		c.channelMax = min(c.channelMax, tune.ChannelMax)
	}
	if tune.FrameMax != 0 {
		c.frameMax = max(min(c.frameMax, tune.FrameMax), wire.FrameMinBytes)
	}
	beat := uint16(min(c.options.heartbeat/time.Second, 1<<16-1))
	if tune.Heartbeat != 0 {
		beat = min(beat, tune.Heartbeat)
	}
	c.heartbeat = time.Duration(beat) * time.Second
	c.reader.SetFrameMax(c.frameMax)
	// Two heartbeats without a sign of life are the end (AMQP 0-9-1 §4.2.7).
	c.source.patience = 2 * c.heartbeat
	return wire.ConnectionTuneOk{
		ChannelMax: c.channelMax, FrameMax: c.frameMax, Heartbeat: beat,
	}
}

// say writes a method of the handshake.
func (c *Conn) say(m wire.Method) error {
	if _, err := c.nc.Write(m.AppendFrame(nil, 0)); err != nil {
		return unreachable(err)
	}
	return nil
}

// expect reads the next method of the handshake. A connection.close in its place is the hub's no.
func (c *Conn) expect(want wire.Method) error {
	for {
		f, err := c.reader.Next()
		if err != nil {
			return unreachable(err)
		}
		if f.Type == wire.FrameHeartbeat {
			continue
		}
		id, args, err := f.SplitMethod()
		if err != nil || f.Type != wire.FrameMethod || f.Channel != 0 {
			return errorf(CodeBadReply, "the peer does not speak AMQP 0-9-1")
		}
		switch id {
		case want.ID():
			return want.Decode(args)
		case wire.IDConnectionClose:
			return c.refused(args)
		default:
			return errorf(CodeBadReply, "the hub said %v where %v was due", id, want.ID())
		}
	}
}

func (c *Conn) refused(args []byte) error {
	var m wire.ConnectionClose
	if err := m.Decode(args); err != nil {
		return err
	}
	_ = c.say(&wire.ConnectionCloseOk{}) // the hub closes either way
	e := replyError(m.ReplyCode, m.ReplyText)
	if wire.ReplyCode(m.ReplyCode) == wire.AccessRefused && m.ClassID != connectionOpenClass {
		e.Code = CodeUnauthenticated
	}
	return e
}

// connectionOpenClass is what a refusal of connection.open names; one of the login names 0.
const connectionOpenClass = 10

func unreachable(err error) error {
	if errors.Is(err, io.EOF) {
		return &Error{Code: CodeUnreachable, Message: "the hub closed the connection", cause: err}
	}
	return &Error{
		Code: CodeUnreachable, Message: fmt.Sprintf("connection to the hub: %v", err), cause: err,
	}
}

// deadlineReader gives every read the connection's patience.
type deadlineReader struct {
	conn     net.Conn
	patience time.Duration // 0: no limit
}

func (r *deadlineReader) Read(p []byte) (int, error) {
	if r.patience > 0 {
		if err := r.conn.SetReadDeadline(time.Now().Add(r.patience)); err != nil {
			return 0, err
		}
	}
	return r.conn.Read(p)
}
