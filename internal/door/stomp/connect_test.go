// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// TestConnect: rows 7, 8, 9 and 20 of the checklist, and the rule for host.
func TestConnect(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	const login = "login:guest\npasscode:guest\n"
	testCases := []struct {
		name, frame, version, beat string
	}{
		{"1.0 has no accept-version", "CONNECT\n" + login, "1.0", "0,0"},
		{"1.0 pads values", "CONNECT\nlogin: guest\npasscode: guest\n", "1.0", "0,0"},
		{"row 7: highest in common", "CONNECT\naccept-version:1.0,1.1,1.2,3.0\n" + login, "1.2", "0,0"},
		{"row 7: 1.1 alone", "CONNECT\naccept-version:1.1\n" + login, "1.1", "0,0"},
		{"row 8: STOMP", "STOMP\naccept-version:1.2\nhost:/\n" + login, "1.2", "0,0"},
		{"row 1: CR LF before the version is known", "CONNECT\r\naccept-version:1.2\r\n" +
			strings.ReplaceAll(login, "\n", "\r\n"), "1.2", "0,0"},
		{"host names the machine", "CONNECT\nhost:localhost\n" + login, "1.0", "0,0"},
		{"host names no virtual host", "CONNECT\nhost:127.0.0.1\n" + login, "1.0", "0,0"},
		{"row 20: swapped", "CONNECT\nheart-beat:5000,7000\n" + login, "1.0", "7000,5000"},
		{"row 20: floor, none stays none", "CONNECT\nheart-beat:250,0\n" + login, "1.0", "0,1000"},
		{"S7: 1,1", "CONNECT\nheart-beat:1,1\n" + login, "1.0", "1000,1000"},
		{"S7: 2^31-1", "CONNECT\nheart-beat:2147483647,0\n" + login, "1.0", "0,2147483647"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := h.dial(t)
			end := "\n\x00"
			if strings.Contains(tc.frame, "\r\n") {
				end = "\r\n\x00"
			}
			c.send(tc.frame + end)
			f := c.want("CONNECTED")
			if f.headers["version"] != tc.version || f.headers["heart-beat"] != tc.beat {
				t.Errorf("CONNECTED %v, want version %s, heart-beat %s", f.headers, tc.version, tc.beat)
			}
			if f.headers["session"] == "" || f.headers["server"] != "parley" || f.body != "" {
				t.Errorf("CONNECTED %v %q", f.headers, f.body)
			}
			c.send("DISCONNECT\nreceipt:bye\n\n\x00")
			c.wantReceipt("bye")
			c.wantClose()
		})
	}
}

// TestConnectRefused: Bad CONNECT, Version mismatch and Illegal command, each followed by
// the close.
func TestConnectRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	testCases := []struct{ name, frame, message, body string }{
		{
			"row 7: no version in common", "CONNECT\naccept-version:3.0\nlogin:guest\npasscode:guest\n",
			"Version mismatch", "Supported versions are 1.0,1.1,1.2\n",
		},
		{
			"wrong passcode", "CONNECT\nlogin:gust\npasscode:guest\n",
			"Bad CONNECT", "Access refused for user 'gust'",
		},
		{
			"A11: from elsewhere", "CONNECT\nlogin:local\npasscode:any\n",
			"Bad CONNECT", "non-loopback access denied",
		},
		{"no login", "CONNECT\nhost:/\n", "Bad CONNECT", "Missing login or passcode header(s)"},
		{"no passcode", "CONNECT\nlogin:guest\n", "Bad CONNECT", "Missing login or passcode header(s)"},
		{
			"no such virtual host", "CONNECT\nhost://\nlogin:guest\npasscode:guest\n",
			"Bad CONNECT", "Virtual host '//' access denied",
		},
		{
			"malformed heart-beat", "CONNECT\nheart-beat:1\nlogin:guest\npasscode:guest\n",
			"Bad CONNECT", "heart-beat",
		},
		{
			"S7: heart-beat 2^31", "CONNECT\nheart-beat:2147483648,0\nlogin:guest\npasscode:guest\n",
			"Bad CONNECT", "heart-beat",
		},
		{
			"S3: a frame before CONNECT", "SEND\ndestination:/queue/a\n",
			"Illegal command", "You must log in using CONNECT first",
		},
		{
			"row 25: unknown command", "WRONGCOMMAND\n",
			"Bad command", "Could not interpret command \"WRONGCOMMAND\"\n",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := h.dial(t)
			c.send(tc.frame + "\n\x00")
			c.wantError(tc.message, tc.body)
		})
	}
}

