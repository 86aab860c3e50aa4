// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// raw is a client that compares octets: no decoder of ours stands between it and the door.
type raw struct {
	t       *testing.T
	net     net.Conn
	in      *bufio.Reader
	version wire.Version
	session string
}

// rawDial opens a connection that has said nothing.
func (h *hub) rawDial(t *testing.T) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, net: nc, in: bufio.NewReader(nc)}
}

// rawConnect is the CONNECT of a version, without its end: 1.0 names none.
func rawConnect(v wire.Version) string {
	const login = "login:guest\npasscode:guest\n"
	if v == wire.V10 {
		return "CONNECT\n" + login
	}
	return "CONNECT\naccept-version:" + v.String() + "\n" + login
}

// rawLogin opens a connection that has logged in.
func (h *hub) rawLogin(t *testing.T, v wire.Version) *raw {
	t.Helper()
	c := h.rawDial(t)
	c.send(rawConnect(v) + "\n\x00")
	c.connected(v)
	return c
}

// connected reads CONNECTED and remembers what later frames repeat.
func (c *raw) connected(v wire.Version) string {
	c.t.Helper()
	f := c.frame()
	if !strings.HasPrefix(f, "CONNECTED\nversion:"+v.String()+"\nsession:session-") {
		c.t.Fatalf("got %q, want CONNECTED of %v", f, v)
	}
	c.version, c.session = v, headerIn(f, "session")
	return f
}

// send writes octets.
func (c *raw) send(octets string) {
	c.t.Helper()
	if _, err := io.WriteString(c.net, octets); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// frame reads one frame up to its NUL, without the line ends before it.
func (c *raw) frame() string {
	c.t.Helper()
	f, err := c.tryFrame()
	if err != nil {
		c.t.Fatalf("got %q, then %v", f, err)
	}
	return f
}

// tryFrame is frame with the error that ended the connection.
func (c *raw) tryFrame() (string, error) {
	var head strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if head.Len() > 0 || line != "\n" {
			head.WriteString(line)
		}
		if err != nil {
			return head.String(), err
		}
		if line == "\n" && head.Len() > 0 {
			break
		}
	}
	n, err := strconv.Atoi(headerIn(head.String(), "content-length"))
	if err != nil {
		body, err := c.in.ReadString(0)
		return head.String() + body, err
	}
	body := make([]byte, n+1)
	_, err = io.ReadFull(c.in, body)
	return head.String() + string(body), err
}

// headerIn returns the first header of a name as it stands in a frame.
func headerIn(frame, name string) string {
	head, _, _ := strings.Cut(frame, "\n\n")
	_, rest, _ := strings.Cut(head+"\n", "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// want reads a frame that has to be these octets, NUL aside; {session} stands for the session's name.
func (c *raw) want(octets string) {
	c.t.Helper()
	octets = strings.ReplaceAll(octets, "{session}", c.session) + "\x00"
	if f := c.frame(); f != octets {
		c.t.Errorf("got %q, want %q", f, octets)
	}
}

// done sends a frame, given as its command and headers, and waits until the hub has handled it.
func (c *raw) done(head string) {
	c.t.Helper()
	c.send(head + "\nreceipt:r\n\n\x00")
	c.want("RECEIPT\nreceipt-id:r\n\n")
}

// carries reads a MESSAGE and compares what its sender wrote: headers, blank line and body.
func (c *raw) carries(want string) string {
	c.t.Helper()
	f := c.frame()
	head, body, _ := strings.Cut(f, "\n\n")
	_, sent, ok := strings.Cut(head+"\n", "\nredelivered:false\n")
	sent = strings.Replace(sent, "content-length:"+strconv.Itoa(len(body)-1)+"\n", "", 1)
	if got := sent + "\n" + body; !ok || !strings.HasPrefix(f, "MESSAGE\n") || got != want+"\x00" {
		c.t.Errorf("got %q, want a MESSAGE with %q", f, want)
	}
	return f
}

// refused reads an ERROR, which has to end the connection within a second and some grace.
func (c *raw) refused(message, body string) {
	c.t.Helper()
	f := c.frame()
	if !strings.HasPrefix(f, "ERROR\nmessage:"+message+"\n") || !strings.HasSuffix(f, "\n\n"+body+"\x00") {
		c.t.Errorf("got %q, want an ERROR %q with %q", f, message, body)
	}
	c.ended()
}

// ended waits for the end of a connection that has nothing more to say.
func (c *raw) ended() {
	c.t.Helper()
	began := time.Now()
	if rest, err := io.ReadAll(c.in); err != nil || strings.Trim(string(rest), "\n") != "" {
		c.t.Errorf("after the last frame: %q, %v", rest, err)
	}
	if took := time.Since(began); took > 5*lingerTime {
		c.t.Errorf("closed after %v", took)
	}
}
