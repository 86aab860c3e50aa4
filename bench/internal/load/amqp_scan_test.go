// SPDX-License-Identifier: Apache-2.0

package load

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// appendDelivery encodes what a broker sends for one message, its body in frames of at most
// frameBytes.
func appendDelivery(dst []byte, tag uint64, c content, frameBytes int) []byte {
	args := appendShortString(nil, "ctag")
	args = binary.BigEndian.AppendUint64(args, tag)
	args = append(args, 0) // not redelivered
	args = appendShortString(appendShortString(args, ""), c.key)
	dst = appendMethod(dst, theChannel, basicDeliver, args)
	published, _ := appendPublish(nil, content{
		persistent: c.persistent, correlation: c.correlation, replyTo: c.replyTo,
	})
	method, _ := nextFrame(published)
	header, _ := nextFrame(published[method.size:])
	binary.BigEndian.PutUint64(header.payload[4:], uint64(len(c.body)))
	dst = append(dst, published[method.size:method.size+header.size]...)
	for part := range slices.Chunk(c.body, frameBytes) {
		var at int
		dst, at = beginFrame(dst, frameBody, theChannel)
		dst = endFrame(append(dst, part...), at)
	}
	return dst
}

// seenBy collects deliveries as text.
func seenBy(list *[]string) func(*delivery) {
	return func(d *delivery) {
		*list = append(*list, fmt.Sprintf("%d %s %q %q", d.tag, d.body, d.correlation, d.replyTo))
	}
}

func TestScanFindsDeliveriesHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	var wire []byte
	wire = appendDelivery(wire, 1, content{key: []byte("q"), body: []byte("12345678")}, 100)
	hb, at := beginFrame(nil, frameHeartbeat, 0)
	wire = append(wire, endFrame(hb, at)...)
	wire = appendDelivery(wire, 2, content{
		persistent: true, correlation: []byte("c1"), replyTo: "r1", body: []byte("abcdefghijkl"),
	}, 8)
	wire = appendMethod(wire, 0, connectionBlocked, []byte{0})
	wire = appendDelivery(wire, 3, content{replyTo: "r2"}, 8)
	want := []string{`1 12345678 "" ""`, `2 abcdefgh "c1" "r1"`, `3  "" "r2"`}

	for step := 1; step <= len(wire); step++ {
		var got []string
		s := &amqpScanner{deliver: seenBy(&got), properties: true}
		var buf []byte
		for part := range slices.Chunk(wire, step) {
			buf = append(buf, part...)
			used, err := s.scan(buf)
			if err != nil {
				t.Fatalf("in steps of %d: %v", step, err)
			}
			buf = buf[used:]
		}
		if !slices.Equal(got, want) || len(buf) != 0 {
			t.Fatalf("in steps of %d: %q, %d bytes left", step, got, len(buf))
		}
	}
}

func TestScanReportsConfirms(t *testing.T) {
	t.Parallel()
	wire := appendAck(nil, 7, false)
	wire = append(wire, appendAck(nil, 9, true)...)
	var got []string
	s := &amqpScanner{confirmed: func(tag uint64, multiple bool) error {
		got = append(got, fmt.Sprint(tag, multiple))
		return nil
	}}
	used, err := s.scan(wire)
	if err != nil || used != len(wire) || !slices.Equal(got, []string{"7 false", "9 true"}) {
		t.Errorf("used %d of %d, %v: %q", used, len(wire), err, got)
	}
}

func TestScanRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	whole := appendDelivery(nil, 1, content{body: []byte("12345678")}, 100)
	changed := func(at int, v byte) []byte {
		out := slices.Clone(whole)
		out[at] = v
		return out
	}
	method, _ := nextFrame(whole)
	huge := changed(method.size+7+4, 1)
	closing := append([]byte{1, 64}, appendShortString(nil, "NOT_FOUND - x")...) // code 320
	testCases := []struct {
		name string
		wire []byte
		want string
	}{
		{"end octet", changed(method.size-1, 0), "ends with"},
		{"frame size", changed(3, 0xff), "frame of"},
		{"type", changed(0, 9), "outside of a message"},
		{"method without content header", append(slices.Clone(whole[:method.size]), whole...), "header"},
		{"body size", huge, "body of"},
		{"short method", appendShort(), "shorter"},
		{"unasked confirm", appendAck(nil, 1, false), "not asked"},
		{"unknown method", appendMethod(nil, 1, basicCancel, nil), "60.30"},
		{"close", appendMethod(nil, 1, channelClose, closing), "320 NOT_FOUND - x"},
		{"short tag", appendMethod(nil, 1, basicDeliver, []byte{200, 1}), ""},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &amqpScanner{deliver: func(*delivery) { t.Error("a message was taken") }}
			wire := tc.wire
			if tc.want == "" { // with a sound content behind it
				wire, tc.want = append(slices.Clone(wire), whole[method.size:]...), "shorter"
			}
			if _, err := s.scan(wire); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("scan = %v, want %q", err, tc.want)
			}
		})
	}
}

// appendShort encodes a method frame too short for a method.
func appendShort() []byte {
	dst, at := beginFrame(nil, frameMethod, theChannel)
	return endFrame(append(dst, 0, 60), at)
}

func TestReadPropertiesSkipsThoseBefore(t *testing.T) {
	t.Parallel()
	p := binary.BigEndian.AppendUint16(nil, flagContentType|flagContentEncoding|flagHeaders|
		flagDeliveryMode|flagPriority|flagCorrelationID|flagReplyTo)
	p = appendShortString(appendShortString(p, "text/plain"), "gzip")
	p = append(p, 0, 0, 0, 3, 9, 9, 9) // a table that is not looked into
	p = append(p, deliveryPersistent, 4)
	p = appendShortString(appendShortString(p, "corr"), "reply")
	var m delivery
	if err := readProperties(p, &m); err != nil {
		t.Fatal(err)
	}
	if string(m.correlation) != "corr" || string(m.replyTo) != "reply" {
		t.Errorf("correlation %q, reply-to %q", m.correlation, m.replyTo)
	}
	for n := 2; n < len(p); n++ {
		if err := readProperties(p[:n], &delivery{}); err == nil {
			t.Errorf("cut after %d of %d bytes: no error", n, len(p))
		}
	}
}

func TestServerName(t *testing.T) {
	t.Parallel()
	var table []byte
	put := func(key string, kind byte, value string) {
		table = append(appendShortString(table, key), kind)
		if kind != 't' {
			table = binary.BigEndian.AppendUint32(table, uint32(len(value)))
		}
		table = append(table, value...)
	}
	put("capabilities", 'F', "whatever")
	put("product", 'S', "parley")
	put("flag", 't', "\x01")
	put("version", 'S', "1.2")
	wire := append(binary.BigEndian.AppendUint32(nil, uint32(len(table))), table...)
	if got := serverName(wire); got != "parley 1.2" {
		t.Errorf("serverName = %q", got)
	}
	for n := range wire {
		if got := serverName(wire[:n]); len(got) > len("parley 1.2") {
			t.Errorf("cut after %d: %q", n, got)
		}
	}
}

// A body that is larger than a frame is published in several and read as one.
func TestLargeBodiesTakeSeveralFrames(t *testing.T) {
	t.Parallel()
	body := filler(2*maxFrameBytes + 5)
	wire, at := appendPublish(nil, content{key: []byte("q"), body: body})
	copy(wire[at.body:], "12345678")
	frames := 0
	for rest := wire; len(rest) > 0; frames++ {
		f, err := nextFrame(rest)
		if err != nil || f.size == 0 || len(f.payload) > maxFrameBytes-frameOverhead {
			t.Fatalf("frame %d of %d bytes: %v", frames, len(f.payload), err)
		}
		rest = rest[f.size:]
	}
	if frames != 5 {
		t.Errorf("%d frames", frames)
	}
	method, _ := nextFrame(wire)
	var got []string
	s := &amqpScanner{deliver: func(d *delivery) { got = append(got, string(d.body[:8])) }}
	deliver := appendMethod(nil, theChannel, basicDeliver, make([]byte, 16))
	used, err := s.scan(append(deliver, wire[method.size:]...))
	if err != nil || used != len(deliver)+len(wire)-method.size || len(got) != 1 || got[0] != "12345678" {
		t.Errorf("used %d, %v, %q", used, err, got)
	}
}