// TestSecS3ConnectTwice: a second CONNECT is an error, and so is an unknown command after login.
func TestSecS3ConnectTwice(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.send("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\nreceipt:x\n\n\x00")
	if f := c.wantError("Illegal command", "logged in"); f.headers["receipt-id"] != "x" {
		t.Errorf("row 21: receipt-id %q", f.headers["receipt-id"])
	}
	c = h.login(t, wire.V10)
	c.send("send\n\n\x00")
	c.wantError("Bad command", `"send"`)
}

// TestDefaultUser: without login the configured user, and with implicit connect no CONNECT at all.
func TestDefaultUser(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) {
		o.DefaultUser, o.DefaultPasscode, o.ImplicitConnect = "guest", "guest", true
	})
	c := h.dial(t)
	c.send("CONNECT\naccept-version:1.2\n\n\x00")
	c.want("CONNECTED")
	c = h.dial(t)
	c.do("SUBSCRIBE\ndestination:/queue/implicit", "")
	c.do("SEND\ndestination:/queue/implicit", "hello")
	if f := c.want("MESSAGE"); f.body != "hello" {
		t.Errorf("body %q", f.body)
	}
}

// TestConnectionLimit: the heart's limits as Bad CONNECT.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	h.login(t, wire.V12)
	if n := len(h.broker.Connections()); n != 1 {
		t.Fatalf("%d connections listed", n)
	}
	p := h.broker.Connections()[0].ConnectionParams
	if p.Door != Name || p.User != "guest" || p.VHost != "/" || p.Name == "" {
		t.Errorf("listed as %+v", p)
	}
	e := &broker.Error{Code: broker.CodeLimit, Entity: "vhost /"}
	if f := openFault(e, "/"); f.body != "Connection refused: vhost connection limit reached" {
		t.Errorf("vhost limit: %v", f)
	}
	e.Entity = "127.0.0.1:1 -> 127.0.0.1:2"
	if f := openFault(e, "/"); f.body != "Connection refused: node connection limit reached" {
		t.Errorf("node limit: %v", f)
	}
}

// TestForcedClose: the heart's registry can end a connection; the client is told why.
func TestForcedClose(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	h.broker.Connections()[0].ForceClose("closed by the operator")
	c.wantError("connection_forced", "closed by the operator")
}

// TestQuickClient: connect, SEND and DISCONNECT in one write, nothing read: the message
// is delivered.
func TestQuickClient(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for range 5 {
		c := h.dial(t)
		c.send("CONNECT\nlogin:guest\npasscode:guest\n\n\x00\nSEND\ndestination:/queue/quick\n\nx\x00\n" +
			"DISCONNECT\n\n\x00\n")
		_ = c.net.Close()
	}
	c := h.login(t, wire.V12)
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/quick\n\n\x00")
	for range 5 {
		c.want("MESSAGE")
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		first      string
		ours, more bool
	}{
		{"C", false, true},
		{"CONNECT", false, true},
		{"CONNECT\n", true, false},
		{"\n", true, false},
		{"\r", false, true},
		{"\r\nCONNECT", true, false},
		{"\rCONNECT", false, false},
		{"CONNECT\r\n", true, false},
		{"CONNECT example.org:443 HTTP/1.1", false, false},
		{"STOMP\naccept", true, false},
		{"AMQP\x00", false, false},
		{"", false, true},
	}
	for _, tc := range testCases {
		if ours, more := Match([]byte(tc.first)); ours != tc.ours || more != tc.more {
			t.Errorf("%q: %v, %v, want %v, %v", tc.first, ours, more, tc.ours, tc.more)
		}
	}
}

func TestOptionsValidate(t *testing.T) {
	t.Parallel()
	o := Options{TransactionsMax: -1, LoginTimeout: 1, HeartBeatFloor: 1}
	err := o.Validate()
	for _, part := range []string{"Broker", "TransactionsMax", "LoginTimeout", "HeartBeatFloor"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
}
