// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// Flags of the test binary.
var (
	simSeeds = flag.Int("seeds", 0, "crash simulations to run; 0 is the fast tier")
	simSeed  = flag.Uint64("seed", 0, "run this one crash simulation")
	goOn     = flag.Duration("for", 0, "go on with random cases until this time is over")
)

const (
	// simSeedsFast and simSeedsRace are the fast tier.
	simSeedsFast = 2_000
	simSeedsRace = 200
	simSteps     = 200
	simRounds    = 3
	simQueues    = 4
)

var errPower = errors.New("power loss")

// TestRow01CrashSimulation runs random work on the log over a file system that loses power or whose
// process ends at a drawn operation, while somebody sets the wall clock now and then. It checks after
// each recovery that nothing durable is missing or wrong, nothing settled is back, that a crash in the
// recovery itself changes nothing, and always that messages have their times.
func TestRow01CrashSimulation(t *testing.T) {
	t.Parallel()
	first, n := uint64(1), *simSeeds
	end := time.Now().Add(*goOn)
	switch {
	case *simSeed != 0:
		first, n = *simSeed, 1
	case *goOn > 0 && n == 0:
		first, n = rand.Uint64N(1<<62), 1
	case n == 0 && (raceEnabled || testing.Short()):
		n = simSeedsRace
	case n == 0:
		n = simSeedsFast
	}
	rounds := 0
	seed := first
	for ; seed < first+uint64(n) || time.Now().Before(end); seed++ {
		s := newSimulation(t, seed)
		for range simRounds {
			s.round()
			rounds++
		}
		if t.Failed() {
			t.Fatalf("repeat it with -run TestRow01 -seed=%d", seed)
		}
	}
	t.Logf("faults: cycles=%d seeds=%d", rounds, seed-first)
}

// simulation is one seed: the log, and what must be true of it.
type simulation struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	fs   *crashFS
	log  *store.File
	sync store.SyncMode

	clock *simClock

	next     int
	messages map[broker.LSN]*simMessage
	acks     []simAck
	queues   map[string]*simQueue
	at       broker.LSN // of the record applied last
}

type simMessage struct {
	body      string
	volatile  bool
	confirmed bool
	queues    map[uint32]bool // true: settled
	// heart are its times by the clock of the present process, wall those by the wall clock of the one
	// that appended it.
	heart, wall simTimes
}

type simAck struct {
	at      broker.LSN // of the ACK record
	queue   uint32
	message broker.LSN
}

// simQueue is a declared queue: where the last word on it is.
type simQueue struct {
	declared, deleted broker.LSN
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	s := &simulation{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), fs: newCrashFS(),
		clock:    newSimClock(),
		messages: map[broker.LSN]*simMessage{}, queues: map[string]*simQueue{},
	}
	if s.rng.IntN(8) == 0 {
		s.sync = store.SyncOff // many frames in a row that are on no disk yet
	}
	s.open()
	for q := range uint32(simQueues) {
		m := &broker.Meta{Kind: broker.MetaQueueDeclare, VHost: "/", QueueID: q + 1}
		m.Queue = broker.QueueParams{Name: fmt.Sprintf("kept%d", q), Durable: true}
		if err := s.append(&broker.Record{Type: broker.RecordMeta, Meta: m}, false); err != nil {
			t.Fatal(err)
		}
		s.queues[m.Queue.Name] = &simQueue{declared: s.at}
	}
	if _, err := s.log.Step(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *simulation) options(fs *crashFS) store.FileOptions {
	return store.FileOptions{
		Dir: "data", FS: fs, Clock: s.clock, FirstSegmentBytes: 16 << 10,
		LastSegmentBytes: 32 << 10, FrameBytes: 2 << 10, Life: s.rng.Uint64,
		Sync: s.sync,
	}
}

func (s *simulation) open() {
	s.t.Helper()
	l, err := store.OpenFile(s.options(s.fs))
	if err != nil {
		s.t.Fatalf("P8, seed %d: recovery: %v", s.seed, err)
	}
	l.Bind(s)
	s.log = l
}

// Apply implements broker.Applier.
func (s *simulation) Apply(_ *broker.Record, at broker.LSN) { s.at = at }

// Fire implements broker.Ticket; the number is the LSN.
func (s *simulation) Fire(seq uint64, err error) {
	if err == nil {
		s.messages[broker.LSN(seq)].confirmed = true
	}
}

// Flush implements broker.Ticket.
func (s *simulation) Flush() {}

