// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestServesAndCallsOnOneConnection runs passenger -> trip -> driver -> passenger
// on a single connection, each service with prefetch 1, 64 calls at a time: a hub
// or a client that waits for one message while it holds another would stand
// still. Thrift has a connection for each call and for each server, in one process.
func TestServesAndCallsOnOneConnection(t *testing.T) {
	t.Parallel()
	const atATime, rounds = 64, 3
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	protocols := peers.Clients()
	for i, p := range protocols {
		if p.Name == "REST" {
			// Long polls and calls share one TCP connection only in HTTP/2.
			protocols[i].Dial = peers.DialH2C
		}
	}
	for _, protocol := range protocols {
		t.Run(protocol.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t, hub, protocol, protocol, "chain-"+protocol.Name)
			peer := c.dial(protocol)
			trip, driver, passenger := c.name+"-trip", c.name+"-driver", c.name+"-passenger"
			relay := func(to string) peers.Handler {
				return func(ctx context.Context, r peers.Request) peers.Reply {
					answer, err := peer.Call(ctx, to, r.Body, cellWait)
					if err != nil {
						return peers.Reply{Body: err.Error(), Error: "internal"}
					}
					return peers.Reply{Body: answer + " < " + to}
				}
			}
			c.must("passenger", peer.Serve(c.ctx, passenger,
				func(_ context.Context, r peers.Request) peers.Reply { return peers.Reply{Body: r.Body} }))
			c.must("driver", peer.Serve(c.ctx, driver, relay(passenger)))
			c.must("trip", peer.Serve(c.ctx, trip, relay(driver)))
			var wg sync.WaitGroup
			for i := range atATime {
				wg.Go(func() {
					for round := range rounds {
						ask := fmt.Sprintf("ride %d.%d", i, round)
						answer, err := peer.Call(c.ctx, trip, ask, cellWait)
						want := ask + " < " + passenger + " < " + driver
						if err != nil || answer != want {
							t.Errorf("%s: %q, %v", ask, answer, err)
							return
						}
					}
				})
			}
			wg.Wait()
			if n := peer.Strays(); n > 0 {
				t.Errorf("%d answers that nobody asked for", n)
			}
		})
	}
}

// TestNeverDispatchedAfterItsDeadline lets a call wait behind a busy service
// until its deadline has passed: the caller gets its protocol's timeout, and the
// service never sees the call.
func TestNeverDispatchedAfterItsDeadline(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	for _, client := range peers.Clients() {
		for _, service := range peers.Services() {
			t.Run(client.Name+"-"+service.Name, func(t *testing.T) {
				t.Parallel()
				newCell(t, hub, client, service, "late-"+client.Name+"-"+service.Name).late()
			})
		}
	}
}

func (c *cell) late() {
	server := c.dial(c.service)
	const room = 8
	seen, open := make(chan string, room), make(chan struct{})
	c.must("serve", server.Serve(c.ctx, c.name, func(ctx context.Context, r peers.Request) peers.Reply {
		seen <- r.Body
		if r.Body == "busy" {
			select {
			case <-open:
			case <-ctx.Done():
			}
		}
		return peers.Reply{Body: "done " + r.Body}
	}))
	client := c.dial(c.client)
	first := make(chan error, 1)
	go func() {
		_, err := client.Call(c.ctx, c.name, "busy", cellWait)
		first <- err
	}()
	got := []string{receive(c, "the first call", seen)}
	_, err := client.Call(c.ctx, c.name, "late", 200*time.Millisecond)
	close(open)
	c.mustBeDeadline(err)
	c.must("the first call", receive(c, "its answer", first))
	_, err = client.Call(c.ctx, c.name, "after", cellWait)
	c.must("the call after", err)
	for len(seen) > 0 {
		got = append(got, <-seen)
	}
	if !slices.Equal(got, []string{"busy", "after"}) {
		c.t.Errorf("the service saw %q", got)
	}
	if n := client.Strays(); n > 0 {
		c.t.Errorf("%d answers that nobody asked for", n)
	}
}
