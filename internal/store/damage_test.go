// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

const damageSegment = 16 << 10

// quiet is an applier that keeps nothing.
type quiet struct{}

func (quiet) Apply(*broker.Record, broker.LSN) {}

func damageOptions(fs *crashFS) store.FileOptions {
	return store.FileOptions{
		Dir: "data", FS: fs, Clock: clock{}, FirstSegmentBytes: damageSegment,
		LastSegmentBytes: damageSegment, FrameBytes: 1 << 10,
	}
}

func segmentPath(n int) string { return fmt.Sprintf("data/wal/%016x.wal", n) }

// written returns a file system with a log of one frame per message, and where the frames end. The
// log is quiet afterwards when marked: its last frame is followed by a mark.
func written(t *testing.T, messages int, marked bool, salt string) (fs *crashFS, bodies []string, ends []int) {
	t.Helper()
	fs = newCrashFS()
	l, err := store.OpenFile(damageOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	declare(t, l)
	for i := range messages {
		body := fmt.Sprintf("%s%d %s", salt, i, strings.Repeat("body", i%40))
		if _, err := l.Append(persistent(body), heedless{}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
		ends = append(ends, l.End())
	}
	if marked {
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
	}
	return unlocked(fs), bodies, ends
}

// heedless is a ticket whose holder does not listen: its batch is synced.
type heedless struct{}

func (heedless) Fire(uint64, error) {}
func (heedless) Flush()             {}

// declare makes queue 1, or those with these numbers.
func declare(t *testing.T, l *store.File, queues ...uint32) {
	t.Helper()
	if len(queues) == 0 {
		queues = []uint32{1}
	}
	for _, id := range queues {
		m := &broker.Meta{Kind: broker.MetaQueueDeclare, VHost: "/", QueueID: id}
		m.Queue = broker.QueueParams{Name: "q" + strconv.Itoa(int(id)), Durable: true}
		r := &broker.Record{Type: broker.RecordMeta, Meta: m}
		if _, err := l.Append(r, heedless{}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Step(); err != nil {
		t.Fatal(err)
	}
}

// persistent returns a message for queue 1, or for others.
func persistent(body string, queues ...uint32) *broker.Record {
	if len(queues) == 0 {
		queues = []uint32{1}
	}
	m := &broker.Message{Body: []byte(body)}
	m.Persistent = true
	return &broker.Record{Type: broker.RecordPublish, Queues: queues, Message: m}
}

// reopened recovers and returns the bodies of all messages.
func reopened(t *testing.T, fs *crashFS) ([]string, error) {
	t.Helper()
	l, err := store.OpenFile(damageOptions(fs))
	if err != nil {
		return nil, err
	}
	var bodies []string
	err = l.ReadQueue(1, 0, func(_ broker.LSN, r *broker.Record) bool {
		bodies = append(bodies, string(r.Message.Body))
		return true
	})
	return bodies, err
}

func refused(err error) bool {
	var damage *store.DamageError
	return errors.As(err, &damage) && damage.File != ""
}

// TestRow04TornTail replaces everything from an offset on, at every byte: what lies whole before it
// is kept. When a newer segment proves that all of it was durable, the log refuses to start.
func TestRow04TornTail(t *testing.T) {
	t.Parallel()
	const first = 4_096
	fs, bodies, ends := written(t, 25, true, "")
	original := slices.Clone(fs.names[segmentPath(1)].data)
	declared := first + int(binary.LittleEndian.Uint64(original[first+16:]))
	noise := make([]byte, len(original))
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(noise)
	other, _, _ := written(t, 40, false, "other")
	stale := other.names[segmentPath(1)].data // frames of another life
	step := 1
	if raceEnabled {
		step = 13
	}
	for x := first; x < ends[len(ends)-1]; x += step {
		for name, fill := range map[string][]byte{
			"zeros": make([]byte, len(original)), "noise": noise, "stale frames": stale,
		} {
			torn := fs.killClone()
			data := torn.names[segmentPath(1)].data
			copy(data[x:], fill[x:])
			whole := 0
			for whole < len(ends) && bytes.Equal(data[:ends[whole]], original[:ends[whole]]) {
				whole++
			}
			got, err := reopened(t, torn)
			if x < declared { // the checkpoint knows that this was durable
				if !bytes.Equal(data[:declared], original[:declared]) && !refused(err) {
					t.Fatalf("%s from %d on: %v", name, x, err)
				}
				continue
			}
			if err != nil || !slices.Equal(got, bodies[:whole]) {
				t.Fatalf("P1, P2: %s from %d on: %d messages instead of %d, %v", name, x, len(got), whole, err)
			}
			if again, err := reopened(t, unlocked(torn)); err != nil || !slices.Equal(got, again) {
				t.Fatalf("P1, P2: %s from %d on: a second start finds %d messages instead of %d, %v", name, x,
					len(again), len(got), err)
			}
		}
	}
}

func unlocked(fs *crashFS) *crashFS {
	clear(fs.locked)
	return fs
}

// TestRow04Gap: of frames that nobody had synced a power loss may keep the later ones. They are cut
// off with the gap before them, and stay away when the log has grown behind the cut.
func TestRow04Gap(t *testing.T) {
	t.Parallel()
	const frames = 12
	for gone := range frames {
		fs := newCrashFS()
		o := damageOptions(fs)
		o.Sync = store.SyncOff
		var bodies []string
		put := func(l *store.File, body string) {
			t.Helper()
			if _, err := l.Append(persistent(body), heedless{}, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Step(); err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, body)
		}
		l, err := store.OpenFile(o)
		if err != nil {
			t.Fatal(err)
		}
		l.Bind(quiet{})
		declare(t, l) // a checkpoint follows, which syncs this
		ends := []int{l.End()}
		for i := range frames {
			put(l, fmt.Sprintf("unsynced %d", i))
			ends = append(ends, l.End())
		}
		clear(fs.names[segmentPath(1)].data[ends[gone]:ends[gone+1]])
		bodies = bodies[:gone]
		clear(fs.locked)
		if l, err = store.OpenFile(o); err != nil {
			t.Fatalf("P8: frame %d is gone: %v", gone, err)
		}
		l.Bind(quiet{})
		// The process ends before a checkpoint says that the old segment is done with.
		fs.fail = func(_ int, _, name string) error {
			if strings.Contains(name, "checkpoint") {
				return errPower
			}
			return nil
		}
		put(l, "after the cut")
		fs = fs.killClone()
		got, err := reopened(t, fs)
		if err != nil || !slices.Equal(got, bodies) {
			t.Fatalf("P2, P8: frame %d was gone: %q instead of %q, %v", gone, got, bodies, err)
		}
	}
}

// TestRow04ProvenEnd: the same where a newer segment says that all of the older one was durable, and
// where the file itself is shorter.
func TestRow04ProvenEnd(t *testing.T) {
	t.Parallel()
	fs, bodies, _ := written(t, 150, true, "")
	if fs.names[segmentPath(2)] == nil || len(fs.names) < 2 {
		t.Fatal("the log has one segment only")
	}
	if got, err := reopened(t, fs.killClone()); err != nil || !slices.Equal(got, bodies) {
		t.Fatalf("P1: undamaged: %d of %d messages, %v", len(got), len(bodies), err)
	}
	for x := 4_096; x < 12_000; x += 97 {
		torn := fs.killClone()
		clear(torn.names[segmentPath(1)].data[x:])
		if _, err := reopened(t, torn); !refused(err) {
			t.Fatalf("P1: zeros from %d on: %v", x, err)
		}
		short := fs.killClone()
		short.names[segmentPath(1)].data = short.names[segmentPath(1)].data[:x]
		if _, err := reopened(t, short); !refused(err) {
			t.Fatalf("P1: cut at %d: %v", x, err)
		}
	}
}

// TestRow05BitFlips flips bits of a log, all of them with -seeds: it is told, or harmless. No wrong
// body comes out.
func TestRow05BitFlips(t *testing.T) {
	t.Parallel()
	for _, marked := range []bool{true, false} {
		fs, bodies, ends := written(t, 60, marked, "")
		base := fs.killClone()
		data := base.names[segmentPath(1)].data
		step := 1 // odd, so that all bits of a byte have their turn
		switch {
		case raceEnabled || testing.Short():
			step = 101
		case *simSeeds == 0:
			step = 7
		}
		told, harmless := 0, 0
		last := len(bodies) - 1
		for bit := 0; bit < 8*len(data); bit += step {
			data[bit/8] ^= 1 << (bit % 8)
			got, err := reopened(t, base.killClone())
			data[bit/8] ^= 1 << (bit % 8)
			switch {
			case err != nil:
				told++
				if !refused(err) && !strings.Contains(err.Error(), "format") {
					t.Fatalf("P2: bit %d: %v", bit, err)
				}
			case slices.Equal(got, bodies):
				harmless++
			case !marked && slices.Equal(got, bodies[:last]) && bit/8 >= ends[last-1] && bit/8 < ends[last]:
				told++ // the end of a log that nobody marked looks torn
			default:
				t.Fatalf("P2: bit %d, marked %t: %d messages instead of %d", bit, marked, len(got), len(bodies))
			}
		}
		if told < 8*(ends[last]-4_096)*9/10/step {
			t.Errorf("P2: only %d flips were told, %d were harmless", told, harmless)
		}
	}
}

// TestRow05OldSegments flips bits of everything that a log of several segments has: checkpoints, index
// files, segments that a start does not read. What is read is right, or there is an error.
func TestRow05OldSegments(t *testing.T) {
	t.Parallel()
	fs, bodies := settledLog(t)
	step := 1
	switch {
	case raceEnabled || testing.Short():
		step = 1_009
	case *simSeeds == 0:
		step = 211
	}
	for _, name := range slices.Sorted(maps.Keys(fs.names)) {
		base := fs.killClone()
		data := base.names[name].data
		told, flips := 0, 0
		for bit := 0; bit < 8*len(data); bit += step {
			data[bit/8] ^= 1 << (bit % 8)
			got, err := reopened(t, base.killClone())
			data[bit/8] ^= 1 << (bit % 8)
			flips++
			switch {
			case err != nil:
				told++
			case !slices.Equal(got, bodies):
				t.Fatalf("P2: %s, bit %d: %d messages instead of %d", name, bit, len(got), len(bodies))
			}
		}
		t.Logf("%s: %d of %d flips were told", name, told, flips)
	}
}

// TestRandomDamage damages a log of several segments at random places until the time of -for is
// over: the end of a segment from some byte on, or single bits. It is told, with the file, or what
// comes out is what went in, up to the damage.
func TestRandomDamage(t *testing.T) {
	t.Parallel()
	fs, bodies, _ := written(t, 400, true, "")
	names := slices.Sorted(maps.Keys(fs.names))
	segments := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !strings.HasSuffix(name, walSuffix)
	})
	testCases := []struct {
		name   string
		damage func(data []byte)
	}{
		{"Row04", func(data []byte) {
			fill := make([]byte, len(data)-rand.IntN(len(data)))
			if rand.IntN(2) == 0 {
				for i := range fill {
					fill[i] = byte(rand.Uint32())
				}
			}
			copy(data[len(data)-len(fill):], fill)
		}},
		{"Row05", func(data []byte) { data[rand.IntN(len(data))] ^= 1 << rand.IntN(8) }},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			for end := time.Now().Add(*goOn); n < 100 || time.Now().Before(end); n++ {
				name := names[rand.IntN(len(names))]
				damaged := fs.killClone()
				tc.damage(damaged.names[name].data)
				got, err := reopened(t, damaged)
				if err == nil && (len(got) > len(bodies) || !slices.Equal(got, bodies[:len(got)])) {
					t.Fatalf("P2: damage to %s: %d messages, and not those of before", name, len(got))
				}
				if err != nil && !refused(err) && !strings.Contains(err.Error(), "format") {
					t.Fatalf("P2: damage to %s: %v", name, err)
				}
				// Only the end of the last segment, before the spares, may look like a write that power loss cut short.
				torn := tc.name == "Row04" && slices.Contains(segments[len(segments)-5:], name)
				if err == nil && len(got) < len(bodies) && !torn {
					t.Fatalf("P1: damage to %s: %d of %d messages", name, len(got), len(bodies))
				}
			}
			t.Logf("faults: cycles=%d seeds=0", n)
		})
	}
}

// TestReadChecks: a body that rots while the log is open is not handed out.
func TestReadChecks(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	l, err := store.OpenFile(damageOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	body := bytes.Repeat([]byte("b"), 300)
	if _, err := l.Append(persistent(string(body)), heedless{}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Step(); err != nil {
		t.Fatal(err)
	}
	data := fs.names[segmentPath(1)].data
	data[bytes.Index(data, body)+7] ^= 1
	err = l.ReadQueue(1, 0, func(broker.LSN, *broker.Record) bool {
		t.Error("P2: a damaged record was handed out")
		return true
	})
	if !refused(err) {
		t.Errorf("nobody was told: %v", err)
	}
}
