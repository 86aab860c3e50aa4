// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"path/filepath"
	"testing"

	"github.com/parley-ipc/parley/hub"
)

// TestTLS: every door works over TLS as it does without, with large messages too.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	h := start(t, func(o *hub.Options) {
		o.TLS = ca.hubTLS(t)
		for _, d := range []*hub.Door{&o.Doors.AMQP, &o.Doors.STOMP, &o.Doors.REST} {
			d.TLSListen = free
		}
	})
	at := func(door string) dialer {
		return dialer{h.Addr(door + hub.TLSSuffix).String(), ca.client(t, "")}
	}
	t.Run("amqp", func(t *testing.T) { amqpWorks(t, at("amqp")) })
	t.Run("stomp", func(t *testing.T) { stompWorks(t, at("stomp").dial(t), "/topic/doors") })
	t.Run("rest", func(t *testing.T) { restWorks(t, at("rest")) })
	for _, door := range []string{"amqp", "stomp", "rest"} {
		if h.Addr(door) != nil {
			t.Errorf("%s listens without TLS", door)
		}
	}
}

// TestClientCertificates: a door may want certificates while another does not.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	h := start(t, func(o *hub.Options) {
		o.TLS = ca.hubTLS(t)
		o.Doors.AMQP.TLSListen, o.Doors.STOMP.TLSListen = free, free
		o.Doors.AMQP.TLS.ClientCA = filepath.Join(ca.Dir, "ca.pem")
	})
	amqps, stomps := h.Addr("amqp-tls").String(), h.Addr("stomp-tls").String()
	amqpWorks(t, dialer{amqps, ca.client(t, "ada")})
	stompWorks(t, dialer{stomps, ca.client(t, "")}.dial(t), "/topic/doors")
	if conn, err := (dialer{amqps, ca.client(t, "")}).tryDial(); err == nil {
		// TLS 1.3 tells the client later.
		if !refused(conn) {
			t.Error("a client without a certificate is in")
		}
		conn.Close()
	}
}
