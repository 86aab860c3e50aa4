// SPDX-License-Identifier: Apache-2.0

package line

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// datagramBytesMax is what fits into one frame of Ethernet with IPv4 and UDP (line.md, UDP).
const datagramBytesMax = 1_472

// drop is why a datagram was dropped.
type drop uint8

const (
	dropMalformed drop = iota
	dropTooLong
	dropRefused
	dropRate
	dropAlarm
	dropCount
)

// String returns the reason as metrics name it.
func (d drop) String() string {
	return [dropCount]string{
		dropMalformed: "malformed", dropTooLong: "too-long", dropRefused: "refused",
		dropRate: "rate", dropAlarm: "alarm",
	}[d]
}

// ServePacket carries out datagrams until ctx ends or the socket is closed; it closes the socket. It
// answers none. It returns nil after the end of ctx, or what the socket failed with.
func (d *Door) ServePacket(ctx context.Context, pc net.PacketConn) error {
	u := &udp{door: d, socket: pc, rate: rate{perSecond: d.options.UDPRate}}
	u.composer.bodyMax = d.options.BodyBytes
	stop := context.AfterFunc(ctx, func() { _ = pc.Close() }) // the read sees it
	defer stop()
	defer u.close()
	err := u.run()
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// udp is one socket. All of it belongs to the goroutine that reads.
type udp struct {
	door     *Door
	socket   net.PacketConn
	rate     rate
	command  command
	composer composer
	registry *broker.Connection // nil before the first datagram that is allowed
	session  *broker.Session
	refused  bool // the last login was, which is logged once
}

func (u *udp) run() error {
	buf := make([]byte, datagramBytesMax+1)
	for {
		n, from, err := u.socket.ReadFrom(buf)
		if err != nil {
			var passing net.Error
			if errors.As(err, &passing) && passing.Timeout() {
				continue
			}
			return err
		}
		switch reason, ok := u.datagram(buf[:n], from); {
		case ok:
			u.door.datagrams.Add(1)
		default:
			u.door.dropped[reason].Add(1)
		}
	}
}

// datagram carries out one datagram, or says why not.
func (u *udp) datagram(text []byte, from net.Addr) (reason drop, ok bool) {
	b := u.door.options.Broker
	switch {
	case len(text) > datagramBytesMax:
		return dropTooLong, false
	case !u.rate.take(b.Now()):
		return dropRate, false
	case u.command.parse(text) != nil:
		return dropMalformed, false
	}
	var err *fault
	switch u.command.op {
	case opSend:
		err = u.composer.send(&u.command, false)
	case opPublish:
		err = u.composer.publish(&u.command, false)
	default:
		return dropMalformed, false
	}
	switch {
	case err != nil:
		return dropMalformed, false
	case b.Alarm() != "":
		return dropAlarm, false
	case !u.enter(from):
		return dropRefused, false
	}
	routed, failed := u.session.Publish(&u.composer.message, broker.PublishParams{})
	u.session.Flush()
	if failed != nil || routed == 0 && u.command.op == opSend {
		return dropRefused, false
	}
	return 0, true
}

// enter opens the heart's session, before the first datagram: until then the door costs nothing.
func (u *udp) enter(from net.Addr) bool {
	if u.session != nil {
		return true
	}
	err := u.open(from)
	if err != nil && !u.refused {
		u.door.options.Logger.Info("datagrams are refused", "peer", from.String(), "error", err)
	}
	u.refused = err != nil
	return err == nil
}

var errNoUser = errors.New("the listener is no loopback address and has no user")

func (u *udp) open(from net.Addr) error {
	o := &u.door.options
	user := o.User
	if user == "" {
		if !auth.PeerOf(u.socket.LocalAddr()).Loopback() {
			return errNoUser
		}
		user = o.Guest
	}
	if err := o.Auth.Admit(user, from); err != nil {
		return err
	}
	var p broker.ConnectionParams
	p.Name, p.Peer, p.User, p.VHost = "udp "+u.socket.LocalAddr().String(), "udp", user, defaultVHost
	p.Door = Name
	registry, err := o.Broker.Open(p)
	if err != nil {
		return err
	}
	session, err := registry.OpenSession(deaf{})
	if err != nil {
		registry.Close()
		return err
	}
	u.registry, u.session = registry, session
	return nil
}

func (u *udp) close() {
	_ = u.socket.Close() // nobody is left to tell
	if u.registry != nil {
		u.registry.Close()
	}
}

// rate lets so many through in a second, and as many at once.
type rate struct {
	perSecond int
	left      float64
	last      time.Time
}

func (r *rate) take(now time.Time) bool {
	most := float64(r.perSecond)
	if r.last.IsZero() {
		r.left = most
	} else {
		r.left = min(most, r.left+now.Sub(r.last).Seconds()*most)
	}
	r.last = now
	if r.left < 1 {
		return false
	}
	r.left--
	return true
}

// deaf is the sink of datagrams: nobody hears anything.
type deaf struct{}

var _ broker.Sink = deaf{}

// Deliver implements broker.Sink.
func (deaf) Deliver(*broker.Delivery) int { return 1 }

// Cancel implements broker.Sink.
func (deaf) Cancel(*broker.Consumer) {}

// Confirm implements broker.Sink.
func (deaf) Confirm(uint64) {}

// Nack implements broker.Sink.
func (deaf) Nack(uint64) {}

// Return implements broker.Sink.
func (deaf) Return(*broker.Message, *broker.Error) {}

// Block implements broker.Sink.
func (deaf) Block(string) {}

// Flush implements broker.Sink.
func (deaf) Flush() {}
