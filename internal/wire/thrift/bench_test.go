// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// typical returns a call as services have it: a few fields, a list of structs, a map.
func typical(tb testing.TB, p Protocol) []byte {
	tb.Helper()
	person := fields(value{t: I64, n: 1 << 40}, text("somebody"), value{t: Bool, n: 1}, value{t: I32, n: 42})
	people := list(Struct)
	for range 20 {
		people.kids = append(people.kids, person)
	}
	tags := value{t: Map, key: String, elem: String, kids: []value{
		text("region"), text("eu-west"), text("tier"), text("gold"),
	}}
	out, err := encode(p, goldenHead(), fields(text("a request with\ta name"), people, tags))
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// work is what doors, endpoints and contracts do with every message. Nothing of it allocates once its
// buffers have grown.
func work(tb testing.TB) map[string]func() error {
	tb.Helper()
	all := map[string]func() error{}
	for _, p := range []Protocol{Binary, Compact, JSON} {
		in := typical(tb, p)
		var r Reader
		all[fmt.Sprint("read ", p)] = func() error { return readAll(&r, p, in, DefaultLimits()) }
		var w Walker
		all[fmt.Sprint("walk ", p)] = func() error {
			w.Reset(p, DefaultLimits())
			_, err := w.Walk(in)
			return err
		}
		to := p
		if p != JSON {
			to = Compact - p
		}
		all[fmt.Sprint("copy ", p, " to ", to)] = copier(p, to, in)
		all[fmt.Sprint("exception ", p)] = exceptions(p)
	}
	all["header"] = headers(tb)
	framed := []byte("\x00\x00\x00\x04\x80\x01\x00\x01")
	all["detect and frame"] = func() error {
		_, _, _ = Detect(framed)
		_, _, err := Frame(framed, DefaultLimits())
		return err
	}
	return all
}

func copier(p, to Protocol, in []byte) func() error {
	var r Reader
	var w Writer
	var out []byte
	return func() error {
		r.Reset(p, in, DefaultLimits())
		w.Reset(to, out[:0])
		h, err := r.MessageBegin()
		if err == nil {
			err = w.CopyMessage(&r, h)
		}
		out = w.Bytes()
		return err
	}
}

func exceptions(p Protocol) func() error {
	e := ApplicationException{Type: InternalError, Message: []byte("no-instance: nobody")}
	var r Reader
	var w Writer
	var out []byte
	return func() error {
		w.Reset(p, out[:0])
		e.Append(&w, Head{Name: []byte("m"), Seq: 1})
		out = w.Bytes()
		r.Reset(p, out, DefaultLimits())
		if _, err := r.MessageBegin(); err != nil {
			return err
		}
		return e.Read(&r)
	}
}

// headers reads a frame with headers and a compressed message, and writes it again.
func headers(tb testing.TB) func() error {
	tb.Helper()
	var d Deflater
	var f Inflater
	payload, err := d.AppendWhole(nil, typical(tb, Binary))
	if err != nil {
		tb.Fatal(err)
	}
	info := Info{Pairs: []Pair{{[]byte("traceparent"), []byte("00-1-2-01")}, {[]byte("k"), []byte("v")}}}
	h := Header{Seq: 1, Zlib: 1, Payload: payload}
	in, err := h.Append(nil, &info, DefaultLimits())
	if err != nil {
		tb.Fatal(err)
	}
	var out, body, packed []byte
	return func() error {
		var h Header
		if err := h.Parse(in[FrameHeadBytes:], DefaultLimits()); err != nil {
			return err
		}
		if _, ok := h.Get("k"); !ok {
			return fault(InvalidData, 0, "no header k")
		}
		message, err := h.Open(&f, body[:0], 1<<20)
		if err != nil {
			return err
		}
		body = message
		if packed, err = d.AppendWhole(packed[:0], message); err != nil {
			return err
		}
		h.Payload = packed
		out, err = h.Append(out[:0], &info, DefaultLimits())
		return err
	}
}

// TestWorkAllocatesNothing holds the promise of work.
func TestWorkAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, do := range work(t) {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var failed error
		if n := testing.AllocsPerRun(100, func() {
			if err := do(); err != nil {
				failed = err
			}
		}); n != 0 || failed != nil {
			t.Errorf("%s: %v allocations, %v", name, n, failed)
		}
	}
}

// TestAttacksAllocLittle: an input allocates at most 64 times its octets and 64 KiB
// (security §12), whatever sizes it names.
func TestAttacksAllocLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, row := range rows(t, "testdata/attacks.txt", 4) {
		p, in := protocolOf(t, row[1]), octets(t, row[3])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := copyAll(p, in)
		runtime.ReadMemStats(&after)
		took, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*len(in)+64<<10)
		if err == nil || took > limit {
			t.Errorf("%s: %d octets, limit %d, %v", row[0], took, limit, err)
		}
	}
}

func BenchmarkWork(b *testing.B) {
	for name, do := range work(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWalkOctets gives a Walker the message octet by octet.
func BenchmarkWalkOctets(b *testing.B) {
	in := bytes.Clone(typical(b, Binary))
	b.SetBytes(int64(len(in)))
	var w Walker
	for b.Loop() {
		w.Reset(Binary, DefaultLimits())
		for n := range in {
			if _, err := w.Walk(in[:n+1]); err != nil {
				b.Fatal(err)
			}
		}
	}
}
