// SPDX-License-Identifier: Apache-2.0

package output

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A peer that takes nothing is cut off after the stall bound; one that takes a little before
// each bound is not.
func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		b := New(server, Options{StallTimeout: time.Minute})
		appendString(b, "0123456789")
		b.Flush()
		one := make([]byte, 1)
		for range 3 {
			time.Sleep(59 * time.Second)
			if _, err := io.ReadFull(client, one); err != nil {
				t.Fatalf("cut off a slow reader: %v", err)
			}
			synctest.Wait()
		}
		start := time.Now()
		b.Wait()
		if !errors.Is(b.Err(), os.ErrDeadlineExceeded) {
			t.Errorf("err = %v, want a deadline", b.Err())
		}
		if waited := time.Since(start); waited > 2*time.Minute {
			t.Errorf("cut off after %v, want at most two bounds", waited)
		}
		if _, err := client.Read(one); !errors.Is(err, io.EOF) {
			t.Errorf("the peer reads %v, want EOF", err)
		}
	})
}

func TestLastWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		b := New(server, Options{})
		time.Sleep(10 * time.Second)
		if got := time.Since(b.LastWrite()); got != 10*time.Second {
			t.Errorf("%v since New, want 10s", got)
		}
		appendString(b, "x")
		b.Flush()
		time.Sleep(time.Second)
		if got := time.Since(b.LastWrite()); got != 11*time.Second {
			t.Errorf("%v before anything was written, want 11s", got)
		}
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
		if got := time.Since(b.LastWrite()); got != 3*time.Second {
			t.Errorf("%v since the write, want 3s", got)
		}
		_ = b.Close()
		b.Wait()
	})
}

// Drain waits for the writer, as long as it may.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		b := New(server, Options{})
		if !b.Drain(time.Hour) {
			t.Error("nothing is not drained")
		}
		b.End(append(b.Begin(), "hello"...))
		b.Flush()
		began := time.Now()
		if b.Drain(time.Second) || time.Since(began) != time.Second {
			t.Errorf("drained, or given up after %v", time.Since(began))
		}
		go func() { _, _ = io.ReadFull(client, make([]byte, 5)) }()
		if !b.Drain(time.Second) {
			t.Error("not drained")
		}
		b.End(append(b.Begin(), "hello"...))
		b.Flush()
		go b.Close()
		if b.Drain(time.Hour) {
			t.Error("a closed buffer is drained")
		}
		b.Wait()
		client.Close()
	})
}
