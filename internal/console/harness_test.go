// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Wall() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// jsonFormat keeps properties as JSON; the real ones belong to the doors.
type jsonFormat struct{}

func (jsonFormat) ID() broker.FormatID { return broker.FormatAMQP091 }

func (jsonFormat) Decode(raw []byte, p *broker.Properties) error { return json.Unmarshal(raw, p) }

func (jsonFormat) Append(dst []byte, p *broker.Properties) ([]byte, error) {
	raw, err := json.Marshal(p)
	return append(dst, raw...), err
}

// hub is a console over a real broker and real users.
type hub struct {
	tb      testing.TB
	broker  *broker.Broker
	users   *auth.Store
	console *Console
	server  *httptest.Server
}

// testUser is a user with a tag, all permissions on "/" and their name as password.
func testUser(name string, tags ...string) auth.User {
	return auth.User{
		Name: name, Hash: auth.HashSHA512(auth.NewSecret(name)), Tags: tags,
		Permissions: map[string]auth.Permission{"/": auth.AllPermissions()},
	}
}

func newHub(tb testing.TB) *hub {
	tb.Helper()
	users, err := auth.New(auth.Options{FailDelay: -1, Users: []auth.User{
		auth.Guest(), testUser("none"), testUser("management", auth.TagManagement),
		testUser("policymaker", auth.TagPolicymaker), testUser("monitoring", auth.TagMonitoring),
		testUser("administrator", auth.TagAdministrator),
	}})
	if err != nil {
		tb.Fatal(err)
	}
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Name: "test", Clock: realClock{}, Log: log, Formats: []broker.Format{jsonFormat{}},
		Access: users,
	})
	log.Bind(b)
	if _, err := b.AddVirtualHost("other"); err != nil {
		tb.Fatal(err)
	}
	c, err := New(Options{
		Broker: b, Users: users,
		DeleteVirtualHost: func(name string) error {
			if err := b.DeleteVirtualHost(name); err != nil {
				return err
			}
			return users.DropVHost(name)
		},
		Scratch: func() *broker.Broker {
			log := store.NewMemory(store.MemoryOptions{})
			scratch := broker.New(broker.Options{Name: "scratch", Clock: realClock{}, Log: log})
			log.Bind(scratch)
			return scratch
		},
		Listeners: func() []Listener {
			return []Listener{
				{Door: "amqp", Network: "tcp", Address: "127.0.0.1:5672"},
				{Door: "stomp", Network: "unix", Address: "/run/stomp"},
			}
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	h := &hub{tb: tb, broker: b, users: users, console: c, server: httptest.NewServer(c.Handler())}
	tb.Cleanup(func() {
		h.server.CloseClientConnections()
		h.server.Close()
		for _, left := range b.Connections() {
			if left.Door == Name {
				tb.Errorf("a connection of the API is left: %s", left.Name)
			}
		}
		b.Close()
	})
	return h
}

// answer is what came back, read to its end.
type answer struct {
	tb     testing.TB
	status int
	header http.Header
	body   []byte
}

// as sends a request of a user, whose password is their name; headers are "Name: value".
func (h *hub) as(user, method, path, body string, headers ...string) *answer {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(h.tb.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.tb.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, user)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	res, err := h.server.Client().Do(r)
	if err != nil {
		h.tb.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		h.tb.Fatal(err)
	}
	return &answer{h.tb, res.StatusCode, res.Header, data}
}

// do sends a request of the guest.
func (h *hub) do(method, path, body string, headers ...string) *answer {
	h.tb.Helper()
	return h.as("guest", method, path, body, headers...)
}

// want fails the test when the status is another one, or the body lacks a part.
func (a *answer) want(status int, parts ...string) *answer {
	a.tb.Helper()
	if a.status != status {
		a.tb.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, part := range parts {
		if !strings.Contains(string(a.body), part) {
			a.tb.Errorf("%s is not in %s", part, a.body)
		}
	}
	return a
}

// object decodes an answer.
func (a *answer) object() map[string]any {
	a.tb.Helper()
	var o map[string]any
	if err := json.Unmarshal(a.body, &o); err != nil {
		a.tb.Fatalf("%v: %s", err, a.body)
	}
	return o
}

// objects decodes an answer that is a list.
func (a *answer) objects() []map[string]any {
	a.tb.Helper()
	var o []map[string]any
	if err := json.Unmarshal(a.body, &o); err != nil {
		a.tb.Fatalf("%v: %s", err, a.body)
	}
	return o
}

// client opens a connection of the heart as a door does, and returns why it was closed.
func (h *hub) client(name, user, vhost string) (*broker.Connection, <-chan string) {
	h.tb.Helper()
	closed := make(chan string, 1)
	c, err := h.broker.Open(broker.ConnectionParams{
		Name: name, ClientName: "a client", Peer: "127.0.0.1:5000", User: user, VHost: vhost,
		Door: "amqp091",
		Properties: broker.Table{
			{Name: "connection_name", Value: "a client"},
			{Name: "capabilities", Value: broker.Table{{Name: "basic.nack", Value: true}}},
		},
		Close: func(reason string) { closed <- reason },
	})
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(c.Close)
	return c, closed
}

// with returns the hub for a subtest.
func (h *hub) with(tb testing.TB) *hub {
	tb.Helper()
	out := *h
	out.tb = tb
	return &out
}
