// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

// bodiesOf returns the bodies of a peer: JSON, and the binary that it makes of it.
func bodiesOf(tb testing.TB, p peer, s size) (text, wire []byte) {
	tb.Helper()
	text, err := s.body()
	if err != nil {
		tb.Fatal(err)
	}
	wire, err = p.toThrift(text)
	if err != nil {
		tb.Fatal(p.name, err)
	}
	return text, bytes.Clone(wire)
}

// same reports whether two bodies hold the same order, bare or in an object of arguments.
func same(a, b []byte) bool {
	order := func(text []byte) any {
		var v any
		if json.Unmarshal(text, &v) != nil {
			return nil
		}
		if object, ok := v.(map[string]any); ok && object["order"] != nil {
			return object["order"]
		}
		return v
	}
	v := order(a)
	return v != nil && reflect.DeepEqual(v, order(b))
}

// TestPeersAgree: what is measured is the same work.
func TestPeersAgree(t *testing.T) {
	all, err := peers()
	if err != nil {
		t.Fatal(err)
	}
	ours := all[0]
	for _, s := range sizes() {
		for _, p := range all {
			text, wire := bodiesOf(t, p, s)
			out, err := p.toJSON(wire)
			if err != nil || !same(out, text) {
				t.Errorf("%s, %s: %v, reads %d octets", p.name, s.name, err, len(out))
			}
			back, err := backwards(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range [][]byte{text, back} {
				made, err := p.toThrift(in)
				if err != nil {
					t.Fatal(p.name, err)
				}
				wire := bytes.Clone(made)
				if p.bare {
					wire = slices.Concat([]byte{12, 0, 1}, wire, []byte{0})
				}
				if out, err := ours.toJSON(wire); err != nil || !same(out, text) {
					t.Errorf("%s, %s: %v, wrote %d octets", p.name, s.name, err, len(wire))
				}
			}
		}
	}
}

func BenchmarkTranscode(b *testing.B) {
	all, err := peers()
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range sizes() {
		for _, p := range all {
			text, wire := bodiesOf(b, p, s)
			run := func(name string, do func([]byte) ([]byte, error), in []byte) {
				b.Run(name+"/"+s.name+"/"+p.name, func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(len(text)))
					for b.Loop() {
						if _, err := do(in); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			run("ToThrift", p.toThrift, text)
			back, err := backwards(text)
			if err != nil {
				b.Fatal(err)
			}
			run("ToThriftBackwards", p.toThrift, back)
			run("ToJSON", p.toJSON, wire)
		}
	}
}
