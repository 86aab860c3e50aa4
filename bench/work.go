// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/peer"
)

// The names of the works.
const (
	transient16   = "transient-16"
	transient1K   = "transient-1k"
	request1      = "request-1"
	request64     = "request-64"
	persistent1K  = "persistent-1k"
	persistent4x4 = "persistent-1k-4x4"
	paced1K       = "paced-1k"
	topic10K      = "topic-10k"
	fanout100     = "fanout-100"
	body1M        = "body-1m"
	stomp16       = "stomp-16"
	stomp1K       = "stomp-1k"
	stompDurable  = "stomp-persistent-1k"
	proxy1K       = "proxy-1k"
	proxyOne      = "proxy-1k-1"
	thrift1K      = "thrift-1k"
	thriftOne     = "thrift-1k-1"
	declare10K    = "declare-10k"
	reverseAcks   = "reverse-acks"
	priority10    = "priority-10"
	idle10K       = "idle-10k"
	backlog       = "backlog"
	transcode     = "transcode"
)

// kind is how a work is done and shown.
type kind int

const (
	throughput kind = iota // as much as goes, peers in alternation
	paced                  // a fixed rate, peers in alternation, the disk probed in between
	fixed                  // a fixed number of things, peers in alternation: how long it takes
	crowd                  // idle connections, peers in alternation
	deep                   // a backlog, parley alone, once
	converted              // conversions of bodies, codecs in alternation, no broker
)

// compares reports whether peers' rates are set against each other.
func (k kind) compares() bool { return k == throughput || k == fixed }

// work is one thing that brokers are measured at.
type work struct {
	name    string
	kind    kind
	title   string
	unit    string // what is counted
	note    string // what a reader has to know, or empty
	peers   []string
	latency string // what the latencies are of, or empty
	syncs   bool   // the system calls for syncing are counted in a run of their own
	explain bool   // a profile of parley is shown
	stomp   bool   // over STOMP, but for those peers that have none
	proxied bool   // over HTTP, through the peer to a service in this program
	thrift  bool   // over Thrift, through the peer to a server of Apache's, or to this alone
	once    bool   // one round only, because a peer takes minutes
	do      func(context.Context, load.Params) (load.Result, error)
}

// rounds returns how many of so many rounds take part in the work.
func (w work) rounds(wanted int) int {
	if w.once {
		return 1
	}
	return wanted
}

// durablePeers are the brokers that keep messages on disk.
func durablePeers() []string {
	return []string{
		peer.Parley, peer.RabbitMQ, peer.RabbitQuorum, peer.JetStream, peer.JetStreamSync,
	}
}

// persistentNote says what a confirm is worth at each broker.
const persistentNote = "What a confirm says differs. Parley (`sync: always`), a quorum queue and " +
	"JetStream with `sync_interval: always` confirm after the disk has said that it has the " +
	"message; JetStream by default confirms after the write and syncs every two minutes; a classic " +
	"queue of RabbitMQ 3.10 writes and syncs in batches. JetStream's " +
	"queue is a stream on file with its default retention, which keeps what is acknowledged, a " +
	"durable push consumer and explicit acknowledgements; forgetting what is acknowledged (retention " +
	"`workqueue`) makes it slower."

// syncsNote says where the syncs come from.
const syncsNote = " The row of syncs is what strace counted in a run of its own, from the start of the " +
	"broker to its end, which is part of no other figure; writes to files opened with O_SYNC would " +
	"not show in it."

// pacedNote says how the latency of the disk is taken.
const pacedNote = "In each run the disk itself is probed between slices of one second of load, while " +
	"the broker is idle: 4 KiB of a file that was filled with zeros and synced before are " +
	"overwritten, then `fdatasync`; half of the time one after another, half of the time at the " +
	"rate of the messages. The aim is for the first of the two."

// backlogNote says how a backlog is measured.
const backlogNote = "Parley alone, `sync: always`, once. Messages go to the queues by turns, with at " +
	"most 10,000 unconfirmed. Then the hub is stopped and started, killed with SIGKILL and started, " +
	"and drained with manual acknowledgement; every queue must have each of its messages once, in " +
	"order, and be empty afterwards. Memory is resident memory; growth is that after the last " +
	"confirm over that before the first message, with the queues declared."

// allWorks returns the works in the order in which they are done and shown.
func allWorks() []work {
	return slices.Concat(streamWorks(), fixedWorks(), stompWorks(), proxyWorks(), thriftWorks(),
		[]work{convertWork(), crowdWork(), deepWork()})
}

