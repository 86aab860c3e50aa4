// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// TestMemoryAlarm: publishers are told when too much is held, and again when consumers made room.
func TestMemoryAlarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{})
		b := broker.New(broker.Options{
			Clock: clock{}, Log: log, Limits: broker.Limits{MemoryBytes: 64 << 10},
		})
		log.Bind(b)
		t.Cleanup(b.Close)
		c := newClient(t, b, "c")
		c.queue("q")
		const n = 100
		for range n {
			c.publish("", "q", string(make([]byte, 1024)))
		}
		if c.blockedBy() != "low on memory" || b.Alarm() != "low on memory" {
			t.Fatalf("blocked by %q with %d bytes held", c.blockedBy(), b.HeldBytes())
		}
		late := newClient(t, b, "late")
		if late.blockedBy() == "" {
			t.Fatal("a new session was not told")
		}
		if got := len(c.drain("q")); got != n {
			t.Fatalf("%d of %d messages left", got, n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if c.blockedBy() != "" || b.Alarm() != "" || b.HeldBytes() != 0 {
			t.Fatalf("still blocked by %q with %d bytes held", c.blockedBy(), b.HeldBytes())
		}
	})
}

// TestDiskAlarm: a full disk blocks publishers whatever the memory says, and tells its own reason.
func TestDiskAlarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{})
		b := broker.New(broker.Options{
			Clock: clock{}, Log: log, Limits: broker.Limits{MemoryBytes: 64 << 10},
		})
		log.Bind(b)
		t.Cleanup(b.Close)
		c := newClient(t, b, "c")
		c.queue("q")
		steps := []struct {
			do   func()
			want string
		}{
			{func() { b.DiskFull(true) }, "low on disk"},
			{func() { b.DiskFull(false) }, ""},
			{func() { c.publish("", "q", string(make([]byte, 128<<10))) }, "low on memory"},
			{func() { b.DiskFull(true) }, "low on memory & disk"},
			{func() { b.DiskFull(false) }, "low on memory"},
			{func() { c.drain("q"); time.Sleep(time.Second); synctest.Wait() }, ""},
			{func() { b.DiskFull(true) }, "low on disk"},
			{func() { b.MemoryFull(true) }, "low on memory & disk"},
			{func() { b.DiskFull(false) }, "low on memory"},
			{func() { b.MemoryFull(false) }, ""},
		}
		for i, step := range steps {
			step.do()
			if c.blockedBy() != step.want || b.Alarm() != step.want {
				t.Errorf("step %d: blocked by %q, want %q", i, c.blockedBy(), step.want)
			}
		}
	})
}

// TestMemoryLimitChanges: the limit of a running hub can be moved below what is held, and away.
func TestMemoryLimitChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{})
		b := broker.New(broker.Options{Clock: clock{}, Log: log})
		log.Bind(b)
		t.Cleanup(b.Close)
		c := newClient(t, b, "c")
		c.queue("q")
		c.publish("", "q", string(make([]byte, 128<<10)))
		for _, step := range []struct {
			bytes int
			want  string
		}{{64 << 10, "low on memory"}, {1 << 20, ""}, {64 << 10, "low on memory"}, {-1, ""}} {
			b.SetMemoryBytes(step.bytes)
			time.Sleep(time.Second)
			synctest.Wait()
			if got := c.blockedBy(); got != step.want {
				t.Errorf("limit %d: blocked by %q, want %q", step.bytes, got, step.want)
			}
		}
	})
}
