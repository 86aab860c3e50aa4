// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"maps"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// TestAttemptsOutliveKill: how often messages were delivered is known after a process that just ended,
// for those that are not settled.
func TestAttemptsOutliveKill(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	l, err := store.OpenFile(damageOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	declare(t, l)
	step := func(r *broker.Record) {
		t.Helper()
		if _, err := l.Append(r, heedless{}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
	}
	about := func(kind broker.RecordType, at broker.LSN, attempts ...uint32) *broker.Record {
		return &broker.Record{
			Type: kind, Queues: []uint32{1}, At: []broker.LSN{at}, Attempts: attempts,
		}
	}
	step(persistent("2")) // the declaration is 1
	step(persistent("3"))
	step(about(broker.RecordDelivery, 2, 1))
	step(about(broker.RecordDelivery, 3, 4))
	step(about(broker.RecordDelivery, 2, 2))
	step(about(broker.RecordAck, 3))
	step(persistent("9")) // eight records are before it
	step(about(broker.RecordDelivery, 9, 7))
	purge := about(broker.RecordPurge, 8)
	purge.At = append(purge.At, 9)
	step(purge)
	l, err = store.OpenFile(damageOptions(unlocked(fs)))
	if err != nil {
		t.Fatal(err)
	}
	found, err := l.Recovered()
	if err != nil {
		t.Fatal(err)
	}
	if got := found.Attempts[1]; !maps.Equal(got, map[broker.LSN]uint32{2: 2}) {
		t.Errorf("attempts %v", got)
	}
}
