// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// countingConn counts how often its read deadline is set.
type countingConn struct {
	net.Conn
	sets int
}

func (c *countingConn) SetReadDeadline(t time.Time) error {
	c.sets++
	return c.Conn.SetReadDeadline(t)
}

// SyscallConn says that there is no TLS.
func (*countingConn) SyscallConn() (syscall.RawConn, error) { return nil, nil }

// A deadline that moves further away costs nothing, and the one that is meant holds.
func TestDeadlinesAreLazy(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	counted := &countingConn{Conn: near}
	c := newGuardConn(counted)
	defer c.Close()
	read := func() error {
		_, err := c.read(make([]byte, 1))
		return err
	}
	move := func(d time.Duration) {
		t.Helper()
		at := time.Time{}
		if d != 0 {
			at = time.Now().Add(d)
		}
		if err := c.SetReadDeadline(at); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		move(time.Minute)
		move(time.Hour)
		move(0)
	}
	if counted.sets != 1 {
		t.Errorf("set %d times", counted.sets)
	}
	start := time.Now()
	move(30 * time.Millisecond) // nearer: it counts at once
	if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if took := time.Since(start); took < 30*time.Millisecond || took > deadlineTick {
		t.Errorf("it ended after %v", took)
	}
	// One that has passed does not end a read that may take longer.
	move(time.Minute)
	go func() { _, _ = far.Write([]byte("x")) }()
	if err := read(); err != nil {
		t.Errorf("read after it was moved: %v", err)
	}
	// A read that waits for longer than what is set at first goes on waiting.
	c.reads.have = time.Now().Add(20 * time.Millisecond)
	if err := counted.Conn.SetReadDeadline(c.reads.have); err != nil {
		t.Fatal(err)
	}
	move(0)
	go func() {
		time.Sleep(60 * time.Millisecond)
		_, _ = far.Write([]byte("x"))
	}()
	if err := read(); err != nil {
		t.Errorf("read without a deadline: %v", err)
	}
	// Who ends a read that waits is heard.
	go func() {
		time.Sleep(20 * time.Millisecond)
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}()
	if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read that was ended: %v", err)
	}
	// Writes go on where they were.
	move(0)
	c.writes.have = time.Now().Add(20 * time.Millisecond)
	if err := near.SetWriteDeadline(c.writes.have); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(60 * time.Millisecond)
		buf := make([]byte, 8)
		for n := 0; n < 8; {
			m, err := far.Read(buf[n:min(n+3, 8)])
			if err != nil {
				return
			}
			n += m
		}
	}()
	if n, err := c.Write([]byte("12345678")); n != 8 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
}

// TestDeadlinesBehindTLS: a deadline that was moved away ends no write, which TLS could not take up again.
func TestDeadlinesBehindTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	certificates := server.TLS.Certificates
	server.Close()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := newGuardConn(tls.Server(near, &tls.Config{Certificates: certificates}))
		client := tls.Client(far, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nobody else is there
		var all sync.WaitGroup
		defer all.Wait()
		defer far.Close()
		defer near.Close()
		all.Go(func() {
			buf := make([]byte, 1)
			for range 2 {
				if _, err := io.ReadFull(client, buf); err != nil {
					t.Errorf("the client: %v", err)
				}
				time.Sleep(3 * deadlineTick) // it is slow
			}
		})
		for range 2 {
			_ = c.SetWriteDeadline(time.Now().Add(4 * deadlineTick))
			_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
			if n, err := c.Write([]byte("x")); n != 1 || err != nil {
				t.Errorf("write: %d, %v", n, err)
				return
			}
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nobody reads: %v", err)
		}
	})
}

// net/http's look-out for a client that leaves, a read of one octet that it breaks off when the handler
// has ended, reads nothing before a while; what it has not read is there for the next read.
func TestLookOutRests(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	counted := &countingConn{Conn: near}
	c := newGuardConn(counted)
	defer c.Close()
	one := make([]byte, 1)
	for range 100 {
		began := time.Now()
		ended := make(chan error)
		go func() {
			_, err := c.Read(one)
			ended <- err
		}()
		_ = c.SetReadDeadline(time.Unix(1, 0)) // before it rests, or meanwhile
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > deadlineTick {
			t.Fatalf("broken off: %v", err)
		}
		_ = c.SetReadDeadline(time.Time{})
	}
	go func() { _, _ = far.Write([]byte("xy")) }()
	for _, want := range "xy" {
		if n, err := c.Read(one); n != 1 || err != nil || rune(one[0]) != want {
			t.Fatalf("%q, %v, want %q", one, err, want)
		}
	}
	go far.Close()
	if _, err := c.Read(one); !errors.Is(err, io.EOF) {
		t.Errorf("a client that has left: %v", err)
	}
}