// streamWorks are those that go on for as long as is measured.
func streamWorks() []work {
	return []work{
		streamWork(transient16, "Transient, auto-ack, 16 B", 16),
		streamWork(transient1K, "Transient, auto-ack, 1 KiB", 1<<10),
		requestWork(request1, "Request/reply, 1 outstanding, 16 B", 1),
		requestWork(request64, "Request/reply, 64 outstanding, 16 B", 64),
		confirmedWork(persistent1K, "Persistent 1 KiB, 1 publisher, 1 queue, 1 consumer", 1),
		confirmedWork(persistent4x4, "Persistent 1 KiB, 4 publishers, 4 queues, 4 consumers", 4),
		{
			name:    paced1K,
			kind:    paced,
			title:   "Persistent 1 KiB, 1,000 messages a second",
			unit:    "messages",
			note:    pacedNote,
			peers:   durablePeers(),
			latency: "publish to confirm",
		},
		spreadWork(topic10K, "Topic exchange with 10,000 bindings of 100 queues, 16 B",
			load.Spread{Exchange: "topic", Queues: 100, Bindings: 10_000, BodyBytes: 16}),
		spreadWork(fanout100, "One publish to 100 queues, 4 KiB",
			load.Spread{Exchange: "fanout", Queues: 100, BodyBytes: 4 << 10}),
		streamWork(body1M, "Transient, auto-ack, 1 MiB", 1<<20),
	}
}

// How many idle connections there are, and what a broker or this program needs for them.
const (
	crowdConnections = 10_000
	crowdDescriptors = 11_000
)

const crowdNote = "AMQP 0-9-1, each connection with one channel, no heartbeats, client and broker in " +
	"processes of their own. Memory is the growth of resident memory, a second after the last " +
	"connection was open, for each; then after each has declared a queue and consumes it. Every queue " +
	"is then sent one message, and every consumer has to get its own: the seconds and the processor " +
	"time are of that."

func crowdWork() work {
	return work{
		name:  idle10K,
		kind:  crowd,
		title: "10,000 idle connections, then 10,000 queues with a consumer each",
		unit:  "deliveries",
		note:  crowdNote,
		peers: []string{peer.Parley, peer.RabbitMQ},
		once:  true,
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Crowd(ctx, p, crowdConnections)
		},
	}
}

func deepWork() work {
	return work{
		name:  backlog,
		kind:  deep,
		title: "A backlog that nobody consumes, persistent, 100 B",
		unit:  "messages",
		note:  backlogNote,
		peers: []string{peer.Parley},
	}
}

func streamWork(name, title string, bodyBytes int) work {
	peers := []string{peer.Parley, peer.RabbitMQ}
	if bodyBytes <= natsMaxBody {
		peers = append(peers, peer.NATS)
	}
	return work{
		name:    name,
		title:   title,
		unit:    "messages",
		peers:   peers,
		explain: name == transient16,
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Stream(ctx, p, bodyBytes)
		},
	}
}

// natsMaxBody is up to which size NATS takes part: its own bound of a message is 1 MiB, headers and
// all, unless it is told otherwise.
const natsMaxBody = 64 << 10

// spreadNote says what is counted.
const spreadNote = "Counted are deliveries, of every copy. Four connections consume, each a quarter " +
	"of the queues; the order in each queue is checked."

func spreadWork(name, title string, s load.Spread) work {
	note := spreadNote
	if s.Bindings > 0 {
		note += " Each routing key has four bindings, of four queues: one literal, two with `*`, one " +
			"with `#`; the keys are published by turns."
	}
	return work{
		name:  name,
		title: title,
		unit:  "deliveries",
		note:  note,
		peers: []string{peer.Parley, peer.RabbitMQ},
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Fan(ctx, p, s)
		},
	}
}

const (
	declareNote = "Pipelined on one channel, 1,000 under way; each is answered when the broker has it " +
		"on disk, or says so."
	reverseNote = "All are at one consumer. A broker that is not through after a minute is stopped " +
		"there: its rate is that of the acknowledgements which it has taken."
	priorityNote = "One queue with `x-max-priority`, transient messages, confirms (window 10,000); the " +
		"consumer begins when the last is confirmed. The order by priority, and within each, is checked."
)

func declarations(ctx context.Context, p load.Params) (load.Result, error) {
	return load.Declarations(ctx, p, 10_000)
}

func reverseDeliveries(ctx context.Context, p load.Params) (load.Result, error) {
	return load.ReverseAcks(ctx, p, 100_000)
}

func priorities(ctx context.Context, p load.Params) (load.Result, error) {
	return load.Priorities(ctx, p, 100_000)
}

// fixedWorks are those that do a fixed number of things.
func fixedWorks() []work {
	works := []work{
		{
			name:  declare10K,
			title: "10,000 durable queues, declared and deleted",
			unit:  "operations",
			note:  declareNote,
			once:  true,
			do:    declarations,
		},
		{
			name:  reverseAcks,
			title: "100,000 unacknowledged deliveries, acknowledged one by one, newest first",
			unit:  "acknowledgements",
			note:  reverseNote,
			once:  true,
			do:    reverseDeliveries,
		},
		{
			name:  priority10,
			title: "Ten priorities by turns, 100,000 messages published, then drained",
			unit:  "messages",
			note:  priorityNote,
			do:    priorities,
		},
	}
	for i := range works {
		works[i].kind, works[i].peers = fixed, []string{peer.Parley, peer.RabbitMQ}
	}
	return works
}

// stompNote says what differs from the works over AMQP.
const stompNote = "SEND and SUBSCRIBE of `/queue/…`, STOMP 1.2, every SEND with a content-length. " +
	"RabbitMQ has its STOMP plugin; ActiveMQ the settings and the 512 MiB of heap of Debian's script, " +
	"and 8 s of warm-up. " +
	"The column parley-amqp is the same work through parley's AMQP 0-9-1 door."

