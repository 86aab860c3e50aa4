// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzReader: no input panics, grows the buffer beyond its bound, or yields frames that do not
// encode to the octets they came from.
func FuzzReader(f *testing.F) {
	for _, r := range readRows(f, "testdata/frames.txt") {
		f.Add(r.input)
	}
	var content []byte
	content = AppendPublish(content, &BasicPublish{RoutingKey: []byte("k")}, &Content{
		Channel: 1, FrameMax: FrameMinBytes, Body: []byte("body"),
	})
	f.Add(content)
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		r.SetFrameMax(FrameMinBytes)
		var out []byte
		for {
			f, err := r.Next()
			if err != nil {
				checkEnd(t, err)
				break
			}
			out = AppendFrame(out, f.Type, f.Channel, f.Payload)
			decodeAny(t, f)
		}
		if !bytes.HasPrefix(in, out) {
			t.Error("frames do not encode to what they were read from")
		}
		if len(r.buf) > max(ReadStartBytes, FrameMinBytes+FrameOverheadBytes) {
			t.Errorf("buffer of %d octets", len(r.buf))
		}
	})
}

func checkEnd(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("untyped error %v", err)
	}
}

// decodeAny decodes what the frame holds; a method that decodes must survive another round.
func decodeAny(t *testing.T, f Frame) {
	t.Helper()
	switch f.Type {
	case FrameMethod:
		id, args, err := f.SplitMethod()
		if err != nil {
			return
		}
		m, err := NewMethod(id)
		if err != nil || m.Decode(args) != nil {
			return
		}
		again, _ := NewMethod(id)
		once := m.Append(nil)
		if err := again.Decode(once); err != nil {
			t.Fatalf("%v does not decode again: %v", id, err)
		}
		if !bytes.Equal(again.Append(nil), once) {
			t.Errorf("%v changes from round to round", id)
		}
	case FrameHeader:
		var h ContentHeader
		if h.Decode(f.Payload) == nil {
			checkProperties(t, h.Properties)
		}
	}
}

// FuzzTable: decode, encode, decode gives the same; what passes Check is what decodes.
func FuzzTable(f *testing.F) {
	for _, r := range readRows(f, "testdata/tables.txt") {
		f.Add(r.input)
	}
	f.Add(nestedTable('F', MaxTableDepth))
	f.Add(nestedTable('A', MaxTableDepth+1))
	f.Fuzz(func(t *testing.T, in []byte) {
		table, err := RawTable(in).Decode()
		if err != nil {
			return
		}
		once := table.AppendFields(nil)
		if len(once) != len(in) {
			t.Fatalf("%d octets come out as %d", len(in), len(once))
		}
		again, err := RawTable(once).Decode()
		if err != nil {
			t.Fatalf("does not decode again: %v", err)
		}
		if !bytes.Equal(again.AppendFields(nil), once) {
			t.Error("changes from round to round")
		}
		n := 0
		for it := RawTable(in).Fields(); it.Next(); n++ {
			if string(it.Name) != table[n].Name {
				t.Errorf("field %d is %q in place, %q decoded", n, it.Name, table[n].Name)
			}
		}
		if n != len(table) {
			t.Errorf("%d fields in place, %d decoded", n, len(table))
		}
	})
}

// FuzzProperties: the view and the struct agree, and an edit leaves the rest alone.
func FuzzProperties(f *testing.F) {
	p := allProperties()
	f.Add(p.Append(nil))
	f.Add([]byte{0, 0})
	f.Add([]byte{0x20, 0, 0, 0, 0, 3, 1, 'a', 'V'})
	f.Fuzz(checkProperties)
}

func checkProperties(t *testing.T, in []byte) {
	t.Helper()
	var v PropertyView
	var p Properties
	err := v.Parse(in)
	if (p.Decode(in) == nil) != (err == nil) {
		t.Fatal("view and struct disagree")
	}
	if err != nil {
		return
	}
	if got := v.AppendEdited(nil, &PropertyEdit{}); !bytes.Equal(got, in) {
		t.Fatalf("no edit changes % x to % x", in, got)
	}
	edited := v.AppendReplyTo(nil, []byte("token"))
	var w PropertyView
	if err := w.Parse(edited); err != nil || string(w.ReplyTo()) != "token" {
		t.Fatalf("after an edit: %q, %v", w.ReplyTo(), err)
	}
	if !bytes.Equal(w.Headers(), v.Headers()) || !bytes.Equal(w.ClusterID(), v.ClusterID()) {
		t.Fatal("the edit changed something else")
	}
	once := p.Append(nil)
	var again Properties
	if err := again.Decode(once); err != nil || !bytes.Equal(again.Append(nil), once) {
		t.Fatalf("changes from round to round: %v", err)
	}
}
