// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"testing"
)

// seed adds the messages and attacks of testdata that are of that protocol.
func seed(f *testing.F, p Protocol) {
	f.Helper()
	for _, row := range rows(f, "testdata/messages.txt", 3) {
		if protocolOf(f, row[1]) == p {
			f.Add(octets(f, row[2]))
		}
	}
	for _, row := range rows(f, "testdata/attacks.txt", 4) {
		if protocolOf(f, row[1]) == p {
			f.Add(octets(f, row[3]))
		}
	}
}

func FuzzBinary(f *testing.F) { fuzz(f, Binary) }

func FuzzCompact(f *testing.F) { fuzz(f, Compact) }

func FuzzJSON(f *testing.F) { fuzz(f, JSON) }

// fuzz: no input panics or is refused without a typed error. What is read is copied, and the copy
// reads and copies the same again. A Walker comes to the verdict of a Reader, in one piece or two.
func fuzz(f *testing.F, p Protocol) {
	f.Helper()
	seed(f, p)
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Reader
		err := readAll(&r, p, in, DefaultLimits())
		if err != nil && kindOf(err) == 0 {
			t.Fatalf("untyped error %v", err)
		}
		read := r.Offset()
		if r.claimed > int64(len(in)) || cap(r.scratch) > 4*len(in)+64 {
			t.Fatalf("%d claimed, %d of scratch, of %d", r.claimed, cap(r.scratch), len(in))
		}
		walked(t, p, in, read, err)
		for _, to := range []Protocol{Binary, Compact, JSON} {
			if (p == JSON) == (to == JSON) {
				copied(t, p, to, in, err)
			}
		}
	})
}

// walked holds a Walker against what a Reader found.
func walked(t *testing.T, p Protocol, in []byte, read int, verdict error) {
	t.Helper()
	var w Walker
	w.Reset(p, Limits{MessageBytes: len(in)})
	two, twoErr := w.Walk(in[:len(in)/2])
	if two == 0 && twoErr == nil {
		two, twoErr = w.Walk(in)
	}
	w.Reset(p, Limits{MessageBytes: len(in)})
	one, oneErr := w.Walk(in)
	if len(in) > 0 && (one != two || kindOf(oneErr) != kindOf(twoErr)) {
		t.Errorf("in one piece %d, %v; in two %d, %v", one, oneErr, two, twoErr)
	}
	if verdict == nil && one != read {
		t.Errorf("walked %d, %v; read %d", one, oneErr, read)
	}
	if p != JSON && len(in) > 0 && (verdict == nil) != (oneErr == nil) {
		t.Errorf("walked %v, read %v", oneErr, verdict)
	}
}

// copied copies a message, and the copy.
func copied(t *testing.T, p, to Protocol, in []byte, verdict error) {
	t.Helper()
	once, err := recode(p, to, in)
	if err != nil {
		// TJSON takes octets that are no UTF-8 but does not write them.
		if verdict == nil && p != JSON {
			t.Errorf("%v to %v: %v", p, to, err)
		}
		return
	}
	if verdict != nil {
		t.Errorf("%v to %v passes, reading says %v", p, to, verdict)
	}
	again, err := recode(to, to, once)
	if err != nil || !bytes.Equal(again, once) {
		t.Errorf("%v to %v and again: %v\n%x\n%x", p, to, err, once, again)
	}
}

// FuzzHeader: frames with headers of both dialects. What parses is written and parses the same.
func FuzzHeader(f *testing.F) {
	for _, row := range rows(f, "testdata/headers.txt", 3) {
		if row[2] != "-" {
			f.Add(octets(f, row[2]))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var h Header
		if err := h.Parse(in, DefaultLimits()); err != nil {
			if kindOf(err) == 0 {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		var info Info
		for key, value := range h.All() {
			info.Pairs = append(info.Pairs, Pair{key, value})
		}
		for key, value := range h.Ints() {
			info.Ints = append(info.Ints, Int{key, value})
		}
		info.Token = h.Token()
		if n := len(info.Pairs) + len(info.Ints); n > len(in) {
			t.Fatalf("%d headers of %d octets", n, len(in))
		}
		out, err := h.Append(nil, &info, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var again Header
		if err := again.Parse(out[FrameHeadBytes:], Limits{}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for key, value := range again.All() {
			if !bytes.Equal(key, info.Pairs[n].Key) || !bytes.Equal(value, info.Pairs[n].Value) {
				t.Errorf("header %d: %q %q", n, key, value)
			}
			n++
		}
		if n != len(info.Pairs) || !bytes.Equal(again.Payload, h.Payload) || again.Zlib != h.Zlib {
			t.Errorf("%+v, was %+v", again, h)
		}
		var z Inflater
		const limit = 64 << 10
		if message, err := h.Open(&z, nil, limit); err == nil && h.Zlib > 0 && len(message) > limit {
			t.Errorf("inflated to %d", len(message))
		}
	})
}

// FuzzDetect: octets that come never change a verdict, and frames never claim what is not there.
func FuzzDetect(f *testing.F) {
	for _, p := range []Protocol{Binary, Compact, JSON} {
		seed(f, p)
	}
	for _, row := range rows(f, "testdata/headers.txt", 3) {
		if row[2] != "-" {
			inside := octets(f, row[2])
			f.Add(append([]byte{0, 0, byte(len(inside) >> 8), byte(len(inside))}, inside...))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		last, ok, more := Detect(in)
		if len(in) >= DetectBytes && more {
			t.Errorf("%x asks for more", in)
		}
		for n := range min(len(in), DetectBytes) {
			f, early, more := Detect(in[:n])
			if early && (!ok || f != last) || !early && !more && ok {
				t.Errorf("%x: %v %v %v", in[:n], f, early, more)
			}
		}
		inside, size, err := Frame(in, DefaultLimits())
		if err == nil && size > 0 && (size > len(in) || len(inside) != size-FrameHeadBytes) {
			t.Errorf("%d of %d, size %d", len(inside), len(in), size)
		}
	})
}
