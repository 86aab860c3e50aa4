// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/hub"
)

// lineClient sends lines and reads answers.
type lineClient struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func newLineClient(t *testing.T, conn net.Conn) *lineClient {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	return &lineClient{t, conn, bufio.NewReader(conn)}
}

// do sends a line and returns the next one that comes.
func (c *lineClient) do(line string) string {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	return c.next()
}

func (c *lineClient) next() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%.200q: %v", line, err)
	}
	return line
}

// lineWorks sends a large message to itself.
func lineWorks(t *testing.T, conn net.Conn) {
	t.Helper()
	defer conn.Close()
	c := newLineClient(t, conn)
	if got := c.do(`{"op":"hello","id":1,"user":"guest","password":"guest"}`); !strings.Contains(got, `"user":"guest"`) {
		t.Fatal(got)
	}
	if got := c.do(`{"op":"subscribe","id":2,"topic":"doors.` + conn.LocalAddr().String() + `","ack":"auto"}`); got != `{"id":2}`+"\n" {
		t.Fatal(got)
	}
	body := base64.StdEncoding.EncodeToString(large()[:1<<20])
	got := c.do(`{"op":"publish","id":3,"topic":"doors.` + conn.LocalAddr().String() + `","body_b64":"` + body + `"}`)
	if !strings.HasPrefix(got, `{"event":"message","sub":2,`) || !strings.Contains(got, `"body_b64":"`+body+`"`) {
		t.Fatalf("got %.300q", got)
	}
	if got := c.next(); got != `{"id":3,"routed":1}`+"\n" {
		t.Fatal(got)
	}
}

// TestLine: lines over TLS, on the shared port, and on a Unix socket, whose mode lets nobody else in.
func TestLine(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	socket := filepath.Join(t.TempDir(), "line.sock")
	h := start(t, func(o *hub.Options) {
		o.TLS, o.Listen = ca.hubTLS(t), free
		o.Doors.Line.Listen, o.Doors.Line.TLSListen = "unix:"+socket, free
	})
	shared := h.Addr(hub.SharedPort).String()
	lineWorks(t, dialer{h.Addr("line" + hub.TLSSuffix).String(), ca.client(t, "")}.dial(t))
	lineWorks(t, dialer{shared, nil}.dial(t))
	lineWorks(t, dialer{shared, ca.client(t, "")}.dial(t))
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	// The process is the hub's own user's: it need not say who it is.
	c := newLineClient(t, conn)
	if got := c.do(`{"op":"hello","id":1}`); !strings.Contains(got, `"user":"guest"`) {
		t.Error(got)
	}
}

// TestLineIdentity: the name in a client's certificate is the user, as is the listener's own; a client
// that a proxy brings from elsewhere is nobody.
func TestLineIdentity(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	ada := hub.User{Name: "ada", Permissions: map[string]hub.Permission{
		"/": {Configure: ".*", Write: ".*", Read: ".*"},
	}}
	h := start(t, func(o *hub.Options) {
		o.Users, o.TLS = []hub.User{ada}, ca.hubTLS(t)
		o.Doors.Line.TLSListen = free
		o.Doors.Line.TLS.ClientCA = filepath.Join(ca.Dir, "ca.pem")
		o.Doors.Line.TLS.Identity = "common_name"
	})
	at := h.Addr("line" + hub.TLSSuffix).String()
	c := newLineClient(t, dialer{at, ca.client(t, "ada")}.dial(t))
	if got := c.do(`{"op":"hello","id":1}`); !strings.Contains(got, `"user":"ada"`) {
		t.Error(got)
	}
	c = newLineClient(t, dialer{at, ca.client(t, "eve")}.dial(t))
	if got := c.do(`{"op":"hello","id":1}`); !strings.Contains(got, `"code":"unauthenticated"`) {
		t.Error(got)
	}
	fixed := start(t, func(o *hub.Options) {
		o.Users = []hub.User{ada}
		o.Doors.Line.Listen, o.Doors.Line.User = free, "ada"
	})
	c = newLineClient(t, dialer{fixed.Addr("line").String(), nil}.dial(t))
	if got := c.do(`{"op":"hello","id":1}`); !strings.Contains(got, `"user":"ada"`) {
		t.Error(got)
	}
	behind := start(t, func(o *hub.Options) {
		o.Doors.Line.Listen, o.Proxies = free, []string{"127.0.0.1"}
	})
	for from, want := range map[string]string{"127.0.0.1": `{"id":1}`, "192.0.2.1": `"unauthenticated"`} {
		c = newLineClient(t, dialer{behind.Addr("line").String(), nil}.dial(t))
		if got := c.do("PROXY TCP4 " + from + " 127.0.0.1 1 2\r\n" + `{"op":"ping","id":1}`); !strings.Contains(got, want) {
			t.Errorf("from %s: %s", from, got)
		}
	}
}

// TestLineDatagrams: they come to the port that takes connections.
func TestLineDatagrams(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) { o.Doors.Line.Listen = free })
	at := h.Addr("line").String()
	c := newLineClient(t, dialer{at, nil}.dial(t))
	if got := c.do(`{"op":"subscribe","id":1,"topic":"load","ack":"auto"}`); got != `{"id":1}`+"\n" {
		t.Fatal(got)
	}
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for n := range 3 {
		if _, err := fmt.Fprintf(conn, `{"op":"publish","topic":"load","body":{"cpu":%d}}`, n); err != nil {
			t.Fatal(err)
		}
		if got := c.next(); !strings.HasSuffix(got, fmt.Sprintf(`"body":{"cpu":%d}}`, n)+"\n") {
			t.Error(got)
		}
	}
}
