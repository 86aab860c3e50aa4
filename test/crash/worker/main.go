// SPDX-License-Identifier: Apache-2.0

// Command worker is a peer in a process of its own, for tests that kill it, or that
// need what one process began to be ended by another.
//
// Basics: `worker PROTOCOL NAME MODE AMQP STOMP REST LINE THRIFT` runs until its standard input
// ends; `PROTOCOL/contract` speaks as services with a contract do. Modes answer and hang serve the service NAME: they print `attached`, then
// `got BODY` for each request, with `again` behind it when the request was delivered
// before; in mode hang nothing is answered or settled. Mode ask sends the service
// NAME a request and prints `ticket TICKET`; mode collect waits for the answer to
// the ticket NAME and prints `answer BODY`.
//
// Caveats: it is built and run by tests only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// contractSuffix is the end of a protocol's name that is spoken by a contract.
const contractSuffix = "/contract"

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	const want = 8
	if len(args) != want {
		return errors.New("usage: worker PROTOCOL NAME answer|hang|ask|collect AMQP STOMP REST LINE THRIFT")
	}
	hub := harness.At(args[3:])
	name, hasContract := strings.CutSuffix(args[0], contractSuffix)
	for _, p := range peers.Clients() {
		if p.Name != name {
			continue
		}
		if hasContract {
			p = peers.Contracted(p)
		}
		peer, err := p.Dial(ctx, hub)
		if err != nil {
			return err
		}
		w := worker{peer: peer, name: args[1], out: out}
		if err := w.act(ctx, args[2]); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	return fmt.Errorf("no protocol %s", args[0])
}

// worker is a peer with the name of its service, or its ticket.
type worker struct {
	peer peers.Peer
	name string
	out  io.Writer
}

// act does what the mode says, and says so.
func (w worker) act(ctx context.Context, mode string) error {
	said := "attached"
	var err error
	switch mode {
	case "answer", "hang":
		err = w.serve(ctx, mode == "hang")
	case "ask":
		said, err = w.peer.Ask(ctx, w.name, "question")
		said = "ticket " + said
	case "collect":
		said, err = w.peer.Collect(ctx, w.name)
		said = "answer " + said
	default:
		err = fmt.Errorf("no mode %s", mode)
	}
	if err == nil {
		_, err = fmt.Fprintln(w.out, said)
	}
	return err
}

func (w worker) serve(ctx context.Context, hang bool) error {
	return w.peer.Serve(ctx, w.name, func(ctx context.Context, r peers.Request) peers.Reply {
		again := ""
		if r.Redelivered {
			again = " again"
		}
		_, _ = fmt.Fprintf(w.out, "got %s%s\n", r.Body, again)
		if hang {
			<-ctx.Done()
		}
		return peers.Reply{Body: fmt.Sprintf("pid %d did %s", os.Getpid(), r.Body)}
	})
}
