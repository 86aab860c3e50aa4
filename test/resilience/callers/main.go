// SPDX-License-Identifier: Apache-2.0

// Command callers calls a hub's services many times at once through one door, with a connection for each
// service, and waits for the answers until it is told to end: then every caller gives up. Services are
// named by numbers from 0.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

func main() {
	hub := flag.String("hub", "", "addresses of its doors, with commas between")
	door := flag.String("door", "", "name of the protocol")
	services := flag.Int("services", 1, "how many services there are")
	each := flag.Int("each", 1, "calls to each of them")
	limit := flag.Duration("limit", time.Minute, "time of a call")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := crowd{hub: harness.At(strings.Split(*hub, ",")), each: *each, limit: *limit}
	if err := c.call(ctx, *door, *services); err != nil {
		fmt.Fprintln(os.Stderr, "callers:", err)
		os.Exit(1)
	}
}

// crowd is the callers.
type crowd struct {
	hub   *harness.Hub
	each  int
	limit time.Duration
	all   sync.WaitGroup

	complaint sync.Once // the first says enough
}

// call begins all calls, and returns when the last caller has got an answer or has given up.
func (c *crowd) call(ctx context.Context, door string, services int) error {
	known := peers.Protocols()
	i := slices.IndexFunc(known, func(p peers.Protocol) bool { return p.Name == door })
	if i < 0 {
		return fmt.Errorf("no protocol is called %q", door)
	}
	var open []peers.Peer
	defer func() {
		for _, peer := range open {
			peer.Close()
		}
	}()
	for n := range services {
		peer, err := known[i].Dial(ctx, c.hub)
		if err != nil {
			return err
		}
		open = append(open, peer)
		for range c.each {
			c.all.Go(func() {
				_, err := peer.Call(ctx, strconv.Itoa(n), "x", c.limit)
				if ctx.Err() == nil {
					c.complaint.Do(func() { fmt.Fprintln(os.Stderr, "callers: not the caller ended a call:", err) })
				}
			})
		}
	}
	<-ctx.Done()
	c.all.Wait()
	return nil
}
