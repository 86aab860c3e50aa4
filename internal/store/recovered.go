// SPDX-License-Identifier: Apache-2.0

package store

import "github.com/parley-ipc/parley/internal/broker"

// noteAttempts takes over what a RecordDelivery says.
func noteAttempts(
	attempts map[uint32]map[broker.LSN]uint32, suspect map[uint32]broker.LSN, r *broker.Record,
) {
	queue := r.Queues[0]
	if attempts[queue] == nil {
		attempts[queue] = make(map[broker.LSN]uint32)
	}
	for i, at := range r.At {
		if r.Attempts[i] == 0 {
			suspect[queue] = at
		} else {
			attempts[queue][at] = r.Attempts[i]
		}
	}
}

// finishRecovered leaves out the queues that are gone, and says which messages may have been
// delivered.
func finishRecovered(r *broker.Recovered, suspect map[uint32]broker.LSN, clean bool) {
	stands := make(map[uint32]bool)
	for _, m := range r.Structure {
		if m.Kind == broker.MetaQueueDeclare {
			stands[m.QueueID] = true
		}
	}
	for queue, b := range r.Backlogs {
		if !stands[queue] {
			delete(r.Backlogs, queue)
			continue
		}
		if b.Suspect = suspect[queue]; !clean {
			b.Suspect = b.Last
		}
		r.Backlogs[queue] = b
	}
}
