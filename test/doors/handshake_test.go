// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
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
	// answer, and a machine that is busy; less than the doors' own limits.
	handshakeWait = 4500 * time.Millisecond
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
	line := map[string]string{
		"half a line": `{"op":"hello","id":"`, "line ends": "\n\n\n", "garbage": "\xff\xfe\xfd\xfc",
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
	case "stomp", "activemq":
		add(door, stomp)
	case "line":
		add(door, line)
	case "webstomp":
		add("http", web)
		add(door, sockets)
	case "rest":
		add("http", web)
		add("ws", sockets)
	case hub.SharedPort:
		add("amqp", amqp)
		add("stomp", stomp)
		add("line", line)
		add("http", web)
		add("ws", sockets)
	default:
		add("http", web)
	}
	return all
}

// endsInTime reads until the hub closes the connection.
func endsInTime(t *testing.T, who string, conn net.Conn, within time.Duration) {
	t.Helper()
	began := time.Now()
	err := conn.SetReadDeadline(began.Add(within))
	if err == nil {
		_, err = io.Copy(io.Discard, conn)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: open after %v", who, time.Since(began))
	}
}

// silent is a client that says nothing more.
type silent struct {
	who, octets string
	to          dialer
}

// sits connects, sends what there is, and waits for its end.
func (s silent) sits(t *testing.T) {
	t.Helper()
	began := time.Now()
	conn, err := s.to.tryDial()
	if err != nil {
		if time.Since(began) < handshake { // else the limit came while it still spoke TLS
			t.Errorf("%s: %v", s.who, err)
		}
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, s.octets); err != nil {
		t.Errorf("%s: %v", s.who, err)
	}
	endsInTime(t, s.who, conn, handshakeWait)
}

// TestSecHandshake: a client that sends nothing, half of something or garbage is closed within the
// handshake limit, at every door, on its own port and on the shared one, before TLS and behind it.
func TestSecHandshake(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	doors := []string{
		"amqp", "stomp", "activemq", "webstomp", "rest", "management", "prometheus", "line",
	}
	h := start(t, func(o *hub.Options) {
		o.Listeners.HandshakeTimeout = handshake
		o.Listen, o.TLS = free, ca.hubTLS(t)
		for _, d := range []*hub.Door{
			&o.Doors.AMQP, &o.Doors.STOMP, &o.Doors.ActiveMQ, &o.Doors.WebSTOMP, &o.Doors.REST,
			&o.Doors.Management, &o.Doors.Prometheus, &o.Doors.Line,
		} {
			d.Listen, d.TLSListen = free, free
		}
	})
	var all []silent
	add := func(door, plain, secured string) {
		for sent, octets := range mute(door) {
			all = append(all, silent{door + ": " + sent, octets, dialer{plain, nil}},
				silent{door + hub.TLSSuffix + ": " + sent, octets, dialer{secured, ca.client(t, "")}})
		}
		for sent, octets := range map[string]string{
			"no TLS": "", "half a hello": "\x16\x03\x01\x02\x00\x01\x00",
			"garbage for TLS": "\x16\x03\xff\xff\xff\xff",
		} {
			all = append(all, silent{door + hub.TLSSuffix + ": " + sent, octets, dialer{secured, nil}})
		}
	}
	shared := h.Addr(hub.SharedPort).String()
	add(hub.SharedPort, shared, shared)
	for _, door := range doors {
		add(door, h.Addr(door).String(), h.Addr(door+hub.TLSSuffix).String())
	}
	const atOnce = 32
	var clients sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, s := range all {
		room <- struct{}{}
		clients.Go(func() {
			s.sits(t)
			<-room
		})
	}
	clients.Wait()
}

// TestSecHandshakeDrip: octets now and then are no login.
func TestSecHandshakeDrip(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Listeners.HandshakeTimeout, o.Listen = handshake, free
		for _, d := range []*hub.Door{&o.Doors.AMQP, &o.Doors.STOMP, &o.Doors.REST, &o.Doors.Line} {
			d.Listen = free
		}
	})
	for door, begin := range map[string]string{
		"stomp": "CONNECT\nx:", "rest": "GET / HTTP/1.1\r\nX: ",
		"amqp": "AMQP\x00\x00\x09\x01\x01\x00\x00\x00\x00\x10\x00", hub.SharedPort: "CONNECT\r\nx:",
		"line": `{"op":"`,
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
			endsInTime(t, door, conn, handshakeWait)
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
	quiet := at("stomp").dial(t)
	endsInTime(t, "stomp", quiet, wait)
	quiet.Close()
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
