// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

const (
	largeQueues = 4
	// largeBodyBytes is what a body of the large log has on average.
	largeBodyBytes = 1_000
	// largeReadAll: after so many damages all of the log is read, and not only what lies near.
	largeReadAll = 100
)

// largeLog is a log of many segments, built once. Each damage is done to a clone that shares what it
// does not change.
type largeLog struct {
	fs       *crashFS
	segment  int
	messages []placedMessage
	names    []string // of all files
	stale    []byte   // a segment of another log
}

// placedMessage is one message and its frame.
type placedMessage struct {
	body       string
	at         broker.LSN
	segment    int // its number
	begin, end int // of the frame
}

func (g *largeLog) options(fs *crashFS) store.FileOptions {
	o := damageOptions(fs)
	o.FirstSegmentBytes, o.LastSegmentBytes = int64(g.segment), int64(g.segment)
	return o
}

// build fills segments until there are so many bytes of records; the last one is half full.
func (g *largeLog) build(t *testing.T, total int) {
	t.Helper()
	g.fs = newCrashFS()
	l, err := store.OpenFile(g.options(g.fs))
	if err != nil {
		t.Fatal(err)
	}
	l.Bind(quiet{})
	declare(t, l, 1, 2, 3, 4)
	rng := rand.NewChaCha8([32]byte{4})
	random := make([]byte, 2*largeBodyBytes)
	for done := 0; done < total || l.End() < g.segment/2; {
		i, begin, segments := len(g.messages), l.End(), l.Segments()
		_, _ = rng.Read(random)
		body := fmt.Sprintf("%d %s", i, random[:int(rng.Uint64()%uint64(len(random)))])
		if _, err := l.Append(persistent(body, uint32(i%largeQueues+1)), heedless{}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
		if l.Segments() != segments {
			begin = 4_096
		}
		g.messages = append(g.messages, placedMessage{body, l.Written(), l.Segments(), begin, l.End()})
		done += len(body)
	}
	if _, err := l.Step(); err != nil { // a mark
		t.Fatal(err)
	}
	unlocked(g.fs)
	g.names = slices.Sorted(maps.Keys(g.fs.names))
	for i := range g.messages {
		name := segmentPath(g.messages[i].segment)
		if f := g.fs.names[name]; f == nil || !bytes.Contains(
			f.data[g.messages[i].begin:g.messages[i].end], []byte(g.messages[i].body)) {
			t.Fatalf("message %d is not where the test looks for it", i)
		}
	}
}

// near returns the messages of the segment that a file belongs to, or of the last one.
func (g *largeLog) near(name string) (from, to int) {
	number := g.messages[len(g.messages)-1].segment
	for i := 1; i < number; i++ {
		if strings.HasPrefix(name, strings.TrimSuffix(segmentPath(i), walSuffix)) {
			number = i
		}
	}
	find := func(n int) int {
		i, _ := slices.BinarySearchFunc(g.messages, n, func(m placedMessage, n int) int {
			return cmp.Compare(m.segment, n)
		})
		return i
	}
	return find(number), find(number + 1)
}

// TestLargeDamage damages a log of 64 MB at random places until the time of -for is over, and a small
// one a few times without it: the end of a file from some byte on, by zeros, noise, frames of another
// life or a file that ends there; or single bits. What a start reads and is damaged refuses it. Of
// the rest each queue hands out what it held up to its first damaged message, and names the file.
func TestLargeDamage(t *testing.T) {
	t.Parallel()
	g, total := &largeLog{segment: 64 << 10}, 512<<10
	if *goOn > 0 {
		g.segment, total = 1<<20, 64<<20
	}
	g.build(t, total)
	other := &largeLog{segment: g.segment}
	other.build(t, g.segment/2)
	g.stale = other.fs.names[segmentPath(1)].data
	for name, damage := range map[string]func(*largeLog, *damagedFile){
		"Row04": (*largeLog).tear, "Row05": (*largeLog).flip,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, told := 0, 0
			for end := time.Now().Add(*goOn); n < 100 || time.Now().Before(end); n++ {
				fs := g.fs.lazyClone()
				d := &damagedFile{t: t, fs: fs, name: g.names[rand.IntN(len(g.names))]}
				damage(g, d)
				if g.judge(d, n%largeReadAll == largeReadAll-1) {
					told++
				}
				if t.Failed() {
					t.Fatalf("damage %d: %s from %d on: %s", n, d.name, d.from, d.what)
				}
			}
			if told == 0 {
				t.Error("P2: no damage was told")
			}
			t.Logf("note: %d of %d damages to %d messages were told", told, n, len(g.messages))
			t.Logf("faults: cycles=%d seeds=0", n)
		})
	}
}