// round works until the drawn operation of the file system, crashes there, and recovers.
func (s *simulation) round() {
	s.t.Helper()
	crashAt := s.fs.ops + 1 + s.rng.IntN(2*simSteps)
	if s.rng.IntN(4) == 0 { // soon after the start, before a checkpoint covers what was there
		crashAt = s.fs.ops + 1 + s.rng.IntN(12)
	}
	s.fs.fail = crashing(crashAt)
	if s.rng.IntN(8) == 0 { // a sync fails first, once: the next one would prove nothing
		s.fs.fail = failingSync(crashAt, crashing(crashAt+1+s.rng.IntN(20)))
	}
	if s.rng.IntN(3) == 0 { // the disk is full for a while after the start
		s.fs.fail = fullDisk(s.fs.ops+s.rng.IntN(simSteps), s.fs.fail)
	}
	for range simSteps {
		if err := s.act(); err != nil {
			if !errors.Is(err, errPower) && !errors.Is(err, syscall.EIO) && !store.IsFull(err) {
				s.t.Fatalf("seed %d: %v", s.seed, err)
			}
			break
		}
	}
	s.crash()
}

// crashing refuses every operation from one on.
func crashing(at int) func(op int, what, name string) error {
	return func(op int, _, _ string) error {
		if op >= at {
			return errPower
		}
		return nil
	}
}

// fullDisk has no room for a segment before an operation.
func fullDisk(until int, next func(int, string, string) error) func(op int, what, name string) error {
	return func(op int, what, name string) error {
		if op < until && what == "create" && strings.HasSuffix(name, ".wal.tmp") {
			return syscall.ENOSPC
		}
		return next(op, what, name)
	}
}

// failingSync fails the first sync from an operation on, and leaves the rest to what comes next.
func failingSync(at int, next func(int, string, string) error) func(op int, what, name string) error {
	failed := false
	return func(op int, what, name string) error {
		if op >= at && what == "sync" && !failed {
			failed = true
			return syscall.EIO
		}
		return next(op, what, name)
	}
}

// act does one random thing.
func (s *simulation) act() error {
	s.tick()
	switch n := s.rng.IntN(100); {
	case n < 35:
		return s.publish()
	case n < 55:
		return s.settle()
	case n < 60:
		return s.declare()
	case n < 62:
		return s.purge()
	case n < 64:
		s.compare()
		return nil
	case n < 66:
		return s.replace()
	case n < 68:
		return s.log.EndSync()
	}
	_, err := s.log.Step()
	return err
}

func (s *simulation) append(r *broker.Record, confirm bool) error {
	var t broker.Ticket
	// The next LSN is one more than the last: only this goroutine appends.
	seq := uint64(s.at) + 1
	if confirm {
		t = s
	}
	_, err := s.log.Append(r, t, seq)
	if err == nil && uint64(s.at) != seq {
		s.t.Fatalf("seed %d: LSN %d, expected %d", s.seed, s.at, seq)
	}
	return err
}

func (s *simulation) publish() error {
	r, m := s.message()
	s.messages[s.at+1] = m
	if err := s.append(r, !m.volatile); err != nil {
		delete(s.messages, s.at+1)
		return err
	}
	return nil
}

// message makes one for some of the queues.
func (s *simulation) message() (*broker.Record, *simMessage) {
	s.next++
	size := s.rng.IntN(400)
	if s.rng.IntN(50) == 0 {
		size = s.rng.IntN(40_000) // larger than a segment, now and then
	}
	body := fmt.Sprintf("%d-%d-%s", s.seed, s.next, strings.Repeat("x", size))
	m := &simMessage{body: body, volatile: s.rng.IntN(10) == 0, queues: map[uint32]bool{}}
	r := &broker.Record{Type: broker.RecordPublish, Message: &broker.Message{Body: []byte(body)}}
	r.Message.Persistent = !m.volatile
	s.stamp(m, r.Message)
	for q := range uint32(simQueues) {
		if s.rng.IntN(simQueues) == 0 || (q == simQueues-1 && len(r.Queues) == 0) {
			r.Queues = append(r.Queues, q+1)
			m.queues[q] = false
		}
	}
	return r, m
}

// replace settles a message and sends another, as one.
func (s *simulation) replace() error {
	queue, at, ok := s.waiting()
	if !ok {
		return nil
	}
	r, m := s.message()
	m.volatile, r.Message.Persistent = false, true
	s.messages[s.at+2] = m // the transaction has a place of its own before its parts
	err := s.append(&broker.Record{Type: broker.RecordTransaction, Records: []broker.Record{
		*r, {Type: broker.RecordAck, Queues: []uint32{queue + 1}, At: []broker.LSN{at}},
	}}, false)
	if err != nil {
		delete(s.messages, s.at+2)
		return err
	}
	s.messages[at].queues[queue] = true
	s.at += 2
	s.acks = append(s.acks, simAck{s.at, queue, at})
	return nil
}

