// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// TestNewerFormat: a data directory of a newer build is refused, and both versions are named; a salvage
// says so too. It is no damage.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	newer := func(data []byte, end int) {
		binary.LittleEndian.PutUint32(data[12:], 2)
		sum := crc32.Checksum(data[12:end], crc32.MakeTable(crc32.Castagnoli))
		binary.LittleEndian.PutUint32(data[8:], sum)
	}
	testCases := []struct {
		name string
		make func(*crashFS)
	}{
		{"segment", func(fs *crashFS) { newer(fs.names[segmentPath(2)].data, 48) }},
		{"checkpoint", func(fs *crashFS) {
			for _, name := range []string{"data/checkpoint.0", "data/checkpoint.1"} {
				data := fs.names[name].data
				newer(data, int(binary.LittleEndian.Uint64(data[24:])))
			}
		}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			log, _ := settledLog(t)
			tc.make(log)
			const want = "has format 2; this build reads format 1"
			_, err := store.OpenFile(damageOptions(unlocked(log)))
			if err == nil || refused(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v", err)
			}
			report, _ := salvaged(t, log)
			told := ""
			for _, d := range report.Damage {
				told += d.Error() + "\n"
			}
			if !strings.Contains(told, want) {
				t.Errorf("the salvage found %q", told)
			}
		})
	}
}
