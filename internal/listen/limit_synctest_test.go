// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a net.Listener whose connections come from where the test says.
type scripted struct {
	conns chan net.Conn
	errs  chan error
	done  chan struct{}
}

func newScripted() *scripted {
	return &scripted{make(chan net.Conn), make(chan error), make(chan struct{})}
}

func (s *scripted) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case err := <-s.errs:
		return nil, err
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *scripted) Close() error { close(s.done); return nil }

func (s *scripted) Addr() net.Addr { return &net.TCPAddr{} }

type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// connect hands a connection over and returns its other end.
func (s *scripted) connect(ip string) net.Conn {
	server, client := net.Pipe()
	s.conns <- from{server, &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}}
	synctest.Wait()
	return client
}

// closed reports whether the other side has closed.
func closed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := conn.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// idleHandler logs in when told, and ends with its connection. It does not care about the read
// deadline: the listener itself has to end what does not log in.
func idleHandler(login <-chan struct{}) Handler {
	return func(ctx context.Context, conn net.Conn, loggedIn func()) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				_, err := conn.Read(make([]byte, 1))
				if errors.Is(err, os.ErrDeadlineExceeded) {
					_ = conn.SetReadDeadline(time.Time{})
				} else if err != nil {
					return
				}
			}
		}()
		for {
			select {
			case <-login:
				loggedIn()
				loggedIn()
			case <-ended:
				return
			case <-ctx.Done():
				conn.Close()
			}
		}
	}
}

func run(t *testing.T, options Options, test func(s *scripted, l *Listener, login chan<- struct{})) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		options.setDefaults()
		s := newScripted()
		l := newListener(options, s)
		login := make(chan struct{})
		go l.Serve(t.Context(), Route{Handler: idleHandler(login)})
		test(s, l, login)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if open, pending := l.Counts(); open != 0 || pending != 0 || len(l.sources) != 0 {
			t.Errorf("open, pending, sources = %d, %d, %v", open, pending, l.sources)
		}
	})
}

// Section 2: at most so many connections of an address that are not logged in.
func TestSecPendingPerAddress(t *testing.T) {
	t.Parallel()
	options := Options{Limits: Limits{MaxPendingPerAddress: 3}}
	run(t, options, func(s *scripted, l *Listener, login chan<- struct{}) {
		for range 3 {
			if closed(s.connect("192.0.2.1")) {
				t.Error("refused within the limit")
			}
		}
		for _, again := range []string{"192.0.2.1", "::ffff:192.0.2.1"} {
			if !closed(s.connect(again)) {
				t.Errorf("%s is above the limit", again)
			}
		}
		login <- struct{}{}
		synctest.Wait()
		if closed(s.connect("192.0.2.1")) {
			t.Error("a login made no room")
		}
		if !closed(s.connect("192.0.2.1")) || closed(s.connect("192.0.2.2")) {
			t.Error("room for this address again, or none for another one")
		}
		for range 3 {
			if closed(s.connect("2001:db8::1")) {
				t.Error("refused within the limit")
			}
		}
		if !closed(s.connect("2001:db8::2:1")) {
			t.Error("another address of the same IPv6 network is above the limit")
		}
		for range 20 {
			if closed(s.connect("127.0.0.1")) || closed(s.connect("::1")) {
				t.Error("loopback is limited")
			}
		}
	})
}

