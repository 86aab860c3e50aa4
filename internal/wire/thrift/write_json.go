// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// jsonBefore writes what separates a value from the one before, and reports whether it is a key.
func (w *Writer) jsonBefore() (key bool) {
	separator, key := w.nest.before()
	if separator != 0 {
		w.put(separator)
	}
	return key
}

func (w *Writer) jsonOpen(c byte) {
	w.jsonBefore()
	w.put(c)
	flags := uint8(0)
	if c == '{' {
		flags = inObject
	}
	if !w.nest.push(flags) {
		w.fail(DepthLimit, "nested too deep")
	}
}

func (w *Writer) jsonClose(c byte) {
	if w.nest.depth == 0 {
		w.fail(InvalidData, "nothing is open")
		return
	}
	w.put(c)
	w.nest.depth--
}

// jsonFieldEnd closes the object around the field before, if there is one.
func (w *Writer) jsonFieldEnd() {
	if w.nest.depth > 0 && *w.nest.top()&inField != 0 {
		w.jsonClose('}')
	}
}

func (w *Writer) jsonTag(t Type) {
	w.jsonBefore()
	tag := t.tag()
	if tag == "" {
		// An empty map of the compact protocol has lost its types; readers want some name there.
		tag = I8.tag()
	}
	w.put('"')
	w.out = append(w.out, tag...)
	w.put('"')
}

func (w *Writer) jsonInt(v int64) {
	key := w.jsonBefore()
	if key {
		w.put('"')
	}
	w.out = strconv.AppendInt(w.out, v, 10)
	if key {
		w.put('"')
	}
}

func (w *Writer) jsonDouble(v float64) {
	quoted := w.jsonBefore()
	special := ""
	switch {
	case math.IsNaN(v):
		special = `"NaN"`
	case math.IsInf(v, 1):
		special = `"Infinity"`
	case math.IsInf(v, -1):
		special = `"-Infinity"`
	}
	if special != "" {
		w.out = append(w.out, special...)
		return
	}
	if quoted {
		w.put('"')
	}
	w.out = strconv.AppendFloat(w.out, v, 'g', -1, 64)
	if quoted {
		w.put('"')
	}
}

// jsonText writes a string with the escapes that JSON demands and no others.
func (w *Writer) jsonText(v []byte) {
	w.jsonBefore()
	if !utf8.Valid(v) {
		w.fail(InvalidData, "text is not UTF-8")
	}
	w.put('"')
	from := 0
	for i, c := range v {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		w.out = append(w.out, v[from:i]...)
		from = i + 1
		w.out = AppendEscape(w.out, c)
	}
	w.out = append(w.out, v[from:]...)
	w.put('"')
}

func (w *Writer) jsonBinary(v []byte) {
	w.jsonBefore()
	w.put('"')
	w.out = base64.StdEncoding.AppendEncode(w.out, v)
	w.put('"')
}

func (w *Writer) jsonUUID(id [16]byte) {
	w.jsonBefore()
	w.put('"')
	w.out = AppendUUID(w.out, &id)
	w.put('"')
}
