// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/metric"
)

// echo sends back what it reads, until the client closes.
func echo(_ context.Context, conn net.Conn, loggedIn func()) {
	loggedIn()
	_, _ = io.Copy(conn, conn)
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "unix"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			if address == "unix" {
				address = "unix:" + filepath.Join(t.TempDir(), "s")
			}
			var raw sync.Map
			l := start(t, Options{Address: address}, func(ctx context.Context, conn net.Conn, in func()) {
				raw.Store(conn, true)
				echo(ctx, conn, in)
			})
			conn := dial(t, l)
			if _, err := conn.Write([]byte("x")); err != nil || !readByte(conn) {
				t.Fatal("no echo", err)
			}
			raw.Range(func(conn, _ any) bool {
				_, tcp := conn.(*net.TCPConn)
				_, unix := conn.(*net.UnixConn)
				if !tcp && !unix {
					t.Errorf("the handler got a %T", conn)
				}
				return true
			})
			if open, pending := l.Counts(); open != 1 || pending != 0 {
				t.Errorf("open, pending = %d, %d, want 1, 0", open, pending)
			}
		})
	}
}

// With no word to the contrary nothing is opened that others can reach.
func TestLoopbackOnly(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		address string
		want    error // nil: opened
	}{
		{"127.0.0.1:0", nil},
		{"127.1.2.3:0", nil},
		{"[::ffff:127.0.0.1]:0", nil},
		{":0", ErrNotLoopback},
		{"0.0.0.0:0", ErrNotLoopback},
		{"[::]:0", ErrNotLoopback},
		{"192.0.2.1:0", ErrNotLoopback},
		{"[::ffff:0.0.0.0]:0", ErrNotLoopback},
		{"[2001:db8::1]:0", ErrNotLoopback},
	}
	for _, tc := range testCases {
		l, err := Listen(t.Context(), Options{Address: tc.address})
		if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v, want %v", tc.address, err, tc.want)
		}
		if err == nil {
			if addr, ok := l.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
				t.Errorf("%s listens on %v", tc.address, l.Addr())
			}
			_ = l.Close()
		}
	}
	l, err := Listen(t.Context(), Options{Address: ":0", ListenAll: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:x", "unix:", "unix:@abstract"} {
		if l, err := Listen(t.Context(), Options{Address: address}); err == nil {
			t.Errorf("%q is listened on", address)
			_ = l.Close()
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	options := Options{Limits: Limits{
		MaxConnections: -1, MaxPending: -1, HandshakeTimeout: -1, AcceptRate: maxAcceptRate + 1,
	}}
	err := options.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("Validate = %v, want five faults", err)
	}
}

// L8: only the hub's user connects; what another hub or another program has there stays.
func TestSecL8UnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	options := Options{Address: "unix:" + path}
	open := func() (*Listener, error) { return Listen(t.Context(), options) }
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if _, err := open(); !errors.Is(err, ErrInUse) {
		t.Errorf("a second hub on the socket: %v, want ErrInUse", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of the first hub is gone: %v", err)
	}
	// As after kill -9: the path stays, and nobody listens.
	socket, ok := l.listener.(*net.UnixListener)
	if !ok {
		t.Fatalf("the listener is a %T", l.listener)
	}
	socket.SetUnlinkOnClose(false)
	_ = l.Close()
	l, err = open()
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	_ = l.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v, want the socket gone", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); !errors.Is(err, ErrInUse) {
		t.Errorf("a file in the way: %v, want ErrInUse", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file in the way: %q, %v", text, err)
	}
}

func TestShutdownWaits(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	l := start(t, Options{}, func(ctx context.Context, conn net.Conn, loggedIn func()) {
		loggedIn()
		_, _ = conn.Write([]byte("x"))
		<-ctx.Done()
		<-released
		_, _ = conn.Write([]byte("bye"))
	})
	conn := dial(t, l)
	if !readByte(conn) {
		t.Fatal("not served")
	}
	done := make(chan error, 1)
	go func() { done <- l.Shutdown(t.Context()) }()
	for {
		// Accepting ends before the handlers do.
		other, err := net.DialTimeout("tcp", l.Addr().String(), waitBound)
		if err != nil {
			break
		}
		other.Close()
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	close(released)
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if text, err := io.ReadAll(conn); err != nil || string(text) != "bye" {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestShutdownClosesWhatIsLeft(t *testing.T) {
	t.Parallel()
	l := start(t, Options{}, func(_ context.Context, conn net.Conn, loggedIn func()) {
		loggedIn()
		_, _ = conn.Write([]byte("x"))
		_, _ = io.Copy(io.Discard, conn) // heeds no context
	})
	conn := dial(t, l)
	if !readByte(conn) {
		t.Fatal("not served")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown = %v, want the deadline", err)
	}
	if readByte(conn) {
		t.Error("the connection is open")
	}
	if open, pending := l.Counts(); open != 0 || pending != 0 {
		t.Errorf("open, pending = %d, %d", open, pending)
	}
}

// The end of the context that Serve was given ends accepting and tells the handlers.
func TestServeEndsWithContext(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), Options{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		l.Serve(ctx, Route{Handler: func(ctx context.Context, conn net.Conn, _ func()) {
			_, _ = conn.Write([]byte("x"))
			<-ctx.Done()
		}})
	}()
	conn := dial(t, l)
	if !readByte(conn) {
		t.Fatal("not served")
	}
	cancel()
	<-served
	if err := l.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if readByte(conn) {
		t.Error("the connection is open")
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	registry := metric.NewRegistry()
	l, err := Listen(t.Context(), Options{
		Address: "127.0.0.1:0", Limits: Limits{HandshakeTimeout: minHandshakeTimeout}, Door: "rest",
		Metrics: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}),
		ReadHeaderTimeout: waitBound,
		ConnState: func(conn net.Conn, state http.ConnState) {
			if in, ok := conn.(interface{ LoggedIn() }); ok && state == http.StateActive {
				in.LoggedIn()
			}
		},
	}
	done := make(chan error, 1)
	queue := NewQueue()
	go l.Serve(t.Context(), Route{Queue: queue})
	go func() { done <- server.Serve(queue) }()
	client := &http.Client{Transport: &http.Transport{}, Timeout: waitBound}
	for range 2 {
		response, err := client.Get("http://" + l.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	if open, pending := l.Counts(); open != 1 || pending != 0 {
		t.Errorf("open, pending = %d, %d, want 1, 0", open, pending)
	}
	client.CloseIdleConnections()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if err := l.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for series := range registry.All() {
		want := map[string]float64{
			"parley_connections_accepted_total": 1, "parley_handshake_seconds": 1,
		}[series.Name]
		if series.Value() != want || series.Labels[0].Value != "rest" {
			t.Errorf("%s%v = %v, want %v", series.Name, series.Labels, series.Value(), want)
		}
	}
}

// Who has asked a server for nothing is closed when the listener stops; who has is the server's.
func TestQueueStops(t *testing.T) {
	t.Parallel()
	queue := NewQueue()
	l, err := Listen(t.Context(), Options{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	go l.Serve(t.Context(), Route{Queue: queue})
	mute, asked := dial(t, l), dial(t, l)
	var accepted []net.Conn
	for range 2 {
		conn, err := queue.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if conn.RemoteAddr().String() == asked.LocalAddr().String() {
			conn.(*countedConn).LoggedIn() //nolint:errcheck // what a queue gives
		}
		accepted = append(accepted, conn)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- l.Shutdown(context.WithoutCancel(t.Context())) }()
	if readByte(mute) {
		t.Error("something came")
	}
	for _, conn := range accepted {
		if conn.RemoteAddr().String() == asked.LocalAddr().String() {
			if _, err := conn.Write([]byte("x")); err != nil || !readByte(asked) {
				t.Errorf("who has asked is closed: %v", err)
			}
		}
		conn.Close()
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestManyConnections(t *testing.T) {
	t.Parallel()
	l := start(t, Options{}, echo)
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range 10 {
				conn, err := net.DialTimeout("tcp", l.Addr().String(), waitBound)
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(waitBound))
				if _, err := conn.Write([]byte("x")); err != nil || !readByte(conn) {
					t.Error("no echo", err)
				}
				conn.Close()
			}
		})
	}
	clients.Wait()
	if err := l.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if open, pending := l.Counts(); open != 0 || pending != 0 || len(l.sources) != 0 {
		t.Errorf("open, pending, sources = %d, %d, %v", open, pending, l.sources)
	}
}
