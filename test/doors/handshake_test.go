// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	// handshake is the limit of these tests, far below the default.
	handshake = time.Second
	// handshakeWait is what a client may wait for its end: the limit, a second in which the door may
	// answer, and a machine that is busy; still less than the default limit.
	handshakeWait = 9 * time.Second
	// dripPause is the time between two octets of who sends them one by one.
	dripPause = 50 * time.Millisecond
)

// mute is what a client may send and then say nothing more.
func mute(door string) map[string]string {
	const upgrade = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	amqp := map[string]string{
		"half a header": "AMQP\x00", "no start-ok": "AMQP\x00\x00\x09\x01",
		"half a frame": "AMQP\x00\x00\x09\x01\x01\x00\x00\x00\x00\x00\x20\x00\x0a",
		"garbage":      "\x01\x02\x03\x04\x05\x06\x07\x08",
	}
	stomp := map[string]string{
		"half a frame": "CONNECT\nlogin:gu", "line ends": "\n\n\n\n", "garbage": "\xff\xfe\xfd\xfc",
	}
	web := map[string]string{
		"half a request": "GET /v1/queues HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
		"a preface":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "half a preface": "PRI * HTTP",
		"garbage": "\xff\xfe\xfd\xfc\r\n\r\n",
	}
	sockets := map[string]string{
		"a WebSocket": upgrade, "half a frame": upgrade + "\x81\xfe\x10",
		"half a CONNECT": upgrade + "\x81\x84\x00\x00\x00\x00CONN",
	}
	all := map[string]string{"nothing": ""}
	add := func(protocol string, more map[string]string) {
		for name, octets := range more {
			all[protocol+", "+name] = octets
		}
	}
	switch door {
	case "amqp":
		add(door, amqp)
	case "stomp":
		add(door, stomp)
	case "webstomp":
		add("http", web)
		add(door, sockets)
	case "rest":
		add("http", web)
		add("ws", sockets)
	case hub.SharedPort:
		add("amqp", amqp)
		add("stomp", stomp)
		add("http", web)
		add("ws", sockets)
	default:
		add("http", web)
	}
	return all
}

// endsInTime reads until the hub closes the connection.
func endsInTime(t *testing.T, conn net.Conn) {
	t.Helper()
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(handshakeWait)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("open after %v", time.Since(began))
	}
}

// TestSecHandshake: a client that sends nothing, half of something or garbage is closed within the
// handshake limit, at every door, on its own port and on the shared one, before TLS and behind it.
func TestSecHandshake(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	doors := []string{"amqp", "stomp", "webstomp", "rest", "management", "prometheus"}
	h := start(t, func(o *hub.Options) {
		o.Listeners.HandshakeTimeout = handshake
		o.Listen, o.TLS = free, ca.hubTLS(t)
		for _, d := range []*hub.Door{
			&o.Doors.AMQP, &o.Doors.STOMP, &o.Doors.WebSTOMP, &o.Doors.REST, &o.Doors.Management,
			&o.Doors.Prometheus,
		} {
			d.Listen, d.TLSListen = free, free
		}
	})
	at := map[string][]dialer{hub.SharedPort: {
		{h.Addr(hub.SharedPort).String(), nil}, {h.Addr(hub.SharedPort).String(), ca.client(t, "")},
	}}
	for _, door := range doors {
		at[door] = []dialer{
			{h.Addr(door).String(), nil}, {h.Addr(door + hub.TLSSuffix).String(), ca.client(t, "")},
		}
	}
	for door, dialers := range at {
		for _, d := range dialers {
			name := door
			if d.tls != nil {
				name += hub.TLSSuffix
			}
			for sent, octets := range mute(door) {
				t.Run(name+"/"+sent, func(t *testing.T) {
					t.Parallel()
					conn := d.dial(t)
					defer conn.Close()
					if _, err := io.WriteString(conn, octets); err != nil {
						t.Fatal(err)
					}
					endsInTime(t, conn)
				})
			}
			if d.tls == nil {
				continue
			}
			for sent, octets := range map[string]string{
				"no TLS": "", "half a hello": "\x16\x03\x01\x02\x00\x01\x00", "garbage for TLS": "\x16\x03\xff\xff\xff\xff",
			} {
				t.Run(name+"/"+sent, func(t *testing.T) {
					t.Parallel()
					conn := dialer{d.address, nil}.dial(t)
					defer conn.Close()
					if _, err := io.WriteString(conn, octets); err != nil {
						t.Fatal(err)
					}
					endsInTime(t, conn)
				})
			}
		}
	}
}

// TestSecHandshakeDrip: octets now and then are no login.
func TestSecHandshakeDrip(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Listeners.HandshakeTimeout, o.Listen = handshake, free
		o.Doors.STOMP.Listen, o.Doors.REST.Listen, o.Doors.AMQP.Listen = free, free, free
	})
	for door, begin := range map[string]string{
		"stomp": "CONNECT\nx:", "rest": "GET / HTTP/1.1\r\nX: ",
		"amqp": "AMQP\x00\x00\x09\x01\x01\x00\x00\x00\x00\x10\x00", hub.SharedPort: "CONNECT\r\nx:",
	} {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			conn := dialer{h.Addr(door).String(), nil}.dial(t)
			dripped := make(chan struct{})
			go func() {
				defer close(dripped)
				tick := time.NewTicker(dripPause)
				defer tick.Stop()
				_, err := io.WriteString(conn, begin)
				for err == nil {
					<-tick.C
					_, err = io.WriteString(conn, "x")
				}
			}()
			endsInTime(t, conn)
			conn.Close()
			<-dripped
		})
	}
}

// TestHandshakeMetrics: each login is in the histogram of its listener, and who is closed before is
// counted by its reason.
func TestHandshakeMetrics(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Listeners.HandshakeTimeout = 4 * handshake // the others have to log in
		for _, d := range []*hub.Door{&o.Doors.AMQP, &o.Doors.STOMP, &o.Doors.WebSTOMP, &o.Doors.REST} {
			d.Listen = free
		}
	})
	at := func(door string) dialer { return dialer{h.Addr(door).String(), nil} }
	amqpWorks(t, at("amqp"))
	stompWorks(t, at("stomp").dial(t), "/topic/metrics")
	stompWorks(t, netConn(dialWeb(t, at("webstomp")), websocket.MessageBinary), "/topic/metrics")
	silent := at("stomp").dial(t)
	endsInTime(t, silent)
	silent.Close()
	wanted := []string{
		`parley_handshake_seconds_count{door="amqp"} 1`, `parley_handshake_seconds_count{door="stomp"} 1`,
		`parley_handshake_seconds_count{door="webstomp"} 1`, `parley_handshake_seconds_count{door="websocket"} 1`,
		`parley_handshake_seconds_count{door="rest"} 1`, `parley_accept_paused_total{door="amqp"} 0`,
		`parley_connections_refused_total{door="stomp",reason="handshake-timeout"} 1`,
		`parley_handshake_seconds_bucket{door="amqp",le="+Inf"} 1`,
	}
	err := harness.Poll(wait, func() error { // a connection is counted when all of it is over
		response, err := http.Get("http://" + at("rest").address + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		for _, want := range wanted {
			if !strings.Contains(string(text), "\n"+want+"\n") {
				err = errors.Join(err, errors.New("no "+want))
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
