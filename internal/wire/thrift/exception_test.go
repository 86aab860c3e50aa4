// SPDX-License-Identifier: Apache-2.0

package thrift

import "testing"

// TestException: name and sequence id come back, and what others add is skipped (§3.1).
func TestException(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{Binary, Compact, JSON} {
		e := ApplicationException{Type: UnknownMethod, Message: []byte("Unknown function x")}
		var w Writer
		w.Reset(p, nil)
		e.Append(&w, goldenHead())
		if w.Err() != nil {
			t.Fatal(w.Err())
		}
		var r Reader
		r.Reset(p, w.Bytes(), DefaultLimits())
		h, err := r.MessageBegin()
		if err != nil || h.Type != Exception || h.Seq != 7 || string(h.Name) != "svc:m" {
			t.Fatalf("%v: %v, %v", p, h, err)
		}
		var got ApplicationException
		if err := got.Read(&r); err != nil || got.Type != e.Type || string(got.Message) != string(e.Message) {
			t.Errorf("%v: %v, %v", p, got, err)
		}
		if len(r.Rest()) != 0 {
			t.Errorf("%v: %d octets left", p, len(r.Rest()))
		}
		odd := fields(value{t: I32, n: 1}, text("x"), list(I8, value{t: I8}), value{t: I32, n: 9})
		in, err := encode(p, Head{Type: Exception}, odd)
		if err != nil {
			t.Fatal(err)
		}
		r.Reset(p, in, DefaultLimits())
		if _, err := r.MessageBegin(); err != nil {
			t.Fatal(err)
		}
		if err := got.Read(&r); err != nil || got.Type != Unknown || got.Message != nil {
			t.Errorf("%v, other types: %v, %v", p, got, err)
		}
	}
}

// TestAnswers: a fault of the bytes is answered by 7, but for transforms and protocol ids.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]ExceptionType{
		SizeLimit: ProtocolError, DepthLimit: ProtocolError, InvalidData: ProtocolError,
		UnknownTransform: InvalidTransform, UnknownProtocol: InvalidProtocol,
	} {
		if got := (&Error{Kind: kind}).Answer(); got != want {
			t.Errorf("%v: %d, want %d", kind, got, want)
		}
	}
}

// TestSplitName: at the first colon (§3.4).
func TestSplitName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"m": {"", "m"}, "s:m": {"s", "m"}, "s:m:n": {"s", "m:n"}, ":m": {"", "m"}, "": {"", ""},
	} {
		if s, m := SplitName([]byte(name)); string(s) != want[0] || string(m) != want[1] {
			t.Errorf("%q: %q %q", name, s, m)
		}
	}
}
