// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
)

// Options configure a broker. Clock, Log and Logger are required; Validate says what is missing.
type Options struct {
	// Name is the hub's name; reply tokens carry it. Default "hub".
	Name  string
	Clock Clock
	// Log holds persistent messages and durable structure. Its Apply must be the broker's.
	Log Log
	// Formats are those of every door.
	Formats []Format
	// Access decides who may do what; nil allows everything (a broker inside a test).
	Access Access
	// Peers is nil on one machine.
	Peers  Peers
	Logger *slog.Logger
	Limits Limits
	// Operation says what is known of an operation of a service. It is called for each call: it does
	// not block, and calls nothing of the heart. Nil: nothing is known.
	Operation func(vhost, service string, operation []byte) OperationTerms
	// Components are the components of parameters that mean something to somebody outside of the
	// heart, by their names.
	Components map[string]Component
}

// Access is the one permission function, implemented by internal/auth.
type Access interface {
	// Allowed says whether a user may do an action on a resource; key is the routing key where a
	// topic permission applies, else empty.
	Allowed(user, vhost string, action auth.Action, resource, key string) bool
	// MayOpen says whether a user may open a virtual host at all.
	MayOpen(user, vhost string) bool
	// Version changes whenever an answer of Allowed may have changed.
	Version() uint64
}

// Limits bound what clients can make the heart hold. Zero means the default; a negative number
// means no limit.
type Limits struct {
	// MessageBytes bounds one message body. Default 128 MiB.
	MessageBytes int
	// Connections bounds all connections, ConnectionsPerVHost and ConnectionsPerUser those of
	// one. Default: none, since descriptors bound them.
	Connections         int
	ConnectionsPerVHost int `yaml:"connections_per_vhost"`
	ConnectionsPerUser  int
	// Queues bounds the queues of a virtual host, Exchanges its exchanges, Bindings its bindings.
	// Defaults 100,000, 10,000 and 1,000,000.
	Queues, Exchanges, Bindings int
	// ConsumersPerSession bounds the consumers of a session. Default 10,000.
	ConsumersPerSession int
	// UnsettledPerSession pauses delivery to a session. Default 1,000,000.
	UnsettledPerSession int
	// Requests bounds outstanding calls and stored answers of a virtual host. Default 100,000.
	Requests int
	// MemoryBytes bounds the memory of kept messages; above it publishers are blocked. Default:
	// none, since only the hub knows the machine. The hub bounds all of its process with it too.
	MemoryBytes int
	// WindowMessages and WindowBytes bound what one queue keeps in memory; the log alone has what is
	// behind. Defaults 4,096 and 4 MiB.
	WindowMessages, WindowBytes int
	// BacklogBytes bounds the memory of the log's messages that wait in all queues together; queues
	// without consumers use half of it. Default 8 MiB.
	BacklogBytes int
	// VolatileBytes is the memory of kept messages above which queues whose window is full append
	// messages to the log that it need not hold. Default: a quarter of MemoryBytes.
	VolatileBytes int
	// Delayed bounds the messages that wait in all delayed exchanges; above it they refuse more, as a
	// full queue does. Each takes 32 bytes of memory, wherever the message is. Default 4,000,000.
	Delayed int
	// CallsWaiting bounds the calls that wait in one service's queue. Default 1,024.
	CallsWaiting int
}

const unlimited = int(^uint(0) >> 1)

// DefaultLimits returns what zero stands for; MemoryBytes and VolatileBytes, which depend on the
// machine and on each other, are zero.
func DefaultLimits() Limits {
	return Limits{
		MessageBytes: 128 << 20,
		Connections:  -1, ConnectionsPerVHost: -1, ConnectionsPerUser: -1,
		Queues: 100_000, Exchanges: 10_000, Bindings: 1_000_000,
		ConsumersPerSession: 10_000, UnsettledPerSession: 1_000_000,
		Requests: 100_000, CallsWaiting: 1_024, Delayed: 4_000_000,
		WindowMessages: 4_096, WindowBytes: 4 << 20, BacklogBytes: 8 << 20,
	}
}

func (l *Limits) setDefaults() {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
		if *field < 0 {
			*field = unlimited
		}
	}
	d := DefaultLimits()
	set(&l.MessageBytes, d.MessageBytes)
	set(&l.Connections, d.Connections)
	set(&l.ConnectionsPerVHost, d.ConnectionsPerVHost)
	set(&l.ConnectionsPerUser, d.ConnectionsPerUser)
	set(&l.Queues, d.Queues)
	set(&l.Exchanges, d.Exchanges)
	set(&l.Bindings, d.Bindings)
	set(&l.ConsumersPerSession, d.ConsumersPerSession)
	set(&l.UnsettledPerSession, d.UnsettledPerSession)
	set(&l.Requests, d.Requests)
	set(&l.CallsWaiting, d.CallsWaiting)
	set(&l.Delayed, d.Delayed)
	set(&l.MemoryBytes, unlimited)
	set(&l.WindowMessages, d.WindowMessages)
	set(&l.WindowBytes, d.WindowBytes)
	set(&l.BacklogBytes, d.BacklogBytes)
	if l.MemoryBytes == unlimited {
		set(&l.VolatileBytes, unlimited)
	}
	set(&l.VolatileBytes, l.MemoryBytes/4)
}

