// SPDX-License-Identifier: Apache-2.0

package load

import (
	"encoding/binary"
	"testing"
)

func TestCheckerAccountsForEveryMessage(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name                        string
		seen                        []uint64
		sent                        uint64
		lost, duplicated, reordered uint64
	}{
		{"none sent", nil, 0, 0, 0, 0},
		{"all, in order", []uint64{0, 1, 2, 3}, 4, 0, 0, 0},
		{"the last are missing", []uint64{0, 1}, 5, 3, 0, 0},
		{"a gap", []uint64{0, 3, 4}, 5, 2, 0, 0},
		{"late", []uint64{0, 2, 1, 3}, 4, 0, 0, 1},
		{"twice at once", []uint64{0, 0, 1}, 2, 0, 1, 0},
		{"twice, the second late", []uint64{0, 2, 1, 1}, 3, 0, 1, 1},
		{"everything at once", []uint64{1, 0, 0, 5, 4}, 8, 4, 1, 2},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var c checker
			for _, seq := range tc.seen {
				got, err := c.see(binary.BigEndian.AppendUint64(nil, seq))
				if err != nil || got != seq {
					t.Fatalf("see(%d) = %d, %v", seq, got, err)
				}
			}
			var r Result
			c.account(&r, tc.sent)
			want := Result{
				Sent: tc.sent, Received: uint64(len(tc.seen)),
				Lost: tc.lost, Duplicated: tc.duplicated, Reordered: tc.reordered,
			}
			if r != want {
				t.Errorf("got %+v\nwant %+v", r, want)
			}
			faulty := tc.lost+tc.duplicated+tc.reordered > 0
			if (r.Check() != nil) != faulty {
				t.Errorf("Check() = %v", r.Check())
			}
		})
	}
}

func TestCheckerBoundsItsMemory(t *testing.T) {
	t.Parallel()
	const far = maxMissing + 1000
	var c checker
	if _, err := c.see(binary.BigEndian.AppendUint64(nil, far)); err != nil {
		t.Fatal(err)
	}
	if len(c.missing) != maxMissing || c.lost(far+1) != far {
		t.Errorf("%d remembered, %d lost; want %d, %d", len(c.missing), c.lost(far+1), maxMissing, far)
	}
}

func TestCheckerRefusesShortBodies(t *testing.T) {
	t.Parallel()
	var c checker
	if _, err := c.see(make([]byte, minBodyBytes-1)); err == nil {
		t.Error("a body without a whole sequence number was taken")
	}
}

func TestBatchNumbersEveryMessage(t *testing.T) {
	t.Parallel()
	msg := append(append([]byte("<"), filler(8)...), "0123456789abcdef>"...)
	b := newBatch(messageLayout{encoded: msg, seqAt: 1, hexAt: 9})
	if b.capacity() != batchBytes/len(msg) {
		t.Fatalf("capacity %d", b.capacity())
	}
	const first, n = 0xfedcba, 3
	out := b.fill(first, n)
	if len(out) != n*len(msg) {
		t.Fatalf("%d bytes for %d messages of %d", len(out), n, len(msg))
	}
	for i, want := range []string{"0000000000fedcba", "0000000000fedcbb", "0000000000fedcbc"} {
		m := out[i*len(msg):][:len(msg)]
		if got := binary.BigEndian.Uint64(m[1:]); got != first+uint64(i) {
			t.Errorf("message %d is numbered %d", i, got)
		}
		if got := string(m[9:25]); got != want || m[0] != '<' || m[25] != '>' {
			t.Errorf("message %d is %q", i, m)
		}
	}
	large := newBatch(messageLayout{encoded: make([]byte, 2*batchBytes), hexAt: -1})
	if large.capacity() != 1 {
		t.Errorf("a message larger than a batch: capacity %d", large.capacity())
	}
}
