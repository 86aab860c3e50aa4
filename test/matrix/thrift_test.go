// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// headerServices is a hub's file with a service for each client: its servers speak Thrift and are sent
// headers.
func headerServices(t *testing.T, prefix string) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("services:\n")
	for _, client := range peers.Clients() {
		text.WriteString("  " + prefix + client.Name +
			": {protocol: thrift, pool: {member_in_flight: 1}, thrift: {transport: header}}\n")
	}
	file := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDeadlineReachesThrift: a call of 500 ms that waits in the queue for 200 ms is told to a server of
// Thrift with 300 ms left at most, whatever protocol it came in; one whose time is over is told to nobody.
func TestDeadlineReachesThrift(t *testing.T) {
	t.Parallel()
	const limit, busy = 500 * time.Millisecond, 200 * time.Millisecond
	hub := harness.Start(t, harness.Build(t), harness.Options{
		Args: []string{"--config", headerServices(t, "left-")},
	})
	for _, client := range peers.Clients() {
		t.Run(client.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, hub, client, peers.Thrift(), "left-"+client.Name)
			const room = 8
			seen := make(chan peers.Request, room)
			server := c.dial(c.service)
			c.must("serve", server.Serve(c.ctx, c.name, func(_ context.Context, r peers.Request) peers.Reply {
				seen <- r
				if r.Body == "busy" {
					time.Sleep(busy) // what the next call waits for
				}
				return peers.Reply{Body: r.Body}
			}))
			caller := c.dial(c.client)
			first := make(chan error, 1)
			hold := func() {
				go func() {
					_, err := caller.Call(c.ctx, c.name, "busy", cellWait)
					first <- err
				}()
				receive(c, "the call before", seen)
			}
			hold()
			if _, err := caller.Call(c.ctx, c.name, "late", limit); err != nil {
				t.Errorf("late: %v", err)
			}
			if r := receive(c, "late", seen); r.Left <= 0 || r.Left > limit-busy+50*time.Millisecond {
				t.Errorf("the server is told that %v are left", r.Left)
			}
			c.must("the call before", <-first)
			hold()
			_, err := caller.Call(c.ctx, c.name, "too late", busy/2)
			c.mustBeDeadline(err)
			c.must("the call before", <-first)
			if _, err := caller.Call(c.ctx, c.name, "after", cellWait); err != nil {
				t.Errorf("after: %v", err)
			}
			if r := receive(c, "after", seen); r.Body != "after" {
				t.Errorf("the server saw %q", r.Body)
			}
		})
	}
}

// TestUndeclaredException: what a server of Thrift throws and its contract does not declare is the
// service's failure, in the form of each caller.
func TestUndeclaredException(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	for _, client := range peers.Clients() {
		t.Run(client.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, hub, client, peers.Thrift(), "thrown-"+client.Name)
			server := c.dial(c.service)
			c.must("serve", server.Serve(c.ctx, c.name, func(context.Context, peers.Request) peers.Reply {
				return peers.Reply{Body: "out of paper", Error: "jam"}
			}))
			_, err := c.dial(c.client).Call(c.ctx, c.name, "print", cellWait)
			f, ok := errors.AsType[*peers.Failure](err)
			if !ok {
				t.Fatal(err)
			}
			// Apache's servers put it so; a caller of Thrift gets the text as it is.
			const text = "Internal error processing do"
			code, form := "internal", peers.HubError(client.Name, "internal")
			switch client.Name {
			case "REST":
				form = "HTTP 500 application/problem+json"
			case "Thrift":
				code = text
			}
			if f.Form != form || f.Code != code || !strings.Contains(f.Body, "out of paper") {
				t.Errorf("answered by %s: %s %q", f.Form, f.Code, f.Body)
			}
		})
	}
}
