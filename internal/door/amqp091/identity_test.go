// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestMechanisms: ANONYMOUS is offered where somebody is that, EXTERNAL where the client has shown a
// certificate; each logs in only when it is offered.
func TestMechanisms(t *testing.T) {
	t.Parallel()
	const failed = "Login was refused using authentication mechanism "
	testCases := []struct {
		name, anonymous, identity string
		offered                   string
		mechanism, response       string
		code                      wire.ReplyCode // 0: it logs in, as user
		text, user                string
	}{
		{"nothing", "", "", "PLAIN AMQPLAIN", "PLAIN", "\x00u\x00u", 0, "", "u"},
		{
			"anonymous not offered", "", "", "PLAIN AMQPLAIN", "ANONYMOUS", "", wire.CommandInvalid,
			"invalid authentication mechanism 'ANONYMOUS'", "",
		},
		{
			"external not offered", "guest", "", "PLAIN AMQPLAIN ANONYMOUS", "EXTERNAL", "",
			wire.CommandInvalid, "invalid authentication mechanism 'EXTERNAL'", "",
		},
		{
			"unknown", "", "", "PLAIN AMQPLAIN", "GSSAPI", "", wire.CommandInvalid,
			"unknown authentication mechanism 'GSSAPI'", "",
		},
		{"anonymous", "web", "", "PLAIN AMQPLAIN ANONYMOUS", "ANONYMOUS", "trace", 0, "", "web"},
		{
			"anonymous is nobody", "nobody", "", "PLAIN AMQPLAIN ANONYMOUS", "ANONYMOUS", "",
			wire.AccessRefused, failed + "ANONYMOUS. For details see the broker logfile.", "",
		},
		{"external", "", "CN=ada", "PLAIN AMQPLAIN EXTERNAL", "EXTERNAL", "", 0, "", "CN=ada"},
		{
			"external is the certificate's", "web", "CN=ada", "PLAIN AMQPLAIN ANONYMOUS EXTERNAL",
			"EXTERNAL", "root", 0, "", "CN=ada",
		},
		{
			"external is nobody", "", "nobody", "PLAIN AMQPLAIN EXTERNAL", "EXTERNAL", "",
			wire.AccessRefused, failed + "EXTERNAL. For details see the broker logfile.", "",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Options{AnonymousUser: tc.anonymous})
			s.identity.Store(&tc.identity)
			p := s.connect(t)
			p.write([]byte(wire.ProtocolHeader))
			var start wire.ConnectionStart
			p.want(0, &start)
			if start.Mechanisms != tc.offered {
				t.Errorf("offered %q, want %q", start.Mechanisms, tc.offered)
			}
			p.send(0, &wire.ConnectionStartOk{
				ClientProperties: clientProperties(), Mechanism: tc.mechanism,
				Response: tc.response, Locale: "en_US",
			})
			if tc.code != 0 {
				p.wantClose(tc.code, tc.text)
				return
			}
			p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096})
			p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
			p.want(0, &wire.ConnectionOpenOk{})
			if c := s.broker.Connections(); len(c) != 1 || c[0].User != tc.user {
				t.Errorf("connected as %q, want %q", c[0].User, tc.user)
			}
		})
	}
}

// accounts is a hub's users as an Authenticator.
type accounts struct{ *auth.Store }

func (a accounts) Login(user, password string, peer net.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := a.Store.Login(ctx, auth.Credentials{
		Name: user, Password: auth.NewSecret(password), Peer: auth.PeerOf(peer),
	})
	return err
}

func (a accounts) Admit(user string, peer net.Addr) error {
	_, err := a.Store.Admit(user, auth.PeerOf(peer))
	return err
}

// newUsers returns a server with real users: guest, and ada who may read and write all.
func newUsers(t *testing.T) (*server, *auth.Store) {
	t.Helper()
	users, err := auth.New(auth.Options{FailDelay: time.Millisecond, Users: []auth.User{
		auth.Guest(), {
			Name: "ada", Hash: auth.HashSHA512(auth.NewSecret("ada")),
			Permissions: map[string]auth.Permission{"/": auth.AllPermissions()},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Clock: clock{}, Log: log, Formats: []broker.Format{Format{}}, Access: users,
	})
	log.Bind(b)
	users.Watch(b.Recheck)
	t.Cleanup(b.Close)
	return newServer(t, Options{Broker: b, Auth: accounts{users}}), users
}

// openAs returns a client that has logged in as somebody, with channel 1 open.
func (s *server) openAs(tb testing.TB, user string) *peer {
	tb.Helper()
	p := s.connect(tb)
	p.write([]byte(wire.ProtocolHeader))
	p.start(user, user)
	p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072})
	p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	p.want(0, &wire.ConnectionOpenOk{})
	p.openChannel(1)
	return p
}

