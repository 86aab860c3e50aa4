// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

// The names of the works.
const (
	transient16  = "transient-16"
	transient1K  = "transient-1k"
	request1     = "request-1"
	request64    = "request-64"
	persistent1K = "persistent-1k"
)

// work is one thing that brokers are measured at.
type work struct {
	name    string
	title   string
	unit    string // what is counted
	note    string // what a reader has to know, or empty
	peers   []string
	latency string // what the latencies are of, or empty
	do      func(context.Context, load.Params) (load.Result, error)
}

// persistentNote says what a confirm is worth; it changes with parley's log.
const persistentNote = "Parley's log is in memory for now: its confirm does not yet follow a " +
	"write to disk, so its figure stands for the path through the hub only and is no " +
	"comparison with RabbitMQ's, whose durable classic queue writes to disk and syncs now and " +
	"then."

// allWorks returns the works in the order in which they are done and shown.
func allWorks() []work {
	return []work{
		streamWork(transient16, "Transient, auto-ack, 16 B", 16),
		streamWork(transient1K, "Transient, auto-ack, 1 KiB", 1<<10),
		requestWork(request1, "Request/reply, 1 outstanding, 16 B", 1),
		requestWork(request64, "Request/reply, 64 outstanding, 16 B", 64),
		{
			name:    persistent1K,
			title:   "Persistent 1 KiB, confirms (window 1,000), manual ack, durable queue",
			unit:    "messages",
			note:    persistentNote,
			peers:   []string{peer.Parley, peer.RabbitMQ},
			latency: "publish to confirm",
			do: func(ctx context.Context, p load.Params) (load.Result, error) {
				return load.Confirmed(ctx, p, load.Shape{BodyBytes: 1 << 10, Lanes: 1})
			},
		},
	}
}

func streamWork(name, title string, bodyBytes int) work {
	return work{
		name:  name,
		title: title,
		unit:  "messages",
		peers: allPeers(),
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Stream(ctx, p, bodyBytes)
		},
	}
}

func requestWork(name, title string, outstanding int) work {
	return work{
		name:    name,
		title:   title,
		unit:    "requests",
		peers:   allPeers(),
		latency: "request to answer",
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Requests(ctx, p, outstanding)
		},
	}
}

func workNames() []string {
	works := allWorks()
	names := make([]string, len(works))
	for i, w := range works {
		names[i] = w.name
	}
	return names
}

// parseWorks reads a list of names, or "all".
func parseWorks(list string) ([]work, error) {
	if list == "all" {
		return allWorks(), nil
	}
	var works []work
	for name := range strings.SplitSeq(list, ",") {
		all := allWorks()
		i := slices.IndexFunc(all, func(w work) bool { return w.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown work %q", name)
		}
		works = append(works, all[i])
	}
	return works, nil
}

// protocolOf returns what a peer speaks here.
func protocolOf(name string) load.Protocol {
	if name == peer.NATS {
		return load.NATS
	}
	return load.AMQP
}
