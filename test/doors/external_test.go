// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
)

// TestExternal: amqp091-go logs in by its certificate alone (SASL EXTERNAL), as the user whom it names,
// who has to exist. Without a certificate there is no such way in.
func TestExternal(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	h := start(t, func(o *hub.Options) {
		o.TLS = ca.hubTLS(t)
		o.Doors.AMQP.TLSListen = free
		o.Doors.AMQP.TLS = hub.TLS{
			ClientCA: filepath.Join(ca.Dir, "ca.pem"), ClientAuth: "request", Identity: "common_name",
		}
		o.Users = []hub.User{{
			Name:        "ada",
			Permissions: map[string]hub.Permission{"/": {Configure: ".*", Write: ".*", Read: ".*"}},
		}}
	})
	address := h.Addr("amqp-tls").String()
	dial := func(certificate string) (*amqp.Connection, error) {
		return amqp.DialConfig("amqps://"+address+"/", amqp.Config{
			SASL:            []amqp.Authentication{&amqp.ExternalAuth{}},
			TLSClientConfig: ca.client(t, certificate), Heartbeat: 10 * time.Second,
		})
	}
	conn, err := dial("ada")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	// user-id is checked against whom the certificate names.
	if err := ch.PublishWithContext(t.Context(), "", q.Name, false, false,
		amqp.Publishing{UserId: "ada"}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := ch.Get(q.Name, true); err != nil || !ok {
		t.Errorf("what ada published: %t, %v", ok, err)
	}
	for name, certificate := range map[string]string{"nobody's": "bob", "none": ""} {
		conn, err := dial(certificate)
		if err == nil {
			conn.Close()
		}
		if want, ok := errors.AsType[*amqp.Error](err); !ok ||
			want.Code != amqp.AccessRefused && want.Code != amqp.ErrSASL.Code {
			t.Errorf("certificate %s: %v", name, err)
		}
	}
}