// TestPermissionLost: a consumer whose user may not read its queue any more is cancelled at once; what
// it has not settled stays with it, and others go on.
func TestPermissionLost(t *testing.T) {
	t.Parallel()
	s, users := newUsers(t)
	guest, ada := s.openAs(t, "guest"), s.openAs(t, "ada")
	ada.declare("hers")
	ada.declare("shared")
	for _, q := range []string{"hers", "shared"} {
		ada.consume(&wire.BasicConsume{Queue: q, ConsumerTag: q})
	}
	guest.publish(toQueue("shared"), wire.Properties{}, "before")
	d, _ := ada.deliver()
	guest.consume(&wire.BasicConsume{Queue: "shared", ConsumerTag: "guest"})
	limited := auth.Permission{Configure: ".*", Write: ".*", Read: "hers"}
	if err := users.SetPermission("ada", "/", limited); err != nil {
		t.Fatal(err)
	}
	var gone wire.BasicCancel
	ada.want(1, &gone)
	if gone.ConsumerTag != "shared" {
		t.Errorf("cancelled %q", gone.ConsumerTag)
	}
	ada.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
	ada.publish(toQueue("hers"), wire.Properties{}, "still")
	ada.publish(toQueue("shared"), wire.Properties{}, "for others")
	if d, m := ada.deliver(); string(d.ConsumerTag) != "hers" || m.body != "still" {
		t.Errorf("ada got %s %q", d.ConsumerTag, m.body)
	}
	if _, m := guest.deliver(); m.body != "for others" {
		t.Errorf("guest got %q", m.body)
	}
	ada.send(1, &wire.BasicConsume{Queue: "shared"})
	ada.wantChannelClose(wire.AccessRefused,
		"read access to queue 'shared' in vhost '/' refused for user 'ada'")
}

// TestUpdateSecret: the method is answered while the user may stay, and refused when that is over.
func TestUpdateSecret(t *testing.T) {
	t.Parallel()
	s, users := newUsers(t)
	ada := s.openAs(t, "ada")
	secret := &wire.ConnectionUpdateSecret{NewSecret: "s", Reason: "r"}
	ada.send(0, secret)
	ada.want(0, &wire.ConnectionUpdateSecretOk{})
	if err := users.ClearPermission("ada", "/"); err != nil {
		t.Fatal(err)
	}
	ada.send(0, secret)
	ada.wantClose(wire.NotAllowed, "access to vhost '/' refused for user 'ada'")
	if err := users.SetPermission("ada", "/", auth.AllPermissions()); err != nil {
		t.Fatal(err)
	}
	ada = s.openAs(t, "ada")
	if err := users.Delete("ada"); err != nil {
		t.Fatal(err)
	}
	ada.send(0, secret)
	ada.wantClose(wire.NotAllowed, "New secret was refused by one of the backends")
}

// TestImpersonator: whoever has the tag publishes with another's user-id.
func TestImpersonator(t *testing.T) {
	t.Parallel()
	s, users := newUsers(t)
	ada := s.openAs(t, "ada")
	ada.declare("q")
	as := wire.Properties{UserID: "other"}
	ada.publish(toQueue("q"), as, "m")
	ada.wantChannelClose(wire.PreconditionFailed,
		"user_id property set to 'other' but authenticated user was 'ada'")
	user, _ := users.User("ada")
	user.Tags = []string{auth.TagImpersonator}
	if err := users.Put(user); err != nil {
		t.Fatal(err)
	}
	ada.openChannel(1)
	ada.publish(toQueue("q"), as, "m")
	ada.consume(&wire.BasicConsume{Queue: "q"})
	if _, m := ada.deliver(); m.properties.UserID != "other" {
		t.Errorf("delivered with user-id %q", m.properties.UserID)
	}
}

// TestTopicPermissions: routing keys that a user may publish and bind with, with the user's name in
// the pattern, as it stands and not as a pattern (security, L4).
func TestTopicPermissions(t *testing.T) {
	t.Parallel()
	s, users := newUsers(t)
	hash := auth.HashSHA512(auth.NewSecret("a.b"))
	topics := map[string]auth.TopicPermission{"amq.topic": {
		Write: `{username}\.out\..*`, Read: `{username}\.in|all`,
	}}
	err := users.Put(auth.User{
		Name: "a.b", Hash: hash, Topics: map[string]map[string]auth.TopicPermission{"/": topics},
		Permissions: map[string]auth.Permission{"/": auth.AllPermissions()},
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(action, key string) string {
		return action + " access to topic '" + key +
			"' in exchange 'amq.topic' in vhost '/' refused for user 'a.b'"
	}
	p := s.openAs(t, "a.b")
	p.declare("q")
	bind := func(key string) *wire.QueueBind {
		return &wire.QueueBind{Queue: "q", Exchange: "amq.topic", RoutingKey: key}
	}
	to := func(exchange, key string) *wire.BasicPublish {
		return &wire.BasicPublish{Exchange: []byte(exchange), RoutingKey: []byte(key)}
	}
	for _, key := range []string{"a.b.in", "all"} {
		p.call(bind(key), &wire.QueueBindOk{})
	}
	p.publish(to("amq.topic", "a.b.out.x"), wire.Properties{}, "m")
	p.publish(to("amq.direct", "anything"), wire.Properties{}, "m") // no topics there
	for _, key := range []string{"a.b.out", "axb.out.x", "x.a.b.out.x"} {
		p.publish(to("amq.topic", key), wire.Properties{}, "m")
		p.wantChannelClose(wire.AccessRefused, refused("write", key))
		p.openChannel(1)
	}
	for _, key := range []string{"a.b.inn", "#", "all.more"} {
		p.send(1, bind(key))
		p.wantChannelClose(wire.AccessRefused, refused("read", key))
		p.openChannel(1)
	}
}
