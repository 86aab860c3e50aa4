// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	stompdoor "github.com/parley-ipc/parley/internal/door/stomp"
	thriftdoor "github.com/parley-ipc/parley/internal/door/thrift"
	"github.com/parley-ipc/parley/internal/listen"
	"github.com/parley-ipc/parley/internal/webhook"
)

// Off as a door's Listen leaves the door closed.
const Off = "off"

// Options configure a hub. The zero value is a working hub on loopback; Defaults shows it.
type Options struct {
	// Name is the hub's name in reply addresses. Letters, digits, - and _; default "hub".
	Name string `yaml:"name"`
	// Data is the data directory, made if it does not exist. Without one the log is in memory, and
	// nothing outlives the hub.
	Data string `yaml:"data"`
	// Sync says when a confirm is given: always, interval or off. Default always.
	Sync string `yaml:"sync"`
	// Log shapes the log in the data directory.
	Log Log `yaml:"log"`
	// Listen is one address for all doors, which tell their clients by the first octets; those of TLS
	// too, if TLS is set. The doors' own addresses stay. Default off.
	Listen string `yaml:"listen"`
	// ListenAll allows doors to listen on addresses other than loopback. Default false.
	ListenAll bool `yaml:"listen_all"`
	// Drain bounds the wait for clients at shutdown. Default 10 s.
	Drain time.Duration `yaml:"drain"`
	// Listeners bound what each listener takes, the shared one and those of TLS too.
	Listeners Listeners `yaml:"listeners"`
	// TLS are the certificates of all listeners that speak TLS; a door may have its own.
	TLS TLS `yaml:"tls"`
	// Proxies are addresses or networks ("10.0.0.0/24") of proxies that begin each connection with a
	// PROXY protocol header; the client that it names counts as the peer. Default none.
	Proxies []string `yaml:"proxies"`
	// Origins are those ("https://app.example") whose pages may use the REST door and WebSockets from
	// a browser, besides the hub's own. Default: none.
	Origins []string `yaml:"origins"`
	// Doors are the listeners.
	Doors Doors `yaml:"doors"`
	// Services are those that the hub itself calls, by their names. Default none; servers can be
	// attached at run time too.
	Services map[string]Service `yaml:"services"`
	// Contracts say what services take and answer, by their names. Default none; contracts can be
	// pushed at run time too.
	Contracts map[string]Contract `yaml:"contracts"`
	// REST are the rules of the REST door.
	REST restdoor.Rules `yaml:"rest"`
	// Thrift are those of the Thrift door.
	Thrift thriftdoor.Rules `yaml:"thrift"`
	// Webhooks say to whom the hub may post.
	Webhooks Webhooks `yaml:"webhooks"`
	// Limits bound what clients can make the hub hold.
	Limits Limits `yaml:"limits"`
	// Compat is what the hub calls itself towards clients that sniff.
	Compat Compat `yaml:"compat"`
	// Users are who may log in, beside those that were added at run time. They are as they stand
	// here at every start. Default: guest with password guest, from loopback only, unless the data
	// directory has users.
	Users []User `yaml:"users"`
	// AnonymousUser is who a client is that logs in by SASL ANONYMOUS. Default: none, and ANONYMOUS is
	// not offered.
	AnonymousUser string `yaml:"anonymous_user"`
	// Logger gets what happens. Default: nothing is logged.
	Logger *slog.Logger `yaml:"-"`
}

// Log shapes the log in the data directory.
type Log struct {
	// SegmentBytes is the size to which the log's files grow, from 4 MiB or from this when it is
	// less. Publishers are blocked when there is no room for another file, so a small disk wants
	// small ones: at most a sixth of the room that the log may have. Default 64 MiB.
	SegmentBytes int `yaml:"segment_bytes"`
}

// Bounds of Log.SegmentBytes.
const (
	minSegmentBytes   = 64 << 10
	maxSegmentBytes   = 1 << 30
	firstSegmentBytes = 4 << 20
)

// Webhooks are the rules of posts to URLs of others.
type Webhooks = webhook.Rules

// Limits are the heart's limits.
type Limits = broker.Limits

// Listeners are the limits of a listener.
type Listeners = listen.Limits

// Doors are the hub's listeners.
type Doors struct {
	AMQP       Door `yaml:"amqp"`
	STOMP      Door `yaml:"stomp"`
	WebSTOMP   Door `yaml:"webstomp"`
	REST       Door `yaml:"rest"`
	Management Door `yaml:"management"`
	Thrift     Door `yaml:"thrift"`
	Line       Door `yaml:"line"`
	// Prometheus serves the metrics alone; RabbitMQ's port for it is 15692.
	Prometheus Door `yaml:"prometheus"`
	// ActiveMQ speaks STOMP as ActiveMQ does, beside the door stomp. Default off.
	ActiveMQ Door `yaml:"activemq"`
}

// Door configures the listeners of one door.
type Door struct {
	// Listen is host:port, unix:PATH, or off. Port 0 takes a free one.
	Listen string `yaml:"listen"`
	// TLSListen is the same for a listener that speaks TLS. Default off; 5671 is usual for AMQP,
	// 61614 for STOMP, 15673 for STOMP over WebSocket, 8443 for REST.
	TLSListen string `yaml:"tls_listen"`
	// TLS is what this door has otherwise than Options.TLS.
	TLS TLS `yaml:"tls"`
	// Dialect is whose clients the doors stomp and webstomp serve: rabbitmq or activemq. Default
	// rabbitmq; other doors have none.
	Dialect Dialect `yaml:"dialect"`
	// UDPListen is host:port for datagrams, or off; the line door alone takes them. Default: where the
	// line door listens, if that is host:port.
	UDPListen string `yaml:"udp_listen"`
	// User is who every client of the doors line and thrift is; others have none. Default: each one shows
	// or says who it is.
	User string `yaml:"user"`
	// Service is whom messages are for that name no service; the door thrift alone has one. Default:
	// none, such messages are refused.
	Service string `yaml:"service"`
	// Static is a directory whose files the door webstomp serves beside /ws, to anybody, for pages
	// that speak STOMP. Other doors serve none. Default: none.
	Static string `yaml:"static"`
	// HTTPAuth takes the name and password of the HTTP request that opens a WebSocket (Basic) for those
	// of CONNECT, whatever is there. Default false; the door webstomp alone has it.
	HTTPAuth bool `yaml:"http_auth"`
	// Compress lets clients of the door webstomp compress messages and get compressed ones
	// (permessage-deflate), at /ws of the REST door too. Default false; other doors have no such thing.
	Compress bool `yaml:"compress"`
}