// stompWorks are those that go over STOMP.
func stompWorks() []work {
	works := []work{
		streamWork(stomp16, "STOMP, transient, ack auto, 16 B", 16),
		streamWork(stomp1K, "STOMP, transient, ack auto, 1 KiB", 1<<10),
		confirmedWork(stompDurable, "STOMP, persistent 1 KiB, receipts", 1),
	}
	for i := range works {
		w := &works[i]
		w.stomp, w.syncs, w.note = true, false, stompNote
		w.explain = w.name == stomp16
		w.peers = []string{peer.Parley, peer.ParleyAMQP, peer.RabbitStomp, peer.ActiveMQ}
	}
	works[2].title = "STOMP, persistent 1 KiB, receipts (window 1,000), ack client-individual"
	return works
}

// proxyNote says how proxies are set up.
const proxyNote = "A POST of 1 KiB that a service answers with the same. The service is a part of the " +
	"generator, over raw sockets; every answer is compared with its request. The proxies keep " +
	"connections to it (nginx 64 a worker, of which there are two; HAProxy `http-reuse always`, two " +
	"threads; Go 1,024 idle ones) and log no requests. Parley balances, counts, has a circuit breaker " +
	"and passes deadlines on, as always."

// proxyWorks are those that go through a proxy of HTTP.
func proxyWorks() []work {
	works := []work{
		proxyWork(proxy1K, "HTTP proxied to a service, 1 KiB, 64 connections", 64),
		proxyWork(proxyOne, "HTTP proxied to a service, 1 KiB, 1 connection", 1),
	}
	works[0].explain = true
	return works
}

func proxyWork(name, title string, connections int) work {
	return work{
		name:    name,
		title:   title,
		unit:    "calls",
		note:    proxyNote,
		proxied: true,
		peers:   []string{peer.Parley, peer.Nginx, peer.HAProxy, peer.ReverseProxy},
		latency: "call to answer",
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Proxied(ctx, p, connections, 1<<10)
		},
	}
}

// thriftNote says what is set up and counted.
const thriftNote = "A call of `string echo(1: string text)` with 1 KiB, framed, strict binary; every " +
	"answer is compared with its call, octet by octet. The column apache-thrift is the server of " +
	"Apache's Go library, called without anything in between; parley has the same server behind it, " +
	"in a process of its own with a row of its own, and passes the struct on as it came, without IDL. " +
	"So broker CPU is what a call costs the server, and what the hub adds."

// thriftWorks are those that go through the hub to a server of Thrift.
func thriftWorks() []work {
	works := []work{
		thriftWork(thrift1K, "Thrift to a service that speaks it, 1 KiB, 64 connections", 64),
		thriftWork(thriftOne, "Thrift to a service that speaks it, 1 KiB, 1 connection", 1),
	}
	works[0].explain = true
	return works
}

func thriftWork(name, title string, connections int) work {
	return work{
		name:    name,
		title:   title,
		unit:    "calls",
		note:    thriftNote,
		thrift:  true,
		peers:   []string{peer.Parley, peer.ApacheThrift},
		latency: "call to answer",
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.ThriftCalls(ctx, p, connections, 1<<10)
		},
	}
}

func requestWork(name, title string, outstanding int) work {
	return work{
		name:    name,
		title:   title,
		unit:    "requests",
		peers:   []string{peer.Parley, peer.RabbitMQ, peer.NATS},
		latency: "request to answer",
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Requests(ctx, p, outstanding)
		},
	}
}

func confirmedWork(name, title string, lanes int) work {
	note := persistentNote
	if lanes == 1 {
		note += syncsNote
	}
	return work{
		name:    name,
		title:   title + ", durable, confirms (window 1,000), manual ack",
		unit:    "messages",
		note:    note,
		peers:   durablePeers(),
		latency: "publish to confirm",
		syncs:   lanes == 1,
		explain: lanes == 1,
		do: func(ctx context.Context, p load.Params) (load.Result, error) {
			return load.Confirmed(ctx, p, load.Shape{BodyBytes: 1 << 10, Lanes: lanes})
		},
	}
}

// How a paced work is laid out.
const (
	pacedPerSecond = 1_000
	pacedSlice     = time.Second
	probeTime      = 200 * time.Millisecond // one after another, and the same again at the rate
)

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

// protocolOf returns what a peer speaks at this work.
func (w work) protocolOf(name string) load.Protocol {
	switch name {
	case peer.Parley, peer.RabbitStomp, peer.ActiveMQ:
		if w.stomp {
			return load.STOMP
		}
		return load.AMQP
	case peer.NATS:
		return load.NATS
	case peer.JetStream, peer.JetStreamSync:
		return load.JetStream
	default:
		return load.AMQP
	}
}

// queueTypeOf returns the x-queue-type of a peer's durable queues; empty is the default.
func queueTypeOf(name string) string {
	if name == peer.RabbitQuorum {
		return "quorum"
	}
	return ""
}
