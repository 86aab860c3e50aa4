// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// walSuffix is how the names of segments end.
const walSuffix = ".wal"

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// outcome is a ticket that passes on what it is told.
type outcome chan error

func (o outcome) Fire(_ uint64, err error) { o <- err }
func (outcome) Flush()                     {}

func (o outcome) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-o:
		return err
	case <-time.After(patience):
		t.Fatal("the ticket did not fire")
		return nil
	}
}

// faulty is a running log on a file system that fails on demand.
type faulty struct {
	*store.File
	fs    *crashFS
	fatal chan error
	full  chan bool
}

func newFaulty(t *testing.T, fail func(op int, what, name string) error) *faulty {
	t.Helper()
	f := &faulty{fs: newCrashFS(), fatal: make(chan error, 2), full: make(chan bool, 16)}
	o := damageOptions(f.fs)
	o.OnFatal = func(err error) { f.fatal <- err }
	o.OnFull = func(full bool) { f.full <- full }
	l, err := store.OpenFile(o)
	if err != nil {
		t.Fatal(err)
	}
	f.fs.fail = fail
	f.File = l
	l.Bind(quiet{})
	l.Start()
	return f
}

// TestRow07SyncFails: after a failed write or sync nothing is confirmed, nothing is taken, and the
// disk is not asked again.
func TestRow07SyncFails(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"sync", "write"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			var after atomic.Int32
			f := newFaulty(t, func(_ int, op, name string) error {
				if !broken.Load() || op != what || !strings.HasSuffix(name, walSuffix) {
					return nil
				}
				after.Add(1)
				return syscall.EIO
			})
			told := make(outcome, 8)
			if _, err := f.Append(persistent("good"), told, 1); err != nil {
				t.Fatal(err)
			}
			if err := told.wait(t); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			if _, err := f.Append(persistent("bad"), told, 2); err != nil {
				t.Fatal(err)
			}
			if err := told.wait(t); !errors.Is(err, syscall.EIO) {
				t.Errorf("P1: the publisher was told %v", err)
			}
			select {
			case err := <-f.fatal:
				if !errors.Is(err, syscall.EIO) {
					t.Errorf("fatal: %v", err)
				}
			case <-time.After(patience):
				t.Fatal("nobody was told that the disk failed")
			}
			if _, err := f.Append(persistent("late"), told, 3); !errors.Is(err, syscall.EIO) {
				t.Errorf("P1: a failed log took a record: %v", err)
			}
			if err := f.Wait(true); !errors.Is(err, syscall.EIO) {
				t.Errorf("Wait: %v", err)
			}
			if err := f.Close(); !errors.Is(err, syscall.EIO) {
				t.Errorf("Close: %v", err)
			}
			if n := after.Load(); n != 1 || len(f.fatal) != 0 {
				t.Errorf("P1: the disk was asked %d times, and told of %d times more", n, len(f.fatal))
			}
		})
	}
}

