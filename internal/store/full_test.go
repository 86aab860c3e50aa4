// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// TestFullDiskStarts: when the disk turns out to be full what publishers have sent already is written:
// a batch in the writer's hand, a full ring, and what connections had read. The process ends, and the
// log must be able to begin again on the full disk.
func TestFullDiskStarts(t *testing.T) {
	t.Parallel()
	const segment, frame = 64 << 10, 16 << 10
	fs := newCrashFS()
	o := damageOptions(fs)
	o.FirstSegmentBytes, o.LastSegmentBytes, o.FrameBytes = segment, segment, frame
	l, err := store.OpenFile(o)
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	declare(t, l)
	put := func(l *store.File, frames int) {
		t.Helper()
		body := strings.Repeat("b", frame-100) // a frame each, and some more than a quarter of a segment
		for range frames {
			for range 2 {
				if _, err := l.Append(persistent(body[:frame/2+1_000]), heedless{}, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		for worked := true; worked; {
			if worked, err = l.Step(); err != nil {
				t.Fatalf("P8: a full disk: %v", err)
			}
		}
	}
	for begun := l.Segments(); l.Segments() < begun+2; {
		put(l, 1)
	}
	full := func(_ int, what, name string) error {
		if what == "create" && strings.HasSuffix(name, ".tmp") {
			return syscall.ENOSPC
		}
		return nil
	}
	fs.fail = full
	// One segment is taken before it turns out, and filled.
	for begun := l.Segments(); l.Segments() == begun || l.End()+frame+4_000 < segment; {
		put(l, 1)
	}
	put(l, 5)
	again := unlocked(fs.killClone())
	again.fail = full
	o.FS = again
	if l, err = store.OpenFile(o); err != nil {
		t.Fatalf("P8: a start on a full disk: %v", err)
	}
	l.Bind(quiet{})
	put(l, 1)

	// So does every other start: it takes no segment, but goes on where the last one was.
	for restart := range 20 {
		segments := l.Segments()
		again = unlocked(again.killClone())
		again.fail = full
		o.FS = again
		if l, err = store.OpenFile(o); err != nil {
			t.Fatalf("P8: start %d on a full disk: %v", restart, err)
		}
		l.Bind(quiet{})
		if _, err := l.Append(persistent("small"), heedless{}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err = l.Step(); err != nil {
			t.Fatalf("P8: start %d on a full disk: %v", restart, err)
		}
		if l.Segments() > segments+1 {
			t.Fatalf("start %d made %d segments of %d", restart, l.Segments(), segments)
		}
	}
}

// TestFullDiskOldIndex: a segment may have an index file when a full disk makes the log go on in it. It
// does not count for what is written then.
func TestFullDiskOldIndex(t *testing.T) {
	t.Parallel()
	const segment = 64 << 10
	o := damageOptions(newCrashFS())
	o.FirstSegmentBytes, o.LastSegmentBytes, o.FrameBytes = segment, segment, segment/4
	var l *store.File
	begin := func(fs *crashFS, fail func(op int, what, name string) error) *crashFS {
		t.Helper()
		fs = unlocked(fs.killClone())
		fs.fail, o.FS = fail, fs
		var err error
		if l, err = store.OpenFile(o); err != nil {
			t.Fatalf("P8: %v", err)
		}
		l.Bind(quiet{})
		return fs
	}
	fill := func(queue uint32) (err error) {
		t.Helper()
		for begun := l.Segments(); err == nil && l.Segments() == begun; {
			if _, err := l.Append(persistent(strings.Repeat("b", segment/8), queue), heedless{}, 0); err != nil {
				t.Fatal(err)
			}
			_, err = l.Step()
		}
		return err
	}

	// The process ends when it has written the index file, and before it writes to the next segment.
	indexed := false
	fs := begin(newCrashFS(), func(_ int, what, name string) error {
		indexed = indexed || what == "rename" && strings.HasSuffix(name, ".idx.tmp")
		if indexed && what == "write" && strings.HasSuffix(name, ".wal") {
			return errPower
		}
		return nil
	})
	declare(t, l, 1, 2)
	if err := fill(1); err == nil || !indexed {
		t.Fatalf("%v, %t", err, indexed)
	}
	// The next one has no other segment and goes on in that, for another queue; then an index finds no
	// room.
	wal := path.Join(o.Dir, "wal")
	names, err := fs.List(wal)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".wal") && name != "0000000000000001.wal" {
			if err := fs.Remove(path.Join(wal, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	full := true
	fs = begin(fs, func(_ int, what, name string) error {
		if what == "create" && (full && strings.HasSuffix(name, ".wal.tmp") || strings.HasSuffix(name, ".idx.tmp")) {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := l.Append(persistent("small", 2), heedless{}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Step(); err != nil || l.Segments() != 1 {
		t.Fatalf("%v, %d segments", err, l.Segments())
	}
	full = false
	for range 6 { // until the spares are used up: then a checkpoint comes before the next one
		if err := fill(1); err != nil {
			t.Fatal(err)
		}
	}
	for worked := true; worked; {
		var err error
		if worked, err = l.Step(); err != nil {
			t.Fatal(err)
		}
	}
	begin(fs, nil)
	found, err := l.Recovered()
	if err != nil || found.Backlogs[2].Messages != 1 {
		t.Fatalf("P1: %d messages of the second queue, %v", found.Backlogs[2].Messages, err)
	}
}