// waiting draws a message that is not settled.
func (s *simulation) waiting() (queue uint32, at broker.LSN, ok bool) {
	for _, at := range slices.Sorted(maps.Keys(s.messages)) {
		for queue := range uint32(simQueues) {
			if done, here := s.messages[at].queues[queue]; here && !done && s.rng.IntN(3) == 0 {
				return queue, at, true
			}
		}
	}
	return 0, 0, false
}

// purge settles what one queue has between two places.
func (s *simulation) purge() error {
	if s.at < 20 {
		return nil
	}
	queue := s.rng.Uint32N(simQueues)
	from := broker.LSN(s.rng.Uint64N(uint64(s.at)))
	to := from + broker.LSN(s.rng.IntN(20))
	err := s.append(&broker.Record{
		Type: broker.RecordPurge, Queues: []uint32{queue + 1}, At: []broker.LSN{from, to},
	}, false)
	if err != nil {
		return err
	}
	for at, m := range s.messages {
		if done, here := m.queues[queue]; here && !done && at > from && at <= min(to, s.at-1) {
			m.queues[queue] = true
			s.acks = append(s.acks, simAck{s.at, queue, at})
		}
	}
	return nil
}

// settle acknowledges up to five messages of one queue, old ones more often, but not the first.
func (s *simulation) settle() error {
	queue := s.rng.Uint32N(simQueues)
	r := &broker.Record{Type: broker.RecordAck, Queues: []uint32{queue + 1}}
	for _, at := range slices.Sorted(maps.Keys(s.messages)) {
		m := s.messages[at]
		if done, here := m.queues[queue]; here && !done && s.rng.IntN(3) != 0 && len(r.At) < 5 &&
			at%37 != 0 {
			r.At = append(r.At, at)
		}
	}
	if len(r.At) == 0 {
		return nil
	}
	if err := s.append(r, false); err != nil {
		return err
	}
	for _, at := range r.At {
		s.messages[at].queues[queue] = true
		s.acks = append(s.acks, simAck{s.at, queue, at})
	}
	return nil
}

func (s *simulation) declare() error {
	name := fmt.Sprintf("q%d", s.rng.IntN(6))
	m := &broker.Meta{Kind: broker.MetaQueueDeclare, VHost: "/"}
	m.Queue = broker.QueueParams{Name: name, Durable: true}
	q := s.queues[name]
	if q == nil {
		q = &simQueue{}
		s.queues[name] = q
	}
	remove := q.declared > q.deleted
	if remove {
		m.Kind = broker.MetaQueueDelete
	}
	if err := s.append(&broker.Record{Type: broker.RecordMeta, Meta: m}, false); err != nil {
		return err
	}
	if remove {
		q.deleted = s.at
	} else {
		q.declared = s.at
	}
	return nil
}

// crash recovers from what is left, twice: once cut short by another crash.
func (s *simulation) crash() {
	s.t.Helper()
	written, synced := s.log.Written(), s.log.Synced()
	killed := s.rng.IntN(4) == 0
	strict := synced
	var left *crashFS
	if killed {
		left, strict = s.fs.killClone(), written
	} else {
		left = s.fs.crashClone([]float64{0, 0.5, 1}[s.rng.IntN(3)], s.rng)
	}
	again := left.killClone()
	s.fs = left
	s.restart()
	s.open()
	found := s.found()
	s.check(found, strict)

	stop := 1 + s.rng.IntN(6)
	again.fail = func(op int, _, _ string) error {
		if op >= stop {
			return errPower
		}
		return nil
	}
	if l, err := store.OpenFile(s.options(again)); err == nil {
		l.Bind(s)
	} else if !errors.Is(err, errPower) {
		s.t.Fatalf("seed %d: second recovery: %v", s.seed, err)
	}
	first := s.fs
	s.fs = again.killClone()
	s.open()
	if twice := s.found(); !maps.Equal(found.live, twice.live) {
		s.t.Errorf("P1, seed %d: a crash during recovery changed what is there", s.seed)
	}
	s.fs = first
	s.open2(found)
}

// open2 goes on with the recovered log: the model forgets what the crash took.
func (s *simulation) open2(found simFound) {
	s.t.Helper()
	clear(s.fs.locked)
	s.open()
	for at, m := range s.messages {
		for q := range m.queues {
			_, live := found.live[simPlace{at, q}]
			m.queues[q] = !live
		}
		if at > found.last {
			delete(s.messages, at)
		}
	}
	s.acks = slices.DeleteFunc(s.acks, func(a simAck) bool { return a.at > found.last })
	for name, q := range s.queues {
		*q = simQueue{}
		if at, ok := found.queues[name]; ok {
			q.declared = at
		}
	}
	s.at = s.log.Written()
}

