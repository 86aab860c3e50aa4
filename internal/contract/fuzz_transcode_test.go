// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// rich is a method whose arguments have every type.
func rich(tb testing.TB) *Method {
	tb.Helper()
	return method(tb, definitions+`service S { Given m(1: bool b, 2: i8 i8, 3: i16 i16, 4: i32 i32, 5: i64 i64,
  6: double d, 7: string s, 8: binary raw, 9: uuid u, 10: Color c, 11: Inner in, 12: Either e, 13: Conv conv,
  14: Odd odd, 15: list<list<string>> ll, 16: set<i32> st, 17: map<string, Inner> ms, 18: map<i64, bool> mi,
  19: map<double, i8> md, 20: map<uuid, i8> mu, 21: map<Color, i8> mc, 22: map<binary, i8> mb,
  23: map<Inner, list<Either>> min, 24: Empty none, 25: list<bool> lb, -5: map<bool, binary> neg, 26: Given g) }`)
}

const richBody = `{"b":true,"i8":-1,"i16":300,"i32":70000,"i64":"9007199254740993","d":1.5e3,"s":"\u00e4\"😀",
"raw":"AQI","u":"00112233-4455-6677-8899-AABBCCDDEEFF","c":"GREEN","in":{"a":1,"b":"x","next":{"a":2}},
"e":{"s":"x"},"conv":{"a":1,"b":"2","c":[3],"g":{"1":2}},"odd":{"top":1,"low":2},"ll":[[],["a","b"]],"st":[1,1,2],
"ms":{"k":{"a":1}},"mi":{"5":true},"md":{"NaN":1,"-0":2},"mu":{"00112233-4455-6677-8899-aabbccddeeff":3},
"mc":{"RED":1,"9":2},"mb":[["AQI=",1]],"min":[[{"a":1},[{"i":5}]]],"none":{},"lb":[true,false],"neg":{"true":"AA=="},
"g":{"r":1}}`

// FuzzTranscode takes any octets as JSON, and as Thrift of every protocol. Nothing panics or grows
// beyond what the input justifies; what is refused says why; what is taken as JSON is JSON, and comes
// back the same from there on.
func FuzzTranscode(f *testing.F) {
	m := rich(f)
	var tr Transcoder
	f.Add([]byte(richBody))
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON(nil, m, p, []byte(richBody))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	for _, rows := range mapping() {
		for _, r := range rows {
			f.Add([]byte(`{"s":` + r.in + `}`))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, lenient := range []bool{false, true} {
			fuzzJSON(t, m, lenient, in)
		}
		for _, p := range protocols() {
			fuzzThrift(t, m, p, in)
		}
	})
}

// grown fails when an output is out of proportion: a double of two octets takes eight, an object of
// two, with the defaults of Given, some two hundred.
func grown(t *testing.T, in, out []byte) {
	t.Helper()
	if len(out) > 300*len(in)+1024 {
		t.Fatalf("%d octets became %d", len(in), len(out))
	}
}

// refused fails unless an error is one of a body.
func refused(t *testing.T, err error) {
	t.Helper()
	var fault *ConvertError
	if !errors.As(err, &fault) || fault.Error() == "" {
		t.Fatalf("untyped error %v", err)
	}
}

func fuzzJSON(t *testing.T, m *Method, lenient bool, in []byte) {
	t.Helper()
	tr := Transcoder{Lenient: lenient}
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON(nil, m, p, in)
		if err != nil {
			refused(t, err)
			continue
		}
		grown(t, in, wire)
		if !json.Valid(in) && len(bytes.TrimSpace(in)) > 0 {
			t.Fatalf("%q is taken as JSON", in)
		}
		out, err := tr.ArgumentsToJSON(nil, m, p, wire)
		if err != nil {
			t.Fatalf("%v: %v, of %q", p, err, in)
		}
		again, err := tr.ArgumentsFromJSON(nil, m, p, out)
		if err != nil || !bytes.Equal(wire, again) {
			t.Fatalf("%v: %v, %q is not %q", p, err, again, wire)
		}
	}
	if result, err := tr.ResultFromJSON(nil, m, thrift.Compact, in); err == nil {
		if _, thrown, err := tr.ResultToJSON(nil, m, thrift.Compact, result); err != nil || thrown != nil {
			t.Fatalf("the result %q: %v", result, err)
		}
	}
}

func fuzzThrift(t *testing.T, m *Method, p thrift.Protocol, in []byte) {
	t.Helper()
	var tr Transcoder
	out, err := tr.ArgumentsToJSON(nil, m, p, in)
	if err == nil {
		grown(t, in, out)
		if !json.Valid(out) {
			t.Fatalf("%v: %q is no JSON", p, out)
		}
		wire, err := tr.ArgumentsFromJSON(nil, m, p, out)
		if err != nil {
			t.Fatalf("%v: %v of %s", p, err, out)
		}
		// Only the defaults have come, and the elements of sets that were there twice have gone.
		if _, err := tr.ArgumentsToJSON(nil, m, p, wire); err != nil {
			t.Fatalf("%v: %v of %q", p, err, wire)
		}
	} else {
		refused(t, err)
	}
	for _, to := range protocols() {
		wire, failed := tr.ConvertArguments(nil, m, Conversion{p, to}, in)
		switch {
		case failed != nil:
			refused(t, failed)
		case err == nil:
			if same, err := tr.ArgumentsToJSON(nil, m, to, wire); err != nil || !bytes.Equal(same, out) {
				t.Fatalf("%v to %v: %v, %s is not %s", p, to, err, same, out)
			}
		}
		if failed != nil && err == nil {
			t.Fatalf("%v to %v: %v, but it is %s", p, to, failed, out)
		}
	}
	if _, _, err := tr.ResultToJSON(nil, m, p, in); err != nil {
		refused(t, err)
	}
}

// TestTranscodeAllocatesNothing once the buffers have grown, whatever is converted.
func TestTranscodeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := rich(t)
	var tr Transcoder
	var buf []byte
	body := []byte(richBody)
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON(nil, m, p, []byte(richBody))
		if err != nil {
			t.Fatal(err)
		}
		result, err := tr.ResultFromJSON(nil, m, p, []byte(`{"r":1}`))
		if err != nil {
			t.Fatal(err)
		}
		for name, do := range map[string]func() error{
			"arguments from JSON": func() (err error) {
				buf, err = tr.ArgumentsFromJSON(buf[:0], m, p, body)
				return err
			},
			"arguments to JSON": func() (err error) {
				buf, err = tr.ArgumentsToJSON(buf[:0], m, p, wire)
				return err
			},
			"result to JSON": func() (err error) {
				buf, _, err = tr.ResultToJSON(buf[:0], m, p, result)
				return err
			},
			"to binary": func() (err error) {
				buf, err = tr.ConvertArguments(buf[:0], m, Conversion{p, thrift.Binary}, wire)
				return err
			},
			"to compact": func() (err error) {
				buf, err = tr.ConvertArguments(buf[:0], m, Conversion{p, thrift.Compact}, wire)
				return err
			},
			"to TJSON": func() (err error) {
				buf, err = tr.ConvertArguments(buf[:0], m, Conversion{p, thrift.JSON}, wire)
				return err
			},
		} {
			var failed error
			if n := testing.AllocsPerRun(100, func() {
				if err := do(); err != nil {
					failed = err
				}
			}); n != 0 || failed != nil {
				t.Errorf("%v: %s: %v allocations, %v", p, name, n, failed)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = m.arguments.names.find([]byte("other")) }); n != 0 {
		t.Errorf("a name is found with %v allocations", n)
	}
}
