// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"fmt"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// boundLog is the heart's log and how it is joined to the heart.
type boundLog interface {
	broker.Log
	Bind(a broker.Applier)
}

// newLog makes the log that the options ask for: in the data directory, or in memory without one.
func (h *Hub) newLog() (boundLog, error) {
	o := &h.options
	if o.Data == "" {
		return store.NewMemory(store.MemoryOptions{}), nil
	}
	sync, err := store.ParseSyncMode(o.Sync)
	if err != nil {
		return nil, err
	}
	return store.NewFile(store.FileOptions{
		Dir: o.Data, Clock: h.clock, Formats: formats(), Sync: sync, Logger: o.Logger,
		FirstSegmentBytes: int64(min(firstSegmentBytes, o.Log.SegmentBytes)),
		LastSegmentBytes:  int64(o.Log.SegmentBytes),
		OnFatal:           h.fail,
		OnFull:            func(full bool) { h.broker.DiskFull(full) },
	})
}

// openLog takes over what an earlier process left and begins to write.
func (h *Hub) openLog() error {
	if !h.log.Keeps() {
		return nil
	}
	file, onDisk := h.log.(*store.File)
	if onDisk {
		if err := file.Open(); err != nil {
			return fmt.Errorf("log: %w", err)
		}
	}
	if err := h.broker.Recover(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if onDisk {
		file.Start()
	}
	if err := h.users.Recover(h.broker.TakeUsers(), h.broker); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	if err := h.log.Wait(true); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// fail notes that the disk failed.
func (h *Hub) fail(err error) {
	h.ready.Store(false)
	h.failed <- fmt.Errorf("log: %w", err) // it is called once
}

// Failed yields the error after which the hub confirms nothing any more, because its disk failed. The
// process should end then and be started again: what is on the disk decides.
func (h *Hub) Failed() <-chan error { return h.failed }