// Section 2: at most so many connections that are not logged in, from wherever they come.
func TestSecPending(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	options := Options{Limits: Limits{MaxPending: 2}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	run(t, options, func(s *scripted, l *Listener, login chan<- struct{}) {
		first := s.connect("127.0.0.1")
		s.connect("192.0.2.1")
		for range 5 {
			if !closed(s.connect("192.0.2.2")) {
				t.Error("above the limit")
			}
		}
		login <- struct{}{}
		synctest.Wait()
		if closed(s.connect("192.0.2.2")) {
			t.Error("a login made no room")
		}
		if !closed(s.connect("192.0.2.3")) {
			t.Error("above the limit")
		}
		first.Close()
		synctest.Wait()
		if got := l.refused[tooManyPending].Value(); got != 6 {
			t.Errorf("%d refusals were counted, want 6", got)
		}
	})
	// A flood of refusals is no flood of log lines.
	if n := strings.Count(log.String(), "connection refused"); n != 1 {
		t.Errorf("%d log lines, want 1: %s", n, log.String())
	}
}

func TestSecConnections(t *testing.T) {
	t.Parallel()
	run(t, Options{Limits: Limits{MaxConnections: 2}}, func(s *scripted, l *Listener, login chan<- struct{}) {
		first := s.connect("192.0.2.1")
		s.connect("192.0.2.1")
		login <- struct{}{}
		login <- struct{}{}
		synctest.Wait()
		if !closed(s.connect("192.0.2.1")) {
			t.Error("above the limit, logged in or not")
		}
		first.Close()
		synctest.Wait()
		if closed(s.connect("192.0.2.1")) {
			t.Error("a connection that ended made no room")
		}
	})
}

// Two listeners share a room: one may take all of it, and what ends makes room for the other.
func TestRoom(t *testing.T) {
	t.Parallel()
	room := NewRoom(2)
	run(t, Options{Room: room}, func(s *scripted, _ *Listener, _ chan<- struct{}) {
		first := s.connect("127.0.0.1")
		if closed(first) || closed(s.connect("127.0.0.1")) {
			t.Error("refused within the room")
		}
		if !closed(s.connect("127.0.0.1")) {
			t.Error("above the room")
		}
		first.Close()
		synctest.Wait()
		other := newScripted()
		o := Options{Room: room}
		o.setDefaults()
		second := newListener(o, other)
		go second.Serve(context.Background(), Route{Handler: idleHandler(nil)})
		if closed(other.connect("127.0.0.1")) || !closed(other.connect("127.0.0.1")) {
			t.Error("the room is not shared")
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
	if left := room.left.Load(); left != 2 {
		t.Errorf("%d places are left of 2", left)
	}
}

// Section 2: who has not logged in after 10 s is out, who has may be silent.
func TestSecHandshakeTimeout(t *testing.T) {
	t.Parallel()
	run(t, Options{}, func(s *scripted, l *Listener, login chan<- struct{}) {
		quick := s.connect("192.0.2.1")
		login <- struct{}{}
		slow := s.connect("192.0.2.1")
		time.Sleep(DefaultHandshakeTimeout - time.Second)
		if _, err := slow.Write([]byte("a byte now and then is no login")); err != nil {
			t.Error(err)
		}
		if closed(slow) {
			t.Error("closed too early")
		}
		time.Sleep(time.Second + handshakeGrace)
		synctest.Wait()
		if !closed(slow) {
			t.Error("open after the handshake time")
		}
		time.Sleep(time.Hour)
		if closed(quick) {
			t.Error("a connection that has logged in was closed")
		}
		if got := l.refused[tooLate].Value(); got != 1 {
			t.Errorf("%d time-outs were counted, want 1", got)
		}
		if got := l.logins.Snapshot().Count; got != 1 {
			t.Errorf("%d handshakes were counted, want 1: who did not log in has none", got)
		}
	})
}

// When descriptors run out, accepting goes on as soon as there are some.
func TestAcceptFailureIsNoEnd(t *testing.T) {
	t.Parallel()
	run(t, Options{}, func(s *scripted, l *Listener, login chan<- struct{}) {
		start := time.Now()
		for range 3 {
			s.errs <- errors.New("too many open files")
		}
		if closed(s.connect("192.0.2.1")) {
			t.Error("refused")
		}
		if took := time.Since(start); took < 15*time.Millisecond || took > time.Second {
			t.Errorf("paused %v in all", took)
		}
	})
}

// As many connections as a second has are taken at once, then at the rate, after a silence again as
// many, and never more.
func TestSecAcceptRate(t *testing.T) {
	t.Parallel()
	const rate = 10
	run(t, Options{Limits: Limits{AcceptRate: rate}}, func(s *scripted, l *Listener, _ chan<- struct{}) {
		took := func(n int) time.Duration {
			start := time.Now()
			for range n {
				s.connect("127.0.0.1")
			}
			return time.Since(start)
		}
		for range 2 {
			if d := took(rate); d != 0 {
				t.Errorf("%d connections took %v after a silence", rate, d)
			}
			if d := took(2 * rate); d != 2*time.Second {
				t.Errorf("%d more took %v, want 2 s", 2*rate, d)
			}
			time.Sleep(time.Minute)
		}
		const pauses = 2 * (2*rate + 1) // each time one more, before the next that may come
		if got := l.paused.Value(); got != pauses {
			t.Errorf("%d pauses were counted, want %d", got, pauses)
		}
	})
}

// A listener that pauses is closed at once.
func TestCloseWhilePaused(t *testing.T) {
	t.Parallel()
	run(t, Options{Limits: Limits{AcceptRate: 1}}, func(s *scripted, l *Listener, _ chan<- struct{}) {
		s.connect("127.0.0.1")
		start := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("closed after %v", took)
		}
	})
}
