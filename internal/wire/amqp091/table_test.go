// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"testing"
)

func TestTableRows(t *testing.T) {
	t.Parallel()
	for _, tc := range readRows(t, "testdata/tables.txt") {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			table, err := RawTable(tc.input).Decode()
			if tc.want != "ok" {
				var e *Error
				if !errors.As(err, &e) || e.Code != SyntaxError || e.Text != tc.want {
					t.Fatalf("got %v, want 502 %s", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.ReplaceAll(tc.input, []byte{'a', 'L'}, []byte{'a', 'l'})
			if got := table.AppendFields(nil); !bytes.Equal(got, want) {
				t.Errorf("comes out as % x\nwent in as   % x", got, tc.input)
			}
		})
	}
}

// TestSecA5FieldTypes: every type comes back with its own Go type and value.
func TestSecA5FieldTypes(t *testing.T) {
	t.Parallel()
	want := Table{
		{"S", "text"},
		{"x", []byte{0, 1}},
		{"t", true},
		{"b", int8(-128)},
		{"B", uint8(255)},
		{"s", int16(-32768)},
		{"u", uint16(65535)},
		{"I", int32(math.MinInt32)},
		{"i", uint32(math.MaxUint32)},
		{"l", int64(math.MinInt64)},
		{"f", float32(1.5)},
		{"d", math.Inf(-1)},
		{"D", Decimal{Scale: 255, Value: math.MaxUint32}},
		{"T", Timestamp(math.MaxUint64)},
		{"V", nil},
		{"A", Array{int8(1), Table{{"n", Array{}}}, "s"}},
		{"F", Table{{"in", Table{{"deep", Timestamp(1)}}}}},
	}
	raw := want.Append(nil)
	if n := binary.BigEndian.Uint32(raw); int(n) != len(raw)-4 {
		t.Fatalf("length %d before %d octets", n, len(raw)-4)
	}
	got, err := RawTable(raw[4:]).Decode()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	i := 0
	for it := RawTable(raw[4:]).Fields(); it.Next(); i++ {
		if string(it.Name) != want[i].Name || string(it.Kind) != want[i].Name {
			t.Errorf("field %d is %q of type %c", i, it.Name, it.Kind)
		}
		v, err := it.Decode()
		if err != nil || !reflect.DeepEqual(v, want[i].Value) {
			t.Errorf("field %s: got %#v, %v", it.Name, v, err)
		}
	}
	if i != len(want) {
		t.Errorf("%d fields seen of %d", i, len(want))
	}
}

// TestSecA4Depth: 32 levels pass, 33 and 10,000 do not, of tables and of arrays.
func TestSecA4Depth(t *testing.T) {
	t.Parallel()
	for _, kind := range []byte{'F', 'A'} {
		for _, tc := range []struct {
			levels int
			ok     bool
		}{
			{MaxTableDepth - 1, true},
			{MaxTableDepth, true},
			{MaxTableDepth + 1, false},
			{10000, false},
		} {
			raw := nestedTable(kind, tc.levels)
			_, err := RawTable(raw).Decode()
			if (err == nil) != tc.ok {
				t.Errorf("%c, %d levels: %v", kind, tc.levels, err)
			}
		}
	}
}

// nestedTable has that many levels of tables, or of arrays in a table, itself counted.
func nestedTable(kind byte, levels int) []byte {
	var raw []byte
	for i := range levels - 1 {
		size := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
		head := append([]byte{kind}, size...)
		if kind == 'F' || i == levels-2 {
			head = append([]byte{0}, head...)
		}
		raw = append(head, raw...)
	}
	return raw
}

// TestSecA4Elements: the limit counts elements of nested values too.
func TestSecA4Elements(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		elements int // in the array, which is one itself
		ok       bool
	}{{MaxTableElements - 2, true}, {MaxTableElements - 1, true}, {MaxTableElements, false}} {
		raw := append([]byte{0}, Array(make([]any, tc.elements)).append([]byte{'A'})...)
		if err := RawTable(raw).Check(); (err == nil) != tc.ok {
			t.Errorf("%d elements: %v", tc.elements, err)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	raw := RawTable(Table{
		{"in", Table{{"CC", "hidden"}}}, {"CC", "a"}, {"CC", "b"}, {"parley-timeout", int32(5)},
	}.AppendFields(nil))
	if kind, value := raw.Lookup("CC"); kind != 'S' || string(value) != "a" {
		t.Errorf("got %c %q", kind, value)
	}
	if kind, _ := raw.Lookup("BCC"); kind != 0 {
		t.Errorf("got %c for an absent name", kind)
	}
	decoded, err := raw.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := decoded.Get("CC"); !ok || v != "a" {
		t.Errorf("got %v, %t", v, ok)
	}
	if _, ok := decoded.Get("BCC"); ok {
		t.Error("an absent name is there")
	}
}

func TestArrayFieldChecked(t *testing.T) {
	t.Parallel()
	raw := RawTable{0, 'A', 0, 0, 0, 2, 'I', 0}
	it := raw.Fields()
	if !it.Next() {
		t.Fatal("the outer field is sound")
	}
	if _, err := it.Decode(); err == nil {
		t.Error("an array cut in its element decodes")
	}
}

func TestArrayElements(t *testing.T) {
	t.Parallel()
	raw := RawTable(Table{{"CC", Array{"a", int32(1), Table{}, "b"}}}.AppendFields(nil))
	_, value := raw.Lookup("CC")
	var got string
	for it := ArrayElements(value); it.Next(); {
		got += string(it.Kind) + string(it.Name)
		if it.Kind == 'S' {
			got += string(it.Value)
		}
	}
	if got != "SaIFSb" {
		t.Errorf("got %q", got)
	}
}