// Dialect names the broker whose manners a STOMP door has.
type Dialect = stompdoor.Dialect

// TLS names certificates, and says what clients have to show.
type TLS = listen.TLS

// Compat names the product that a protocol presents.
type Compat struct {
	AMQP091 Product `yaml:"amqp091"`
}

// Product is a name and a version, as server-properties show them. Default: parley and its own; with
// RabbitMQ the version of its management API that the hub has.
type Product struct {
	Product string `yaml:"product"`
	Version string `yaml:"version"`
}

// Defaults returns the options of a hub that nobody configured.
func Defaults() Options {
	door := func(address string) Door { return Door{Listen: address, TLSListen: Off} }
	return Options{
		Name: "hub", Sync: "always", Listen: Off, Drain: 10 * time.Second,
		Log: Log{SegmentBytes: 64 << 20}, Listeners: listen.DefaultLimits(),
		Doors: Doors{
			AMQP:       door("127.0.0.1:5672"),
			STOMP:      door("127.0.0.1:61613"),
			WebSTOMP:   door("127.0.0.1:15674"),
			REST:       door("127.0.0.1:8080"),
			Management: door("127.0.0.1:15672"),
			Thrift:     door("127.0.0.1:9090"),
			Line:       door("127.0.0.1:7070"),
			Prometheus: door(Off),
			ActiveMQ:   door(Off),
		},
		REST: restdoor.DefaultRules(), Thrift: thriftdoor.DefaultRules(), Limits: broker.DefaultLimits(),
	}
}

// setDefaults fills in what is zero.
func (o *Options) setDefaults() {
	d := Defaults()
	if o.Name == "" {
		o.Name = d.Name
	}
	if o.Sync == "" {
		o.Sync = d.Sync
	}
	if o.Listen == "" {
		o.Listen = d.Listen
	}
	if o.Drain == 0 {
		o.Drain = d.Drain
	}
	if o.Log.SegmentBytes == 0 {
		o.Log.SegmentBytes = d.Log.SegmentBytes
	}
	mine, theirs := o.Doors.all(), d.Doors.all()
	for i := range mine {
		if mine[i].door.Listen == "" {
			mine[i].door.Listen = theirs[i].door.Listen
		}
		if mine[i].door.TLSListen == "" {
			mine[i].door.TLSListen = Off
		}
	}
	if o.Limits.MemoryBytes == 0 {
		o.Limits.MemoryBytes = memoryWatermark()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// namedDoor is a door with its name in configurations and logs.
type namedDoor struct {
	name string
	door *Door
}

// all lists the doors in the order of Doors.
func (d *Doors) all() []namedDoor {
	return []namedDoor{
		{"amqp", &d.AMQP},
		{"stomp", &d.STOMP},
		{"webstomp", &d.WebSTOMP},
		{"rest", &d.REST},
		{"management", &d.Management},
		{"thrift", &d.Thrift},
		{"line", &d.Line},
		{"prometheus", &d.Prometheus},
		{"activemq", &d.ActiveMQ},
	}
}

// Validate returns all faults at once; zero values stand for the defaults.
func (o *Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if strings.Trim(o.Name, nameCharacters) != "" {
		fault("name: %q may hold only letters, digits, - and _", o.Name)
	}
	switch o.Sync {
	case "", "always", "interval", "off":
	default:
		fault("sync: %q is not always, interval or off", o.Sync)
	}
	if n := o.Log.SegmentBytes; n != 0 && (n < minSegmentBytes || n > maxSegmentBytes) {
		fault("log.segment_bytes: %d is not between 64KiB and 1GiB", n)
	}
	if o.Drain < 0 {
		fault("drain: must not be negative")
	}
	for _, f := range o.Listeners.Validate() {
		fault("listeners.%w", f)
	}
	for i, origin := range o.Origins {
		if err := checkOrigin(origin); err != nil {
			fault("origins[%d]: %w", i, err)
		}
	}
	if _, err := o.proxies(); err != nil {
		fault("%w", err)
	}
	for _, f := range joined(o.Webhooks.Validate()) {
		fault("webhooks.%w", f)
	}
	faults = append(faults, joined(o.REST.Validate())...)
	faults = append(faults, joined(o.Thrift.Validate())...)
	faults = append(faults, o.validateDoors()...)
	faults = append(faults, o.validateServices()...)
	_, wrong := o.loadContracts()
	faults = append(faults, wrong...)
	faults = append(faults, o.validateUsers()...)
	return errors.Join(faults...)
}

// validateUsers returns what is wrong with the users.
func (o *Options) validateUsers() []error {
	var faults []error
	seen := make(map[string]bool, len(o.Users))
	for i, u := range o.Users {
		if err := u.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("users[%d]: %w", i, err))
		} else if seen[u.Name] {
			faults = append(faults, fmt.Errorf("users[%d].name: %q stands here twice", i, u.Name))
		}
		seen[u.Name] = true
	}
	return faults
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
