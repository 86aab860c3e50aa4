// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// SyncMode says when a record counts as durable.
type SyncMode uint8

const (
	// SyncAlways confirms after fdatasync: power loss takes nothing that was confirmed.
	SyncAlways SyncMode = iota
	// SyncInterval confirms after the write and syncs every FileOptions.SyncInterval: a power loss
	// takes what was confirmed since; the end of the process takes nothing.
	SyncInterval
	// SyncOff confirms after the write and leaves the rest to the system, as many brokers do.
	SyncOff
)

// ParseSyncMode reads always, interval or off; empty is always.
func ParseSyncMode(text string) (SyncMode, error) {
	switch text {
	case "", "always":
		return SyncAlways, nil
	case "interval":
		return SyncInterval, nil
	case "off":
		return SyncOff, nil
	}
	return SyncAlways, fmt.Errorf("sync: %q is not always, interval or off", text)
}

// Defaults of FileOptions.
const (
	defaultFirstSegmentBytes = 4 << 20
	defaultLastSegmentBytes  = 64 << 20
	defaultFrameBytes        = 1 << 20
	defaultRingBytes         = 8 << 20
	defaultSyncInterval      = 100 * time.Millisecond
	// minSegmentBytes leaves room for the head and a frame.
	minSegmentBytes = 2 * segmentHeadBytes
)

// FileOptions configure a File log. Dir and Clock are required.
type FileOptions struct {
	// Dir is the data directory; it is made if it does not exist.
	Dir string
	// FS is where it is. Default: the real file system.
	FS FS
	// Clock gives records their time.
	Clock broker.Clock
	// Formats are those of every door, also of doors that are off.
	Formats []broker.Format
	// Sync says when a record counts as durable.
	Sync SyncMode
	// SyncInterval is the time between two syncs of SyncInterval. Default 100 ms.
	SyncInterval time.Duration
	// FirstSegmentBytes is the size of the first segment, and each next one doubles it up to
	// LastSegmentBytes. Defaults 4 MiB and 64 MiB.
	FirstSegmentBytes, LastSegmentBytes int64
	// FrameBytes is how large a batch grows before the next one is begun. A frame that fits into no
	// segment needs one of its own, and on a full disk there is none. Default 1 MiB, or a quarter of
	// the first segment.
	FrameBytes int
	// RingBytes is how much may wait to be written before publishers are held back, but never more
	// than half a segment. Default 8 MiB.
	RingBytes int
	// Logger gets what happens. Default: nothing is logged.
	Logger *slog.Logger
	// OnFatal is called once, from a goroutine of the log, when the disk failed: nothing more is
	// confirmed, and the process should end. The default does nothing else.
	OnFatal func(error)
	// OnFull is called when there is no room for the next segment, and again when there is.
	OnFull func(full bool)
	// Life draws the number of a new segment's life. Default: at random.
	Life func() uint64
}

func (o *FileOptions) setDefaults() error {
	if o.Dir == "" || o.Clock == nil {
		return errors.New("store: Dir and Clock are required")
	}
	if o.FS == nil {
		o.FS = OS{}
	}
	set := func(field *int64, value int64) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.FirstSegmentBytes, defaultFirstSegmentBytes)
	set(&o.LastSegmentBytes, max(defaultLastSegmentBytes, o.FirstSegmentBytes))
	if o.FrameBytes == 0 {
		o.FrameBytes = int(min(defaultFrameBytes, o.FirstSegmentBytes/4))
	}
	if o.RingBytes == 0 {
		o.RingBytes = defaultRingBytes
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = defaultSyncInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	if o.OnFull == nil {
		o.OnFull = func(bool) {}
	}
	if o.Life == nil {
		o.Life = randomLife
	}
	if o.FirstSegmentBytes < minSegmentBytes || o.LastSegmentBytes < o.FirstSegmentBytes ||
		o.LastSegmentBytes > maxSegmentBytes {
		return fmt.Errorf("store: segments of %d to %d bytes are not possible", o.FirstSegmentBytes,
			o.LastSegmentBytes)
	}
	return nil
}

func randomLife() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return binary.LittleEndian.Uint64(b[:])
}
