// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

const (
	// tick is how long a read may wait before somebody looks whether it still should. Most answers
	// come sooner, so that deadlines and watching the caller cost them nothing.
	tick = 100 * time.Millisecond
	// keepAlive is the time between two probes of an idle connection.
	keepAlive = 30 * time.Second
)

// DialError is a connection that did not come about: nothing was sent.
type DialError struct{ Err error }

// Error implements error.
func (e DialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e DialError) Unwrap() error { return e.Err }

// Dial opens a connection to the target within the time, which is checked here: it is the address
// that the name led to, if there was one. An error is a DialError.
func (t Target) Dial(ctx context.Context, within time.Duration) (net.Conn, error) {
	network, address := t.Network()
	if at, err := netip.ParseAddrPort(address); err == nil && network == "tcp" {
		if err := RefuseAddr(at.Addr()); err != nil {
			return nil, DialError{err}
		}
	}
	d := net.Dialer{Timeout: within, KeepAlive: keepAlive}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, DialError{err}
	}
	return conn, nil
}

// RefuseAddr refuses what cannot be a service's address and leads where nobody meant to go
// (security.md H10): link-local ones, where clouds keep their metadata, multicast, unspecified.
func RefuseAddr(addr netip.Addr) error {
	addr = addr.Unmap()
	if addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() {
		return fmt.Errorf("%v is no address of a service", addr)
	}
	return nil
}

// Socket is a connection to a member, which one call at a time has on its own goroutine. Reads obey
// that call's deadline and context without a timer or a goroutine, as long as they do not take long.
// It is not safe for concurrent use.
type Socket struct {
	Raw net.Conn

	expiry   time.Time       // when a read gives up to look around
	ctx      context.Context //nolint:containedctx // of the call that has the connection
	deadline time.Time       // zero: none
	watching func() bool     // stops watching ctx; nil: nobody watches
	stopped  atomic.Bool     // ctx has ended, and reads with it
}

// Begin binds the connection to a call, whose reads end at the deadline; zero: never.
func (s *Socket) Begin(ctx context.Context, deadline time.Time) {
	s.ctx, s.deadline = ctx, deadline
	s.stopped.Store(false)
}

// Extend sets another deadline of reads.
func (s *Socket) Extend(deadline time.Time) { s.deadline = deadline }

// End ends the call's hold. It reports false when the connection may not be used again: an ended
// context may be about to set the deadline of a read that is not its own any more.
func (s *Socket) End() (again bool) {
	again = true
	if s.watching != nil {
		again = s.watching()
		s.watching = nil
	}
	s.ctx, s.deadline = nil, time.Time{}
	return again
}

// Ready sees to it that a read looks around before long. It costs nothing as a rule, and is called
// before the request is written: that takes the time of the first look.
func (s *Socket) Ready() error {
	now := time.Now()
	if s.expiry.After(now) && s.expiry.Before(now.Add(2*tick)) {
		return nil
	}
	s.expiry = now.Add(tick)
	if !s.deadline.IsZero() && s.deadline.Before(s.expiry) {
		s.expiry = s.deadline
	}
	return s.Raw.SetReadDeadline(s.expiry)
}

// Read implements io.Reader within the deadline and until the context ends: os.ErrDeadlineExceeded
// then, or the context's error. The connection's own deadline is a tick: it is set again only when it
// has passed, and the first time it has, somebody begins to watch the context, for the call is a slow
// one.
func (s *Socket) Read(p []byte) (int, error) {
	if !s.deadline.IsZero() && s.expiry.After(s.deadline) {
		if err := s.Raw.SetReadDeadline(s.deadline); err != nil {
			return 0, err
		}
		s.expiry = s.deadline
	}
	for {
		n, err := s.Raw.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		now := time.Now()
		switch {
		case s.ctx.Err() != nil:
			return 0, s.ctx.Err()
		case !s.deadline.IsZero() && !now.Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		if err := s.wait(now); err != nil {
			return 0, err
		}
	}
}

// wait sets the next deadline of reads. One who waits has waited for a while already, so the context
// is watched from now on.
func (s *Socket) wait(now time.Time) error {
	if s.watching == nil {
		s.watching = context.AfterFunc(s.ctx, func() {
			s.stopped.Store(true)
			_ = s.Raw.SetReadDeadline(time.Unix(1, 0)) // it fails where the connection is closed
		})
	}
	next := now.Add(time.Hour)
	if !s.deadline.IsZero() {
		next = s.deadline
	}
	if err := s.Raw.SetReadDeadline(next); err != nil {
		return err
	}
	s.expiry = next
	if s.stopped.Load() { // it may have been before this deadline
		return s.ctx.Err()
	}
	return nil
}
