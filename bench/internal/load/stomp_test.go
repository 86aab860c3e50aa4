// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/parleytest"
)

// stompParams is hubParams for STOMP.
func stompParams(t *testing.T) Params {
	t.Helper()
	p := hubParams(t)
	h := parleytest.Hub(t, func(o *hub.Options) { o.Data = t.TempDir() })
	p.Protocol, p.Addr = STOMP, h.Addr("stomp")
	return p
}

func TestStompStreams(t *testing.T) {
	t.Parallel()
	for _, n := range []int{16, 100 << 10} {
		res, err := Stream(t.Context(), stompParams(t), n)
		if err != nil || res.Messages == 0 || res.Sent != res.Received {
			t.Errorf("%d bytes: %+v, %v", n, res, err)
		}
	}
}

func TestStompConfirms(t *testing.T) {
	t.Parallel()
	res, err := Confirmed(t.Context(), stompParams(t), Shape{BodyBytes: 64, Lanes: 1})
	if err != nil || res.Messages == 0 || res.P50 <= 0 || res.Unconfirmed != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestStompHasNoRequests(t *testing.T) {
	t.Parallel()
	if _, err := Requests(t.Context(), stompParams(t), 1); err == nil {
		t.Error("requests were accepted")
	}
}

func TestStompFramesHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	wire := []byte("\n\nMESSAGE\nack:a1\ncontent-length:9\n\n12345\x00\n\n9\x00\n" +
		"MESSAGE\nsubscription:0\n\nabcdefgh\x00" + "RECEIPT\nreceipt-id:00000000000000ff\n\n\x00\n")
	want := []string{`"a1" "12345\x00\n\n9"`, `"" "abcdefgh"`, "receipt 256"}
	for step := 1; step <= len(wire); step++ {
		var got []string
		s := &stompScanner{
			acks: true,
			deliver: func(d *delivery) {
				got = append(got, fmt.Sprintf("%q %q", d.ackID, d.body))
			},
			confirmed: func(tag uint64, multiple bool) error {
				got = append(got, fmt.Sprint("receipt ", tag))
				if multiple {
					t.Error("a receipt of several")
				}
				return nil
			},
		}
		var buf []byte
		for part := range slices.Chunk(wire, step) {
			buf = append(buf, part...)
			used, err := s.scan(buf)
			if err != nil {
				t.Fatal(err)
			}
			buf = buf[used:]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("in steps of %d: %q", step, got)
		}
	}
}

func TestStompFaults(t *testing.T) {
	t.Parallel()
	for _, wire := range []string{
		"ERROR\nmessage:no\n\nwhy\x00",
		"MESSAGE\ncontent-length:x\n\n\x00",
		"MESSAGE\ncontent-length:99999999999999999999\n\n\x00",
		"MESSAGE\ncontent-length:1\n\nabc\x00",
		"RECEIPT\nreceipt-id:zz\n\n\x00",
	} {
		s := &stompScanner{deliver: func(*delivery) {}, confirmed: func(uint64, bool) error { return nil }}
		if _, err := s.scan([]byte(wire)); err == nil {
			t.Errorf("%q was taken", wire)
		}
	}
}
