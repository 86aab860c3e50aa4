// SPDX-License-Identifier: Apache-2.0

// Command worker is a service in a process of its own, for tests that kill it.
//
// Basics: `worker PROTOCOL SERVICE answer|hang AMQP STOMP REST` serves until its
// standard input ends. It prints `attached`, then `got BODY` for each request,
// with `again` behind it when the request was delivered before. In mode hang it
// never answers and never settles what it got.
//
// Caveats: it is built and run by package crash only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	const want = 6
	if len(args) != want {
		return errors.New("usage: worker PROTOCOL SERVICE answer|hang AMQP STOMP REST")
	}
	hub := &harness.Hub{AMQP: args[3], STOMP: args[4], REST: args[5]}
	for _, p := range peers.Protocols() {
		if p.Name != args[0] {
			continue
		}
		peer, err := p.Dial(ctx, hub)
		if err != nil {
			return err
		}
		err = peer.Serve(ctx, args[1], func(ctx context.Context, r peers.Request) peers.Reply {
			again := ""
			if r.Redelivered {
				again = " again"
			}
			_, _ = fmt.Fprintf(out, "got %s%s\n", r.Body, again)
			if args[2] == "hang" {
				<-ctx.Done()
			}
			return peers.Reply{Body: fmt.Sprintf("pid %d did %s", os.Getpid(), r.Body)}
		})
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(out, "attached")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	return fmt.Errorf("no protocol %s", args[0])
}
