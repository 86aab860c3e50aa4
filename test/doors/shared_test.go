// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"io"
	"testing"

	"github.com/coder/websocket"

	"github.com/parley-ipc/parley/hub"
)

// TestSharedPort: clients of every door, with TLS and without, on one port at once; what is none of
// them is closed.
func TestSharedPort(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	h := start(t, func(o *hub.Options) {
		o.Listen, o.TLS, o.Doors.WebSTOMP.Listen = free, ca.hubTLS(t), hub.Off
	})
	address := h.Addr(hub.SharedPort).String()
	for _, door := range []string{"amqp", "stomp", "rest", "webstomp"} {
		if h.Addr(door) != nil {
			t.Errorf("%s has a port of its own", door)
		}
	}
	for name, d := range map[string]dialer{
		"plain": {address, nil}, "tls": {address, ca.client(t, "")},
	} {
		for protocol, works := range map[string]func(t *testing.T){
			"amqp":  func(t *testing.T) { t.Helper(); amqpWorks(t, d) },
			"http":  func(t *testing.T) { t.Helper(); restWorks(t, d) },
			"line":  func(t *testing.T) { t.Helper(); lineWorks(t, d.dial(t)) },
			"stomp": func(t *testing.T) { t.Helper(); stompWorks(t, d.dial(t), "/topic/tcp."+name) },
			"websocket": func(t *testing.T) {
				t.Helper()
				stompWorks(t, netConn(dialWeb(t, d), websocket.MessageBinary), "/topic/ws."+name)
			},
		} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				t.Parallel()
				works(t)
			})
		}
	}
	t.Run("garbage", func(t *testing.T) {
		t.Parallel()
		for _, garbage := range []string{"\x00\x00\x00\x01", "HELO there\r\n", "CONNECTED\n"} {
			conn := dialer{address, nil}.dial(t)
			if _, err := io.WriteString(conn, garbage); err != nil || !refused(conn) {
				t.Errorf("%q was taken, %v", garbage, err)
			}
			conn.Close()
		}
	})
}
