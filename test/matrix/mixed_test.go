// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestGatherFromAllProtocols asks one service of each protocol at once, from each
// protocol: everybody answers, and nobody is missing.
func TestGatherFromAllProtocols(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	for _, client := range peers.Clients() {
		t.Run(client.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, hub, client, peers.Thrift(), "mixed-"+client.Name)
			want := map[string]string{}
			for _, service := range peers.Services() {
				name := c.name + "." + service.Name
				want[name] = service.Name + " heard hello"
				server := c.dial(peers.Contracted(service))
				c.must("join", server.Join(c.ctx, c.name, name,
					func(_ context.Context, r peers.Request) peers.Reply {
						return peers.Reply{Body: service.Name + " heard " + r.Body}
					}))
			}
			start := time.Now()
			got, err := c.dial(c.client).Gather(c.ctx, c.name, "hello",
				peers.Rule{All: true, Total: cellWait})
			c.must("gather", err)
			if took := time.Since(start); took > cellWait/2 {
				t.Errorf("ended after %v, not when all had answered", took)
			}
			if !got.Complete || len(got.Missing) > 0 {
				t.Errorf("complete %t, missing %q", got.Complete, got.Missing)
			}
			c.checkAnswers(got, want)
		})
	}
}

// TestGatherSentinel gathers from each protocol until a service of each answers with nothing. A service of
// Thrift cannot.
func TestGatherSentinel(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	services := slices.DeleteFunc(peers.Services(), func(p peers.Protocol) bool { return p.Contract })
	for _, client := range peers.Clients() {
		// The hub settles what it asks a server of HTTP once it has the answer.
		_, http := peers.Pair(client, services[len(services)-1])
		for _, service := range services {
			t.Run(client.Name+"-"+service.Name, func(t *testing.T) {
				t.Parallel()
				c := newCell(t, hub, client, service, "sentinel-"+client.Name+"-"+service.Name)
				loud, silent, last := c.name+".loud", c.name+".silent", c.name+".last"
				asked := make(chan struct{})
				join := func(p peers.Protocol, name string, reply func() peers.Reply) {
					c.must("join", c.dial(p).Join(c.ctx, c.name, name,
						func(context.Context, peers.Request) peers.Reply { return reply() }))
				}
				join(http, loud, func() peers.Reply { close(asked); return peers.Reply{Body: "here"} })
				join(c.service, silent, func() peers.Reply { return peers.Reply{Silent: true} })
				join(service, last, func() peers.Reply {
					receive(c, "the question", asked)
					return c.settled(loud)
				})
				start := time.Now()
				got, err := c.dial(c.client).Gather(c.ctx, c.name, "who is there",
					peers.Rule{All: true, Sentinel: true, Total: cellWait})
				c.must("gather", err)
				if took := time.Since(start); took > cellWait/2 {
					t.Errorf("ended after %v, not by its rule", took)
				}
				if !got.Complete || !slices.Equal(got.Missing, []string{silent}) {
					t.Errorf("complete %t, missing %q", got.Complete, got.Missing)
				}
				c.checkAnswers(got, map[string]string{loud: "here"})
			})
		}
	}
}

// settled answers with nothing when a queue's messages are answered and acknowledged.
func (c *cell) settled(queue string) peers.Reply {
	err := harness.Poll(cellWait/4, func() error {
		ready, unsettled, err := c.hub.Counts(c.ctx, queue)
		if err == nil && ready+unsettled > 0 {
			err = errors.New("not answered yet")
		}
		return err
	})
	if err != nil {
		return peers.Reply{Error: "exception", Body: err.Error()}
	}
	return peers.Reply{}
}

// TestPublishToAllProtocols publishes from each protocol to a subscriber of each.
func TestPublishToAllProtocols(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	for _, client := range peers.Clients() {
		t.Run(client.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, hub, client, peers.Thrift(), "all-"+client.Name)
			const room = 8
			copies := map[string]chan string{}
			for _, p := range peers.Services() {
				ch := make(chan string, room)
				copies[p.Name] = ch
				c.must("subscribe", c.dial(peers.Contracted(p)).Subscribe(c.ctx, c.name, func(s string) { ch <- s }))
			}
			publisher := c.dial(c.client)
			// What text must survive: empty lines, unicode, a NUL byte, a colon.
			want := []string{"plain", "two\n\nlines", "ä€😀: \\n", "a\x00b"}
			for _, body := range want {
				c.must("publish", publisher.Publish(c.ctx, c.name, body))
			}
			for name, ch := range copies {
				var got []string
				for range want {
					got = append(got, receive(c, "a copy for "+name, ch))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s got %q", name, got)
				}
			}
		})
	}
}

// TestRefusedAtOnce calls services that cannot answer: the caller is told at once,
// in its protocol's form.
func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	for _, client := range peers.Clients() {
		t.Run(client.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, hub, client, client, "refused-"+client.Name)
			// A queue that a service left behind: it is known, nobody attends to it.
			gone := peers.Protocols()[0]
			server := c.dial(gone)
			c.must("serve", server.Serve(c.ctx, c.name+"-left",
				func(context.Context, peers.Request) peers.Reply { return peers.Reply{} }))
			server.Close()
			testCases := []struct {
				service, code string
				status        int
			}{
				{c.name + "-unknown", "no-service", 404},
				{c.name + "-left", "no-instance", 503},
			}
			caller := c.dial(c.client)
			for _, tc := range testCases {
				var f *peers.Failure
				err := harness.Poll(cellWait/2, func() error {
					start := time.Now()
					_, err := caller.Call(c.ctx, tc.service, "anybody?", cellWait)
					if !errors.As(err, &f) {
						return errors.New("no failure")
					}
					if took := time.Since(start); took > cellWait/4 {
						t.Errorf("%s: refused after %v", tc.service, took)
					}
					if f.Code != tc.code {
						return f // its consumer may not be gone yet
					}
					return nil
				})
				if err != nil {
					t.Errorf("%s: %v, want %s", tc.service, err, tc.code)
					continue
				}
				if client.Name == "REST" && f.Status != tc.status {
					t.Errorf("%s: status %d, want %d", tc.service, f.Status, tc.status)
				}
				if client.Name != "REST" && f.Form != peers.HubError(client.Name, tc.code) {
					t.Errorf("%s: refused by %s", tc.service, f.Form)
				}
			}
		})
	}
}