// damagedFile is what was done to a clone.
type damagedFile struct {
	t    *testing.T
	fs   *crashFS
	name string
	what string
	from int
}

// tear replaces the end of a file, or cuts it off.
func (g *largeLog) tear(d *damagedFile) {
	f := d.fs.names[d.name]
	data := f.own()
	d.from = rand.IntN(len(data))
	end := data[d.from:]
	switch rand.IntN(4) {
	case 0:
		d.what = "zeros"
		clear(end)
	case 1:
		d.what = "noise"
		rng := rand.NewChaCha8([32]byte{byte(d.from), byte(d.from >> 8), byte(d.from >> 16)})
		_, _ = rng.Read(end)
	case 2:
		d.what = "stale frames"
		copy(end, g.stale[min(d.from, len(g.stale)):])
	case 3:
		d.what = "the end of the file"
		f.data, f.synced = data[:d.from], data[:d.from]
	}
}

// flip turns one bit over.
func (g *largeLog) flip(d *damagedFile) {
	data := d.fs.names[d.name].own()
	d.from = rand.IntN(len(data))
	bit := rand.IntN(8)
	d.what = fmt.Sprintf("bit %d", bit)
	data[d.from] ^= 1 << bit
}

// judge opens the log and reads it. It reports whether the damage was told.
func (g *largeLog) judge(d *damagedFile, all bool) (told bool) {
	d.t.Helper()
	last := g.messages[len(g.messages)-1].segment
	from, to := g.near(d.name)
	wal := path.Ext(d.name) == walSuffix
	hit, cut := func(int) bool { return false }, len(g.messages)
	damaged := wal && strings.HasPrefix(d.name, segmentPath(g.messages[from].segment))
	if damaged {
		was, is := g.fs.names[d.name].data, d.fs.names[d.name].data
		hit = func(i int) bool {
			m := &g.messages[i]
			return i >= from && i < to &&
				(m.end > len(is) || !bytes.Equal(was[m.begin:m.end], is[m.begin:m.end]))
		}
		if g.messages[from].segment == last {
			for cut = from; cut < to && !hit(cut); {
				cut++
			}
		}
	}
	l, err := store.OpenFile(g.options(d.fs))
	if err != nil {
		if !refused(err) && !strings.Contains(err.Error(), "format") {
			d.t.Errorf("P2: the start fails: %v", err)
		}
		// The checkpoint knows that the first frame of the segment that it was taken in was durable.
		torn := strings.HasPrefix(d.what, "bit ") || d.what == "the end of the file" || d.from < g.messages[from].end
		if damaged && !torn && cut < len(g.messages) {
			d.t.Errorf("P8: an end that looks torn refuses the start: %v", err)
		}
		return true
	}
	if wal && d.what == "the end of the file" {
		d.t.Error("P1: the file is shorter than it was made, and the start does not tell")
	}
	if damaged && strings.HasPrefix(d.what, "bit ") && cut < len(g.messages) {
		d.t.Errorf("P1: message %d of %d was durable, and its end was cut off", cut, len(g.messages))
	}
	if all {
		from, to = 0, len(g.messages)
	}
	for queue := range largeQueues {
		told = g.read(d, l, queue, from, min(to, cut), hit) || told
	}
	return told
}

// read reads the messages of a queue from one on up to another. It reports whether it ended at a
// damaged one.
func (g *largeLog) read(
	d *damagedFile, l *store.File, queue, from, to int, hit func(int) bool,
) (told bool) {
	d.t.Helper()
	next, after := from, broker.LSN(0)
	if from > 0 {
		after = g.messages[from-1].at
	}
	seek := func() {
		for next < to && next%largeQueues != queue {
			next++
		}
	}
	seek()
	err := l.ReadQueue(uint32(queue+1), after, func(at broker.LSN, r *broker.Record) bool {
		switch {
		case next >= to:
			if to == len(g.messages) || at < g.messages[to].at {
				d.t.Errorf("P2: queue %d has message %d, which was cut off", queue, at)
			}
			return false
		case at != g.messages[next].at || string(r.Message.Body) != g.messages[next].body:
			d.t.Errorf("P2: queue %d has a wrong message at %d, where %d was", queue, at,
				g.messages[next].at)
			return false
		}
		next++
		seek()
		return true
	})
	var damage *store.DamageError
	switch {
	case err == nil && next < to:
		d.t.Errorf("P1: queue %d ends before message %d of %d", queue, next, to)
	case err == nil:
	case !errors.As(err, &damage) || damage.File != d.name:
		d.t.Errorf("P2: queue %d: %v", queue, err)
	case next < to && !hit(next):
		d.t.Errorf("P1: queue %d: message %d is sound: %v", queue, next, err)
	}
	return err != nil
}