// TestRow06DiskFull: no room for the next segment is told before it is needed, what is taken is
// still confirmed, and it passes by itself.
func TestRow06DiskFull(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	f := newFaulty(t, func(_ int, what, name string) error {
		if full.Load() && what == "create" {
			return fmt.Errorf("%s: %w", name, syscall.ENOSPC)
		}
		return nil
	})
	told := make(outcome, 64)
	fill := func(n int) {
		t.Helper()
		for range n {
			if _, err := f.Append(persistent(strings.Repeat("x", 1_000)), told, 1); err != nil {
				t.Fatal(err)
			}
			if err := told.wait(t); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(1)
	full.Store(true)
	fill(12) // into the first spare: the supply cannot make another
	if !waitFull(t, f) {
		t.Fatal("room, although there is none")
	}
	fill(2) // the spare takes what had been on its way
	full.Store(false)
	if waitFull(t, f) {
		t.Fatal("still full")
	}
	fill(30)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func waitFull(t *testing.T, f *faulty) bool {
	t.Helper()
	select {
	case full := <-f.full:
		return full
	case <-time.After(patience):
		t.Fatal("nobody was told about the disk")
		return false
	}
}

// TestRow07SlowSync: while the disk takes its time appends return, and no ticket fires.
func TestRow07SlowSync(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	var stalled atomic.Bool
	f := newFaulty(t, func(_ int, what, name string) error {
		if stalled.Load() && what == "sync" && strings.HasSuffix(name, walSuffix) {
			<-slow
		}
		return nil
	})
	told := make(outcome, 64)
	if _, err := f.Append(persistent("first"), told, 1); err != nil {
		t.Fatal(err)
	}
	if err := told.wait(t); err != nil {
		t.Fatal(err)
	}
	synced := f.Synced()
	stalled.Store(true)
	for range 20 {
		if _, err := f.Append(persistent("stalled"), told, 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 0 || f.Synced() != synced {
		t.Errorf("P1: %d confirms, synced %d after %d: the disk has not answered", len(told), f.Synced(),
			synced)
	}
	stalled.Store(false)
	close(slow)
	for range 20 {
		if err := told.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestAdmit: with more than RingBytes waiting a publisher is held back until the disk has caught up.
func TestAdmit(t *testing.T) {
	t.Parallel()
	o := damageOptions(newCrashFS())
	o.RingBytes = 4 << 10
	l, err := store.OpenFile(o)
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	told := make(outcome, 64)
	for range 10 {
		l.Admit() // not crowded yet, or bounded
		if _, err := l.Append(persistent(strings.Repeat("x", 1_000)), told, 1); err != nil {
			t.Fatal(err)
		}
		if len(told) > 0 {
			t.Fatal("confirmed by a log that does not write")
		}
		if l.Crowded() {
			break
		}
	}
	if !l.Crowded() {
		t.Fatal("the ring has no bound")
	}
	l.Start()
	l.Admit()
	if l.Crowded() {
		t.Error("admitted, and still crowded")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestRollFreesSegments: one message that nobody settles pins no segment, and is kept.
func TestRollFreesSegments(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	l, err := store.OpenFile(damageOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	declare(t, l)
	next := broker.LSN(1)
	put := func(r *broker.Record) broker.LSN {
		t.Helper()
		if _, err := l.Append(r, nil, 0); err != nil {
			t.Fatal(err)
		}
		next++
		for worked := true; worked; {
			if worked, err = l.Step(); err != nil {
				t.Fatal(err)
			}
		}
		return next
	}
	kept := put(persistent("kept"))
	most := 0
	for range 1_000 {
		at := put(persistent(strings.Repeat("x", 200)))
		put(&broker.Record{Type: broker.RecordAck, Queues: []uint32{1}, At: []broker.LSN{at}})
		most = max(most, l.Segments())
	}
	if most > 5 {
		t.Errorf("%d segments of %d bytes for one message", most, damageSegment)
	}
	files, err := fs.List("data/wal")
	if err != nil || len(files) > 8 {
		t.Errorf("%d files, %v", len(files), err)
	}
	found := false
	if err := l.ReadQueue(1, 0, func(at broker.LSN, r *broker.Record) bool {
		found = at == kept && string(r.Message.Body) == "kept"
		return false
	}); err != nil || !found {
		t.Errorf("P1: the message is not the first that is read: %v", err)
	}
}

// TestSyncModes: without a sync before it a confirm comes after the write, and interval syncs later
// by itself.
func TestSyncModes(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		mode   store.SyncMode
		synced bool
	}{{store.SyncAlways, true}, {store.SyncInterval, true}, {store.SyncOff, false}}
	for _, tc := range testCases {
		o := damageOptions(newCrashFS())
		o.Sync, o.SyncInterval = tc.mode, time.Millisecond
		l, err := store.OpenFile(o)
		if err != nil {
			t.Fatal(err)
		}
		l.Bind(quiet{})
		l.Start()
		told := make(outcome, 1)
		if _, err := l.Append(persistent("m"), told, 1); err != nil {
			t.Fatal(err)
		}
		if err := told.wait(t); err != nil || l.Written() != 1 {
			t.Errorf("mode %d: %v, written %d", tc.mode, err, l.Written())
		}
		for end := time.Now().Add(patience); tc.synced && l.Synced() != 1; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("mode %d: nothing was synced", tc.mode)
			}
		}
		// The first segment has a checkpoint now, and that is all that was synced.
		if _, err := l.Append(persistent("m"), told, 2); err != nil {
			t.Fatal(err)
		}
		if err := told.wait(t); err != nil || (!tc.synced && l.Synced() > 1) {
			t.Errorf("mode %d: %v, synced %d", tc.mode, err, l.Synced())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLazySync: what nobody waits for starts no sync of its own; it is durable a little later, and at
// once when somebody asks.
func TestLazySync(t *testing.T) {
	t.Parallel()
	var syncs atomic.Int32
	f := newFaulty(t, func(_ int, what, name string) error {
		if what == "sync" && strings.HasSuffix(name, walSuffix) {
			syncs.Add(1)
		}
		return nil
	})
	told := make(outcome, 1)
	if _, err := f.Append(persistent("confirmed"), told, 1); err != nil {
		t.Fatal(err)
	}
	if err := told.wait(t); err != nil {
		t.Fatal(err)
	}
	ack := &broker.Record{Type: broker.RecordAck, Queues: []uint32{1}, At: []broker.LSN{1}}
	for range 20 {
		if _, err := f.Append(ack, nil, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Wait(false); err != nil {
			t.Fatal(err)
		}
	}
	if n := syncs.Load(); n > 5 { // of confirm, checkpoint and timer
		t.Errorf("%d syncs for 20 acknowledgements", n)
	}
	for end := time.Now().Add(patience); f.Synced() != f.Written(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("acknowledgements stay on no disk")
		}
	}
	if _, err := f.Append(ack, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Wait(true); err != nil || f.Synced() != f.Written() {
		t.Errorf("synced %d of %d, %v", f.Synced(), f.Written(), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