// Broker is one hub's heart. All methods are safe for concurrent use.
type Broker struct {
	name   string
	clock  Clock
	log    Log
	access Access
	peers  Peers
	logger *slog.Logger
	limits Limits

	formats [256]Format

	recovered atomic.Bool

	// changing is held while a virtual host is added or deleted, or a limit or global parameter set.
	changing sync.Mutex

	mu     sync.RWMutex
	vhosts map[string]*VirtualHost
	// globals are the global parameters, as JSON.
	globals map[string][]byte

	connections registry
	replies     replyTable
	requests    requestTable
	running     running
	callbacks   callbacks
	// subscriptions holds a token when one of them changed.
	subscriptions chan struct{}
	components    map[string]*component
	operation     func(vhost, service string, operation []byte) OperationTerms
	// users are those of the log until TakeUsers.
	users      map[string][]byte
	queueID    atomic.Uint32
	consumerID atomic.Uint64
	alarm      alarm
	rest       housekeeping
	pagers     pagers
	delayed    atomic.Int64   // messages that wait in delayed exchanges
	senders    sync.WaitGroup // of delayed messages that are due
	// attachments are the endpoints at their queues.
	attachments attachments
	refused     atomic.Bool // the log took something not
	metrics     Metrics
	tallies     tallies
}

// New returns a broker with the virtual host "/". Recovery, if the log holds anything, is the
// caller's next step: see Recover.
func New(o Options) *Broker {
	o.Limits.setDefaults()
	if o.Name == "" {
		o.Name = "hub"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		name: o.Name, clock: o.Clock, log: o.Log, access: o.Access, peers: o.Peers,
		logger: o.Logger, limits: o.Limits, vhosts: make(map[string]*VirtualHost),
		users: make(map[string][]byte), globals: make(map[string][]byte),
		subscriptions: make(chan struct{}, 1), operation: o.Operation,
	}
	b.setComponents(o.Components)
	b.callbacks.wake = make(chan struct{}, 1)
	for _, f := range o.Formats {
		b.formats[f.ID()] = f
	}
	b.alarm.b = b
	b.alarm.limit.Store(int64(o.Limits.MemoryBytes))
	b.rest.b, b.pagers.b = b, b
	b.connections.init()
	b.replies.init(b)
	b.virtualHost(defaultVHost)
	return b
}

// logRefused tells that the log took something not, the first time: a log that failed takes nothing
// any more, and every client would add its line.
func (b *Broker) logRefused(what string, args ...any) {
	if !b.refused.Swap(true) {
		b.logger.Error("the log does not take any more", append(args, "first", what)...)
	}
}

// Name returns the hub's name.
func (b *Broker) Name() string { return b.name }

// AfterFunc calls f after d on the broker's clock; doors use it for leases and heart-beats, so
// that they run under a simulated clock too.
func (b *Broker) AfterFunc(d time.Duration, f func()) Timer { return b.clock.AfterFunc(d, f) }

// Format returns the format with an id, or nil.
func (b *Broker) Format(id FormatID) Format { return b.formats[id] }

// MaxMessageBytes returns the limit of a message body.
func (b *Broker) MaxMessageBytes() int { return b.limits.MessageBytes }

// VirtualHost returns a virtual host by name.
func (b *Broker) VirtualHost(name string) (*VirtualHost, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	v, ok := b.vhosts[name]
	return v, ok
}

// VirtualHosts returns all virtual hosts, in no order.
func (b *Broker) VirtualHosts() []*VirtualHost {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]*VirtualHost, 0, len(b.vhosts))
	for _, v := range b.vhosts {
		out = append(out, v)
	}
	return out
}

// Drain lets no new calls begin and waits until those under way have their answers or ctx ends; it
// reports whether there were any. Everything else goes on.
func (b *Broker) Drain(ctx context.Context) (waited bool) { return b.replies.drain(ctx) }

// Close ends all connections, timers and virtual hosts. The log is its owner's to close.
func (b *Broker) Close() {
	for _, c := range b.connections.all() {
		c.Close()
	}
	b.attachments.close()
	b.alarm.close()
	b.replies.close()
	b.requests.close()
	b.pagers.close()
	for _, v := range b.VirtualHosts() {
		v.close()
	}
	b.senders.Wait()
	b.rest.ended.Wait()
	b.logStop()
}

// tokenBytes is the size of names that must not be guessed (128 bits).
const tokenBytes = 16

// newToken returns 22 random characters, safe in names and URLs.
func newToken() string {
	var raw [tokenBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
