// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// Limits of the HTTP server (security.md, H4).
const (
	webHeaderTime  = 5 * time.Second
	webHeaderBytes = 64 << 10
	webIdleTime    = 2 * time.Minute
	webBodyStep    = 64 << 10
	webDrainTime   = 10 * time.Second
)

// web serves the connections that turn out to be HTTP's.
type web struct {
	door   *Door
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}
	start  sync.Once
	once   sync.Once
	ended  chan struct{} // the server has returned, or was never started
	// draining ends when the hub stops: WebSockets say good-bye.
	draining context.Context //nolint:containedctx // of the server
	stop     context.CancelFunc
}

// memberKey is under which a request has its member.
type memberKey struct{}

// newWeb returns a server that runs from its first connection on.
func newWeb(d *Door) *web {
	w := &web{
		door: d, conns: make(chan net.Conn), done: make(chan struct{}), ended: make(chan struct{}),
	}
	w.draining, w.stop = context.WithCancel(context.Background())
	w.server = &http.Server{
		Handler: http.HandlerFunc(w.serve), ReadHeaderTimeout: webHeaderTime, IdleTimeout: webIdleTime,
		MaxHeaderBytes: webHeaderBytes,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if given, ok := c.(*webConn); ok {
				return context.WithValue(ctx, memberKey{}, given.member)
			}
			return ctx
		},
		ErrorLog: slog.NewLogLogger(d.options.Logger.Handler(), slog.LevelDebug),
	}
	return w
}

// webConn is a connection of HTTP of which the first octet was read.
type webConn struct {
	net.Conn

	first  []byte
	member *member
	once   sync.Once
	closed chan struct{}
	err    error
}

// Read implements net.Conn.
func (c *webConn) Read(p []byte) (int, error) {
	if len(c.first) == 0 || len(p) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}

// Close implements net.Conn.
func (c *webConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		close(c.closed)
	})
	return c.err
}

// take gives a connection to the server, and returns when it is closed.
func (w *web) take(nc net.Conn, first byte, m *member) {
	w.start.Do(func() {
		go func() {
			defer close(w.ended)
			_ = w.server.Serve(w) // it ends with the listener
		}()
	})
	c := &webConn{Conn: nc, first: []byte{first}, member: m, closed: make(chan struct{})}
	select {
	case w.conns <- c:
		<-c.closed
	case <-w.done:
		_ = nc.Close() // nothing was promised
	}
	m.close()
}

// Accept implements net.Listener.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *web) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

// Addr implements net.Listener: connections come from several.
func (w *web) Addr() net.Addr { return &net.TCPAddr{} }

// drain lets requests under way end, and closes their connections behind them.
func (w *web) drain() {
	w.stop()
	w.server.SetKeepAlivesEnabled(false)
}

// close ends the server.
func (w *web) close() error {
	w.stop()
	late, cancel := context.WithTimeout(context.Background(), webDrainTime)
	defer cancel()
	err := w.server.Shutdown(late)
	if err != nil {
		err = w.server.Close()
	}
	_ = w.Close() // it has no error
	w.start.Do(func() { close(w.ended) })
	<-w.ended
	return err
}

// serve answers a request on the door's own port: whatever its path, but /thrift/{service} names one.
func (w *web) serve(rw http.ResponseWriter, r *http.Request) {
	m, ok := r.Context().Value(memberKey{}).(*member)
	if !ok {
		http.Error(rw, "nobody calls", http.StatusForbidden)
		return
	}
	switch {
	case w.door.foreign(r):
		http.Error(rw, "requests from pages of another origin are refused", http.StatusForbidden)
		return
	case m.isSilent() && (r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != ""):
		// A proxy on this machine speaks for somebody else.
		http.Error(rw, "the listener knows no user for this client", http.StatusForbidden)
		return
	}
	if !w.door.cors(rw, r) {
		w.door.ServeHTTP(rw, r, m.caller())
	}
}

