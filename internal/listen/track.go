// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	// closeGrace is what handlers have to return in after their connections were closed.
	closeGrace = 5 * time.Second
	// handshakeGrace is what a handler has to answer in after its read deadline has passed.
	handshakeGrace = time.Second
	// logPause is the time between two refusals that are logged; the metrics count them all.
	logPause = time.Second
)

// refusal is a reason for closing a connection before login.
type refusal string

const (
	tooMany           refusal = "connections"
	noRoom            refusal = "descriptors"
	tooManyPending    refusal = "pending"
	tooManyFromSource refusal = "pending-per-address"
	tooLate           refusal = "handshake-timeout"
	foreign           refusal = "origin"
	failed            refusal = "handshake" // of what comes before the door's protocol
)

// slot is the place of one connection in the counts.
type slot struct {
	listener *Listener
	conn     net.Conn
	source   netip.Addr
	counted  bool        // by source
	began    time.Time   // accepted
	timer    *time.Timer // closes what does not log in

	// Guarded by listener.mu.
	pending  bool
	queued   bool // given to a server that accepts by itself, and hears nothing of ctx
	released bool
}

// admit takes a connection into the counts, or closes it.
func (l *Listener) admit(conn net.Conn) *slot {
	s := &slot{listener: l, conn: conn, began: time.Now(), pending: true}
	if !l.trusts(conn.RemoteAddr()) { // a proxy's clients count, once it has named them
		s.source, s.counted = source(conn.RemoteAddr())
	}
	if reason := l.enter(s); reason != "" {
		l.refuse(s, reason)
		conn.Close()
		return nil
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Coalescing is the doors' own. It fails only on a connection that is gone.
		_ = tcp.SetNoDelay(true)
	}
	l.accepted.Inc()
	return s
}

// enter counts s, or returns why it may not.
func (l *Listener) enter(s *slot) refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped || len(l.slots) >= l.options.MaxConnections:
		return tooMany
	case l.pending >= l.options.MaxPending:
		return tooManyPending
	case s.counted && l.sources[s.source] >= l.options.MaxPendingPerAddress:
		return tooManyFromSource
	case !l.options.Room.take():
		return noRoom
	}
	l.slots[s] = struct{}{}
	l.openNow.Set(int64(len(l.slots)))
	l.pending++
	if s.counted {
		l.sources[s.source]++
	}
	s.timer = time.AfterFunc(l.options.HandshakeTimeout+handshakeGrace, s.expire)
	return ""
}

// refuse counts and logs that a connection is closed before login.
func (l *Listener) refuse(s *slot, reason refusal) {
	l.refused[reason].Inc()
	if l.mayLog() {
		l.options.Logger.Warn("connection refused", "door", l.options.Door,
			"reason", string(reason), "peer", s.conn.RemoteAddr().String())
	}
}

// mayLog reports whether a refusal is to be logged: a flood of them is no flood of log lines.
func (l *Listener) mayLog() bool {
	now, last := time.Now().UnixNano(), l.lastLog.Load()
	return now-last >= int64(logPause) && l.lastLog.CompareAndSwap(last, now)
}

// limitRead lets the handler's reads fail at the end of the handshake time, so that it can
// answer before the connection is closed.
func (s *slot) limitRead() {
	// It fails only on a connection that is gone.
	_ = s.conn.SetReadDeadline(s.began.Add(s.listener.options.HandshakeTimeout))
}

// deadline returns the end of a step of the handshake that may take so long, within the whole.
func (s *slot) deadline(step time.Duration) time.Time {
	end, whole := time.Now().Add(step), s.began.Add(s.listener.options.HandshakeTimeout)
	if whole.Before(end) {
		return whole
	}
	return end
}

// loggedIn takes s out of the counts of those who are not.
func (s *slot) loggedIn() {
	if s.admitted() {
		_ = s.conn.SetReadDeadline(time.Time{}) // ″
	}
}

// admitted ends the time before login by a login, and reports whether it is the first.
func (s *slot) admitted() bool {
	if !s.settle() {
		return false
	}
	s.listener.logins.ObserveDuration(time.Since(s.began))
	return true
}

// settle ends the time before login, and reports whether it was not over yet.
func (s *slot) settle() bool {
	l := s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.pending {
		return false
	}
	s.timer.Stop()
	s.pending = false
	l.pending--
	if s.counted {
		if l.sources[s.source]--; l.sources[s.source] == 0 {
			delete(l.sources, s.source)
		}
	}
	return true
}

// expire closes a connection that has not logged in in time.
func (s *slot) expire() {
	s.listener.mu.Lock()
	pending := s.pending
	s.listener.mu.Unlock()
	if pending {
		s.conn.Close()
	}
}

// release closes the connection and takes it out of all counts. It may be repeated.
func (s *slot) release() {
	l := s.listener
	if s.settle() && time.Since(s.began) >= l.options.HandshakeTimeout {
		l.refuse(s, tooLate) // by expire, or by the handler, whose reads failed
	}
	s.conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.released {
		return
	}
	s.released = true
	l.options.Room.give()
	delete(l.slots, s)
	l.openNow.Set(int64(len(l.slots)))
	l.checkIdle()
}

// checkIdle wakes Shutdown when nothing is left. mu is held.
func (l *Listener) checkIdle() {
	if l.stopped && len(l.slots) == 0 && !l.idleClosed {
		l.idleClosed = true
		close(l.idle)
	}
}

// Counts returns how many connections are open, and how many of them are not logged in.
func (l *Listener) Counts() (open, pending int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.slots), l.pending
}

// Shutdown stops accepting, tells the handlers by their context and waits for them to return.
// When ctx is done first, it closes the connections that are left, waits a few seconds for their
// handlers and returns the reason, which is not nil then.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.stop()
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
	}
	left := l.closeAll()
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-l.idle:
		return fmt.Errorf("closed %d connections: %w", left, ctx.Err())
	case <-timer.C:
		open, _ := l.Counts()
		return fmt.Errorf("%d connections did not end: %w", open, ctx.Err())
	}
}

// Close stops accepting and closes all connections. It waits a few seconds for their handlers,
// and returns an error only when some did not return.
func (l *Listener) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := l.Shutdown(ctx)
	if open, _ := l.Counts(); open == 0 && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// mute returns the connections of servers that accept by themselves whose clients have asked for
// nothing yet: a server would wait for them when it stops. mu is held.
func (l *Listener) mute() []net.Conn {
	var conns []net.Conn
	for s := range l.slots {
		if s.pending && s.queued {
			conns = append(conns, s.conn)
		}
	}
	return conns
}

// closeAll closes every connection and returns how many there were.
func (l *Listener) closeAll() int {
	l.mu.Lock()
	conns := make([]net.Conn, 0, len(l.slots))
	for s := range l.slots {
		conns = append(conns, s.conn)
	}
	l.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
	return len(conns)
}