type simPlace struct {
	at    broker.LSN
	queue uint32
}

// simFound is what a recovered log holds.
type simFound struct {
	live   map[simPlace]string
	queues map[string]broker.LSN
	last   broker.LSN
}

func (s *simulation) found() simFound {
	s.t.Helper()
	f := simFound{queues: map[string]broker.LSN{}, last: s.log.Written()}
	recovered, err := s.log.Recovered()
	if err != nil {
		s.t.Fatalf("seed %d: recovered: %v", s.seed, err)
	}
	for _, m := range recovered.Structure {
		f.queues[m.Queue.Name] = m.At
	}
	f.live = s.read()
	counts := map[uint32]int{}
	for p := range f.live {
		counts[p.queue]++
	}
	for q := range uint32(simQueues) {
		if b := recovered.Backlogs[q+1]; b.Messages != counts[q] {
			s.t.Errorf("P6, seed %d: queue %d holds %d messages and says %d", s.seed, q, counts[q],
				b.Messages)
		}
	}
	return f
}

// read reads what every queue has not settled.
func (s *simulation) read() map[simPlace]string {
	s.t.Helper()
	live := map[simPlace]string{}
	for q := range uint32(simQueues) {
		var before broker.LSN
		err := s.log.ReadQueue(q+1, 0, func(at broker.LSN, r *broker.Record) bool {
			if at <= before {
				s.t.Errorf("P4, seed %d: message %d follows message %d", s.seed, at, before)
			}
			before = at
			s.checkTimes(at, r)
			live[simPlace{at, q}] = string(r.Message.Body)
			return true
		})
		if err != nil {
			s.t.Fatalf("P8, seed %d: read: %v", s.seed, err)
		}
	}
	return live
}

// compare holds what the running log gives back against the model.
func (s *simulation) compare() {
	s.t.Helper()
	live, written := s.read(), s.log.Written()
	for at, m := range s.messages {
		for q, done := range m.queues {
			body, there := live[simPlace{at, q}]
			switch {
			case there && (body != m.body || at > written):
				s.t.Errorf("P2, seed %d: message %d of queue %d is another", s.seed, at, q)
			case !there && !done && at <= written:
				s.t.Errorf("P1, seed %d: message %d of queue %d is not given back", s.seed, at, q)
			case there && done && s.settledBy(at, q) <= written:
				s.t.Errorf("P3, seed %d: message %d of queue %d is given back", s.seed, at, q)
			}
		}
	}
}

// settledBy returns the record that settled a message, as far as this process knows.
func (s *simulation) settledBy(message broker.LSN, queue uint32) broker.LSN {
	for _, a := range s.acks {
		if a.message == message && a.queue == queue {
			return a.at
		}
	}
	return 0
}

// check is the oracle: P1 no loss, P2 no phantom, P3 no resurrection, and the same of structure.
// What lies at or below strict is on the disk.
func (s *simulation) check(f simFound, strict broker.LSN) {
	s.t.Helper()
	for at, m := range s.messages {
		for q, done := range m.queues {
			_, live := f.live[simPlace{at, q}]
			if m.confirmed && !done && !live && !m.volatile &&
				(s.sync == store.SyncAlways || at <= strict) {
				s.t.Errorf("P1, seed %d: message %d of queue %d is lost", s.seed, at, q)
			}
		}
	}
	for p, body := range f.live {
		m := s.messages[p.at]
		if m == nil {
			s.t.Errorf("P2, seed %d: message %d of queue %d was never sent", s.seed, p.at, p.queue)
			continue
		}
		if _, sent := m.queues[p.queue]; !sent || m.body != body || m.volatile {
			s.t.Errorf("P2, seed %d: message %d of queue %d is another", s.seed, p.at, p.queue)
		}
	}
	for _, a := range s.acks {
		if _, live := f.live[simPlace{a.message, a.queue}]; live && a.at <= strict {
			s.t.Errorf("P3, seed %d: message %d of queue %d is back after record %d", s.seed, a.message,
				a.queue, a.at)
		}
	}
	for name, q := range s.queues {
		at, there := f.queues[name]
		last := max(q.declared, q.deleted)
		if last <= strict && last > 0 && there != (q.declared > q.deleted) {
			s.t.Errorf("structure, seed %d: queue %s there %t (record %d), declared %d, deleted %d",
				s.seed, name, there, at, q.declared, q.deleted)
		}
	}
}
