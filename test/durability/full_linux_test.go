// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	smallDiskBytes = 32 << 20
	// fullWait bounds the filling of the disk, and the wait for what must follow.
	fullWait = 30 * time.Second
	// stillWait is how long confirms of blocked publishers may still come.
	stillWait = 300 * time.Millisecond
)

// TestRow06DiskFull fills a small disk: publishers are blocked, what was confirmed is kept, consumers
// go on, and publishers go on by themselves when there is room. Then the disk is filled again and the
// hub killed: it must start on the full disk too.
func TestRow06DiskFull(t *testing.T) {
	d := newDisk(t, smallDiskBytes)
	f := &fullDisk{
		t: t, judge: oracle.New(), binary: harness.Build(t),
		options: harness.Options{
			Dir: filepath.Join(d.dir, "data"), Env: []string{"PARLEY_LOG__SEGMENT_BYTES=1MiB"},
		},
	}
	f.hub = harness.Start(t, f.binary, f.options)
	for round := range rounds(t, 1) {
		f.resume(round)
		if !sound(t, f.judge) {
			return
		}
		f.restart(round)
		if !sound(t, f.judge) {
			return
		}
	}
	f.hub.Stop(t)
	verdict(t, f.judge)
}

// fullDisk is a hub on a small disk.
type fullDisk struct {
	t       *testing.T
	judge   *oracle.Oracle
	binary  string
	options harness.Options
	hub     *harness.Hub
}

// fill publishes until publishers are blocked, and returns the load and whether they are.
func (f *fullDisk) fill(name string) (*load, bool) {
	f.t.Helper()
	l := newLoad(f.t, f.judge)
	l.filler = 16_000
	declare(f.t, channel(f.t, l.dial(f.hub)))
	before := f.judge.ConfirmedBytes()
	for i := range 2 {
		p := l.publisher(f.hub, fmt.Sprintf("%s.%d", name, i), "", queueName(i), []string{queueName(i)})
		l.group.Go(p.run)
	}
	for end := time.Now().Add(fullWait); time.Now().Before(end); {
		select {
		case b := <-l.blocked:
			if b.Active && staysBlocked(l) {
				return l, true
			}
		case <-f.hub.Done():
			f.judge.Stuck("the hub ended on a full disk")
			return l, false
		case <-time.After(stillWait / 10):
		}
		if n := f.judge.ConfirmedBytes() - before; n > smallDiskBytes {
			f.judge.Lost("%d bytes were confirmed on a disk of %d", n, smallDiskBytes)
			return l, false
		}
	}
	f.judge.Stuck("the disk is full, and publishers are not blocked")
	return l, false
}

// staysBlocked reports whether publishers that are blocked stay so: a hub that has started on a full disk
// blocks them until it has found what room there is.
func staysBlocked(l *load) bool {
	select {
	case b := <-l.blocked:
		return b.Active
	case <-time.After(stillWait):
		return true
	}
}

// resume fills the disk, empties the queues and sees the publishers go on.
func (f *fullDisk) resume(round int) {
	f.t.Helper()
	l, blocked := f.fill(fmt.Sprintf("p%d.resume", round))
	defer l.end()
	if !blocked {
		close(l.stop)
		return
	}
	time.Sleep(stillWait)
	before := f.judge.ConfirmedBytes()
	f.declareAnother(round)
	time.Sleep(stillWait)
	if n := f.judge.ConfirmedBytes(); n != before {
		f.judge.Stuck("%d bytes were confirmed of publishers that are blocked", n-before)
	}
	for i := range 2 {
		l.consumer(f.hub, queueName(i), nil)
	}
	free := false
	for end := time.After(fullWait); !free; {
		select {
		case b := <-l.blocked:
			free = !b.Active
		case <-f.hub.Done():
			f.judge.Stuck("the hub ended while its full disk was drained")
			return
		case <-end:
			f.judge.Stuck("queues were drained for %v, and publishers are still blocked", fullWait)
			return
		}
	}
	err := harness.Poll(fullWait, func() error {
		if f.judge.ConfirmedBytes() == before {
			return fmt.Errorf("nothing more than %d bytes", before)
		}
		return nil
	})
	if err != nil {
		f.judge.Stuck("publishers do not go on: %v", err)
	}
	close(l.stop)
	l.end()
	drain(f.t, f.hub, f.judge)
}

// declareAnother declares and deletes a queue on the full disk: there is room for that.
func (f *fullDisk) declareAnother(round int) {
	f.t.Helper()
	done := make(chan error, 1)
	conn := dial(f.t, f.hub)
	defer conn.Close()
	ch := channel(f.t, conn)
	go func() {
		name := fmt.Sprintf("another.%d", round)
		_, err := ch.QueueDeclare(name, true, false, false, false, nil)
		if err == nil {
			_, err = ch.QueueDelete(name, false, false, false)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			f.judge.Stuck("a declaration on a full disk: %v", err)
		}
	case <-time.After(fullWait):
		f.judge.Stuck("a declaration on a full disk has no answer")
	}
}

// restart fills the disk, kills the hub and starts it again.
func (f *fullDisk) restart(round int) {
	f.t.Helper()
	l, _ := f.fill(fmt.Sprintf("p%d.restart", round))
	time.Sleep(stillWait)
	f.hub.Kill()
	close(l.stop)
	l.end()
	f.judge.Crashed(f.hub.Panic())
	f.hub = harness.Start(f.t, f.binary, f.options)
	balance(f.t, f.hub, f.judge)
	drain(f.t, f.hub, f.judge)
}
