// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"cmp"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// LogReport is what a data directory holds.
type LogReport struct {
	// Queues are the durable queues, by virtual host and name.
	Queues []LogQueue
	// Segments are the files with records, the oldest first.
	Segments []store.SegmentInfo
}

// LogQueue is a durable queue as the log has it.
type LogQueue struct {
	VHost, Name string
	ID          uint32
	// Messages are those that nobody settled, Bytes about the bytes of their bodies.
	Messages, Bytes int
}

// LogRecord is one record of the log.
type LogRecord struct {
	store.RecordPlace
	Type   string
	Queues []uint32
	// Count is the number of places or parts that the record is about.
	Count int
	// Exchange, Key and Bytes are those of a message, Bytes of its body.
	Exchange, Key string
	Bytes         int
}

// SalvageReport is what a salvage found.
type SalvageReport = store.SalvageReport

// DamageError says that a data directory is not what was written.
type DamageError = store.DamageError

func logFiles(dir string) store.FileOptions {
	return store.FileOptions{Dir: dir, Clock: newClock(), Formats: formats()}
}

// InspectLog says what the log in a data directory holds, and changes nothing there. No hub may run on
// it meanwhile.
func InspectLog(dir string) (*LogReport, error) {
	var report LogReport
	err := store.Inspect(logFiles(dir), func(l *store.File) error {
		held, err := l.Recovered()
		if err != nil {
			return err
		}
		report.Segments = l.SegmentInfo()
		for i := range held.Structure {
			m := &held.Structure[i]
			if m.Kind != broker.MetaQueueDeclare {
				continue
			}
			b := held.Backlogs[m.QueueID]
			report.Queues = append(report.Queues, LogQueue{
				VHost: m.VHost, Name: m.Queue.Name, ID: m.QueueID, Messages: b.Messages, Bytes: b.Bytes,
			})
		}
		return nil
	})
	slices.SortFunc(report.Queues, func(a, b LogQueue) int {
		return cmp.Or(cmp.Compare(a.VHost, b.VHost), cmp.Compare(a.Name, b.Name))
	})
	return &report, err
}

// InspectRecords hands on every record of the log in a data directory until fn fails.
func InspectRecords(dir string, fn func(LogRecord) error) error {
	return store.Inspect(logFiles(dir), func(l *store.File) error {
		var failed error
		err := l.Records(func(at store.RecordPlace, r *broker.Record) bool {
			out := LogRecord{
				RecordPlace: at, Type: r.Type.String(), Queues: r.Queues,
				Count: len(r.At) + len(r.Records),
			}
			if m := r.Message; m != nil {
				out.Exchange, out.Key, out.Bytes = string(m.Exchange), string(m.Key), len(m.Body)
			}
			failed = fn(out)
			return failed == nil
		})
		return cmp.Or(failed, err)
	})
}

// SalvageLog copies what is sound in a data directory that a hub refuses into a new one, and
// changes nothing in the old one.
func SalvageLog(dir, to string) (*SalvageReport, error) { return store.Salvage(logFiles(dir), to) }
