// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"hash/crc32"
)

// FixRecordChecksum gives bytes the length and checksum of a record, so that a fuzzer reaches what
// lies behind them.
func FixRecordChecksum(raw []byte) {
	if len(raw) >= recordHeadBytes {
		binary.LittleEndian.PutUint32(raw[4:], uint32(len(raw)))
		binary.LittleEndian.PutUint32(raw, crc32.Checksum(raw[4:], castagnoli))
	}
}

// WindowBytes returns the memory of the log's messages in the windows of all queues.
func (b *Broker) WindowBytes() int64 { return b.pagers.held.Load() }

// StopDelays ends the timers of delayed exchanges, as the end of the process does.
func (b *Broker) StopDelays() {
	for _, v := range b.VirtualHosts() {
		for _, x := range v.Exchanges() {
			if x.waiting != nil {
				x.waiting.stopDelays()
			}
		}
	}
	b.senders.Wait()
}
