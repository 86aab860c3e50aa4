// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lowOnMemory and lowOnDisk are the reasons that clients are told, in RabbitMQ's words.
	lowOnMemory = "low on memory"
	lowOnDisk   = "low on disk"
	lowOnBoth   = "low on memory & disk"
	// alarmInterval is how often a standing alarm looks whether it may end.
	alarmInterval = 100 * time.Millisecond
	// messageOverheadBytes is what a kept message costs beside its bytes.
	messageOverheadBytes = 512
)

// alarm watches the memory of kept messages, and hears of the process's memory and of the disk.
// Above the limit, or without room for the log, connections that publish are not read any more;
// consumers go on, so that it ends by itself. Nothing is dropped.
type alarm struct {
	b     *Broker
	limit atomic.Int64
	held  atomic.Int64

	mu      sync.Mutex
	memory  bool // kept messages
	process bool // all that the process holds
	disk    bool
	reason  atomic.Pointer[string] // nil: no alarm
	timer   Timer
	closed  bool
}

// Alarm returns why publishing is blocked, or "" when it is not.
func (b *Broker) Alarm() string {
	if r := b.alarm.reason.Load(); r != nil {
		return *r
	}
	return ""
}

// Alarms reports which alarms stand.
func (b *Broker) Alarms() (memory, disk bool) {
	b.alarm.mu.Lock()
	defer b.alarm.mu.Unlock()
	return b.alarm.memory || b.alarm.process, b.alarm.disk
}

// MemoryLimit returns the bytes of kept messages above which publishers are blocked, and whether
// there is such a limit.
func (b *Broker) MemoryLimit() (limitBytes int64, limited bool) {
	limitBytes = b.alarm.limit.Load()
	return limitBytes, limitBytes != int64(unlimited)
}

// HeldBytes returns the memory that kept messages take.
func (b *Broker) HeldBytes() int64 { return b.alarm.held.Load() }

// check raises the alarm when too much is held; called after each publish, under no lock.
func (a *alarm) check() {
	if a.held.Load() <= a.limit.Load() || a.reason.Load() != nil {
		return
	}
	a.raise()
}

// raise is check whatever else stands.
func (a *alarm) raise() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.memory || a.held.Load() <= a.limit.Load() {
		return
	}
	a.memory = true
	a.update()
	if a.timer == nil {
		a.timer = a.b.clock.AfterFunc(alarmInterval, a.review)
	} else {
		a.timer.Reset(alarmInterval)
	}
}

// review ends the alarm when a tenth of the limit is free.
func (a *alarm) review() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if limit := a.limit.Load(); a.held.Load() > limit-limit/10 {
		a.timer.Reset(alarmInterval)
		return
	}
	a.memory = false
	a.update()
}

// SetMemoryBytes changes Limits.MemoryBytes while the broker runs: below 0 there is no limit.
func (b *Broker) SetMemoryBytes(n int) {
	if n < 0 {
		n = unlimited
	}
	b.alarm.limit.Store(int64(n))
	b.alarm.raise()
}

// MemoryFull says whether the process as a whole holds too much, which the heart, that counts kept
// messages only, cannot see: publishers are blocked meanwhile.
func (b *Broker) MemoryFull(full bool) {
	b.alarm.hear(func(a *alarm) { a.process = full })
}

// DiskFull says whether the log lacks room for what comes: publishers are blocked until there is
// some.
func (b *Broker) DiskFull(full bool) {
	b.alarm.hear(func(a *alarm) { a.disk = full })
}

// hear takes what another part of the hub knows.
func (a *alarm) hear(set func(*alarm)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		set(a)
		a.update()
	}
}

// update tells everyone when the reason has changed; the lock is held.
func (a *alarm) update() {
	reason, memory := "", a.memory || a.process
	switch {
	case a.disk && memory:
		reason = lowOnBoth
	case a.disk:
		reason = lowOnDisk
	case memory:
		reason = lowOnMemory
	}
	switch {
	case reason == a.b.Alarm():
		return
	case reason == "":
		a.reason.Store(nil)
		a.b.logger.Info("publishers go on", "held_bytes", a.held.Load())
	default:
		a.reason.Store(&reason)
		a.b.logger.Warn("publishers are blocked", "reason", reason, "held_bytes", a.held.Load(),
			"limit_bytes", a.limit.Load())
	}
	a.b.tell(reason)
}

func (a *alarm) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// tell passes the state of the alarm to every session; the alarm's lock is held.
func (b *Broker) tell(reason string) {
	for _, c := range b.connections.all() {
		c.mu.Lock()
		sessions := make([]*Session, 0, len(c.sessions))
		for s := range c.sessions {
			sessions = append(sessions, s)
		}
		c.mu.Unlock()
		for _, s := range sessions {
			s.sink.Block(reason)
			s.sink.Flush()
		}
	}
}

// inform tells a new session of an alarm that stands.
func (a *alarm) inform(s *Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if reason := a.reason.Load(); reason != nil {
		s.sink.Block(*reason)
	}
}
