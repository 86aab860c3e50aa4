// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// settledLog is a log of several segments, every third message of which is settled. It returns the
// bodies of the others.
func settledLog(t *testing.T) (fs *crashFS, bodies []string) {
	t.Helper()
	fs = newCrashFS()
	l, err := store.OpenFile(damageOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	declare(t, l)
	step := func() {
		t.Helper()
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400 {
		body := strings.Repeat(string(rune('a'+i%26)), 100) + "/" + string(rune('0'+i%10))
		if _, err := l.Append(persistent(body), heedless{}, 0); err != nil {
			t.Fatal(err)
		}
		step()
		if i%3 != 0 {
			bodies = append(bodies, body)
			continue
		}
		ack := &broker.Record{
			Type: broker.RecordAck, Queues: []uint32{1}, At: []broker.LSN{l.Written()},
		}
		if _, err := l.Append(ack, heedless{}, 0); err != nil {
			t.Fatal(err)
		}
		step()
	}
	step() // a mark
	if l.Segments() < 3 {
		t.Fatalf("%d segments are too few", l.Segments())
	}
	return unlocked(fs), bodies
}

// salvaged returns what a salvage makes of a file system.
func salvaged(t *testing.T, fs *crashFS) (*store.SalvageReport, []string) {
	t.Helper()
	before := fs.killClone()
	report, err := store.Salvage(damageOptions(fs), "new")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range before.names {
		if !strings.HasPrefix(name, "data/") {
			continue
		}
		if now := fs.names[name]; now == nil || !bytes.Equal(now.data, f.data) {
			t.Errorf("%s was changed", name)
		}
	}
	o := damageOptions(unlocked(fs))
	o.Dir = "new"
	l, err := store.OpenFile(o)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	if err := l.ReadQueue(1, 0, func(_ broker.LSN, r *broker.Record) bool {
		bodies = append(bodies, string(r.Message.Body))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return report, bodies
}

// TestSalvage: what is sound comes out, in order, and what is not is told.
func TestSalvage(t *testing.T) {
	t.Parallel()
	fs, bodies := settledLog(t)
	wal := func(n int) func(*crashFS) {
		return func(fs *crashFS) {
			data := fs.names[segmentPath(n)].data
			clear(data[6_000:6_500])
		}
	}
	testCases := []struct {
		name   string
		damage func(*crashFS)
		told   bool
		opens  bool // all the same
		lost   int  // at most
		back   int  // of those that were settled, at most
	}{
		{"nothing", func(*crashFS) {}, false, true, 0, 0},
		{"frames of an old segment", wal(1), true, false, 6, 0},
		{"frames of the last segment but one", wal(3), true, false, 6, 3},
		{"a bit of a body", func(fs *crashFS) {
			data := fs.names[segmentPath(2)].data
			data[8_200] ^= 4
		}, true, false, 1, 1},
		{"a segment", func(fs *crashFS) { delete(fs.names, segmentPath(2)) }, true, false, 80, 0},
		{"the head of a segment", func(fs *crashFS) { clear(fs.names[segmentPath(2)].data[:64]) }, true, false, 80, 0},
		{"an index", func(fs *crashFS) { delete(fs.names, "data/wal/0000000000000001.idx") }, false, true, 0, 0},
		{"the end of a segment", func(fs *crashFS) {
			f := fs.names[segmentPath(1)]
			f.data = f.data[:9_000]
		}, true, false, 60, 0},
		{"both checkpoints", func(fs *crashFS) {
			clear(fs.names["data/checkpoint.0"].data)
			clear(fs.names["data/checkpoint.1"].data)
		}, true, true, 0, 0},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			broken := fs.killClone()
			tc.damage(broken)
			if _, err := reopened(t, broken.killClone()); (err == nil) != (tc.opens || !tc.told) {
				t.Errorf("opening and reading it: %v", err)
			}
			report, got := salvaged(t, broken)
			if (len(report.Damage) > 0) != tc.told {
				t.Errorf("damage: %v", report.Damage)
			}
			if report.Queues != 1 || report.Messages != len(got) {
				t.Errorf("%d queues, %d messages of %d", report.Queues, report.Messages, len(got))
			}
			lost, back := difference(bodies, got)
			if lost > tc.lost || back > tc.back {
				t.Errorf("%d lost, %d back, of %d", lost, back, len(bodies))
			}
		})
	}
}

// difference walks two sequences: what the second lacks, and what it has more.
func difference(want, got []string) (lost, more int) {
	for len(want) > 0 && len(got) > 0 {
		if want[0] == got[0] {
			want, got = want[1:], got[1:]
			continue
		}
		// The sequences agree again soon: whichever skip is shorter.
		i, j := slices.Index(got, want[0]), slices.Index(want, got[0])
		if j < 0 || (i >= 0 && i < j) {
			more++
			got = got[1:]
		} else {
			lost++
			want = want[1:]
		}
	}
	return lost + len(want), more + len(got)
}
