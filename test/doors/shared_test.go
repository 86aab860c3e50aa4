// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"io"
	"sync"
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
	var clients sync.WaitGroup
	for _, d := range []dialer{{address, nil}, {address, ca.client(t, "")}} {
		for _, run := range []func(){
			func() { amqpWorks(t, d) },
			func() { restWorks(t, d) },
		} {
			clients.Go(run)
		}
	}
	for _, garbage := range []string{"\x00\x00\x00\x01", "HELO there\r\n", "CONNECTED\n"} {
		conn := dialer{address, nil}.dial(t)
		if _, err := io.WriteString(conn, garbage); err != nil || !refused(conn) {
			t.Errorf("%q was taken, %v", garbage, err)
		}
		conn.Close()
	}
	clients.Wait()
	for _, d := range []dialer{{address, nil}, {address, ca.client(t, "")}} { // one topic: one at a time
		stompWorks(t, d.dial(t))
		stompWorks(t, netConn(dialWeb(t, d), websocket.MessageBinary))
	}
}