// cors tells the browser that a page of an allowed origin may read the answer, and answers its preflight,
// which each call of a page has: the content types of Thrift are none that a form could send.
func (d *Door) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	if len(d.origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !d.origins[origin] {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
	return true
}

// foreign reports whether a request comes from a page of another origin, or found its way to this
// machine under a name that is not the machine's (security.md).
func (d *Door) foreign(r *http.Request) bool {
	page := auth.Page{
		Host: r.Host, Origins: r.Header.Values("Origin"), Site: r.Header.Get("Sec-Fetch-Site"),
	}
	if page.Foreign(d.origins) {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return !ok || local.Network() != "unix" && auth.PeerOf(local).Loopback() &&
		!auth.LoopbackHost(r.Host)
}

// Path is where the door is on a server that has other things too; below it are services.
const Path = "/thrift"

// Takes reports whether a request that is no upgrade has a content type of Thrift.
func Takes(contentType string) bool { return isThrift([]byte(contentType)) }

// ServeHTTP answers a request of HTTP: a call, or the beginning of a WebSocket. The caller of
// ServeHTTP has looked at who sent it. Errors of calls have the status 200, since clients look at no
// other answer (thrift.md, Door).
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request, from Caller) {
	if name, ok := strings.CutPrefix(r.URL.Path, Path+"/"); ok {
		from.service = name
	}
	from.request = r
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && d.options.Upgrade != nil:
		d.serveWebSocket(w, r, from)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Thrift over HTTP is POST", http.StatusMethodNotAllowed)
		return
	case !Takes(r.Header.Get("Content-Type")):
		w.Header().Set("Accept-Post", typeApache)
		http.Error(w, "the body is to be "+typeApache, http.StatusUnsupportedMediaType)
		return
	}
	body, err := d.readBody(w, r)
	if err != nil {
		answerUnread(w, err)
		return
	}
	c, zlib, err := d.carry(r.Context(), from, body)
	if err != nil {
		http.Error(w, "the body is no message", http.StatusBadRequest)
		return
	}
	defer d.calls.put(c)
	out := d.wrap(c, zlib)
	h := w.Header()
	h.Set("Content-Type", r.Header.Get("Content-Type"))
	h.Set("Content-Length", strconv.Itoa(len(out)))
	h.Set("X-Content-Type-Options", "nosniff")
	_ = http.NewResponseController(w).SetWriteDeadline(d.deadline(len(out))) // not all have one
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(out) // the client may be gone
}

// carry carries out the message that a body is: its first one, and nothing behind it. What it was
// wrapped in at the outside is zlib, or not.
func (d *Door) carry(ctx context.Context, from Caller, body []byte) (c *call, zlib bool, err error) {
	stream := wire.NewStream(bytes.NewReader(body), d.limits)
	m, err := stream.Next()
	var broken *wire.Error
	if err != nil && (!errors.As(err, &broken) || !m.Detected) {
		return nil, false, err
	}
	c = d.calls.get()
	c.begin(ctx, from, m)
	switch {
	case err != nil:
		c.spoil(err)
	case stream.Buffered() > 0:
		c.spoil(&wire.Error{
			Kind: wire.InvalidData, At: len(m.Bytes), Text: "octets behind the message",
		})
	default:
		c.run()
	}
	return c, m.Shape.Zlib, nil
}

// wrap returns the answer of a call as its message was wrapped, or an exception if it is larger than
// that can say.
func (d *Door) wrap(c *call, zlib bool) []byte {
	out, err := d.tryWrap(c, zlib)
	if err != nil {
		c.fail(unsayable(err))
		if out, err = d.tryWrap(c, zlib); err != nil {
			return nil
		}
	}
	return out
}

func (d *Door) tryWrap(c *call, zlib bool) ([]byte, error) {
	if len(c.answer) == 0 {
		return nil, nil
	}
	how := wire.Wrapping{Info: c.info, Limits: d.answerLimits}
	s := &c.message.Shape
	if !zlib && s.Header.Zlib == 0 {
		return s.Append(nil, c.answer, &how)
	}
	var out []byte
	var err error
	d.deflate(func(z *wire.Deflater) {
		how.Deflater = z
		if out, err = s.Append(nil, c.answer, &how); err == nil && zlib {
			out, err = z.AppendMessage(z.AppendHead(nil), out)
		}
	})
	return out, err
}

// errTooLarge ends the reading of a body.
var errTooLarge = errors.New("the body is too large")

// readBody reads a body that grows as it comes, and has to come at a certain rate.
func (d *Door) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := d.limits.MessageBytes + wrapBytes
	if r.ContentLength > int64(limit) {
		return nil, errTooLarge
	}
	control, began := http.NewResponseController(w), time.Now()
	var body []byte
	for {
		if len(body) == cap(body) {
			step := max(webBodyStep, len(body))
			if n := r.ContentLength - int64(len(body)); n >= 0 && n < int64(step) {
				step = int(n) + 1 // for the end
			}
			body = append(body, make([]byte, step)...)[:len(body)]
		}
		most := max(d.options.MessageTime, time.Duration(len(body)/messageRate)*time.Second)
		_ = control.SetReadDeadline(began.Add(most)) // not all have one
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			_ = control.SetReadDeadline(time.Time{})
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// answerUnread answers a request whose body was not read.
func answerUnread(w http.ResponseWriter, err error) {
	if errors.Is(err, errTooLarge) { // the server drops the rest, so that the client reads this
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	w.Header().Set("Connection", "close")
	http.Error(w, "the body did not come", http.StatusRequestTimeout)
}

// deadline returns until when so many octets have to be written.
func (d *Door) deadline(n int) time.Time {
	return time.Now().Add(max(d.options.MessageTime, time.Duration(n/messageRate)*time.Second))
}
