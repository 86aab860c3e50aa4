// SPDX-License-Identifier: Apache-2.0

package line

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// headersMax bounds the headers of a message, headerValuesMax all values in them.
	headersMax      = 100
	headerValuesMax = 65_536
	// headerDepthMax bounds how deep header values nest: what every door can write (security.md).
	headerDepthMax = 32
	// timestampMax is far beyond what RFC 3339 can write.
	timestampMax = math.MaxInt32 * 100
)

// tableReader reads the headers of a message, which the scanner has seen to be an object.
type tableReader struct {
	s      scanner
	buf    []byte
	values int
}

// readTable reads an object as a table.
func readTable(text []byte) (broker.Table, *fault) {
	var r tableReader
	return r.read(text)
}

func (r *tableReader) read(text []byte) (broker.Table, *fault) {
	r.s.reset(text, 0)
	r.values = 0
	t, err := r.table(1)
	if err == nil && len(t) > headersMax {
		err = badRequest("more than %d headers", headersMax)
	}
	return t, err
}

// table reads an object; its names are unique.
func (r *tableReader) table(depth int) (broker.Table, *fault) {
	if depth > headerDepthMax {
		return nil, badRequest("headers nest deeper than %d levels", headerDepthMax)
	}
	s := &r.s
	if !s.take('{') {
		return nil, badRequest("headers are no object")
	}
	out := broker.Table{}
	for s.space(); !s.take('}'); s.space() {
		if len(out) > 0 {
			s.take(',')
			s.space()
		}
		name, err := r.text()
		if err != nil {
			return nil, err
		}
		if len(name) > nameBytesMax {
			return nil, badRequest("header '%s…' is longer than %d bytes", shown([]byte(name)),
				nameBytesMax)
		}
		if _, twice := out.Get(name); twice {
			return nil, badRequest("header '%s' stands twice", shown([]byte(name)))
		}
		s.space()
		if !s.take(':') {
			return nil, badRequest("headers are no object")
		}
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if out = append(out, broker.Field{Name: name, Value: v}); depth == 1 && len(out) > headersMax {
			return out, nil // which is too many
		}
	}
	return out, nil
}

func (r *tableReader) array(depth int) (broker.Array, *fault) {
	if depth > headerDepthMax {
		return nil, badRequest("headers nest deeper than %d levels", headerDepthMax)
	}
	s := &r.s
	s.take('[')
	out := broker.Array{}
	for s.space(); !s.take(']'); s.space() {
		if len(out) > 0 && !s.take(',') {
			return nil, badRequest("headers hold what is no array")
		}
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// text reads a string.
func (r *tableReader) text() (string, *fault) {
	if r.s.next() == '"' {
		if inner, escaped, ok := r.s.str(); ok && !escaped {
			return string(inner), nil
		} else if ok {
			if r.buf, ok = unquote(r.buf[:0], inner); ok {
				return string(r.buf), nil
			}
		}
	}
	return "", badRequest("headers hold what is no text")
}

// value reads a value of any type. Numbers are whole ones of 64 bits where they can be.
func (r *tableReader) value(depth int) (any, *fault) {
	if r.values++; r.values > headerValuesMax {
		return nil, badRequest("headers hold more than %d values", headerValuesMax)
	}
	s := &r.s
	s.space()
	switch s.next() {
	case '{':
		return r.table(depth + 1)
	case '[':
		return r.array(depth + 1)
	case '"':
		return r.text()
	}
	from := s.at
	k, ok := s.scalar(s.next())
	text := string(s.text[from:s.at])
	switch {
	case !ok:
	case k == kindNull:
		return nil, nil //nolint:nilnil // nil is a value of tables
	case k == kindBool:
		return text == "true", nil
	default:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f, nil
		}
		return nil, badRequest("number %s in headers is out of range", shown([]byte(text)))
	}
	return nil, badRequest("headers hold what is no value")
}

// appendTable appends a table as an object; of a repeated name the first counts.
func appendTable(b []byte, t broker.Table, depth int) []byte {
	b = append(b, '{')
	n := 0
	for i := range t {
		if repeats(t, i) {
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		n++
		b = append(appendString(b, t[i].Name), ':')
		b = appendField(b, t[i].Value, depth)
	}
	return append(b, '}')
}

func repeats(t broker.Table, i int) bool {
	for k := range i {
		if t[k].Name == t[i].Name {
			return true
		}
	}
	return false
}

// appendField appends a header's value: octets that are no text as base64, times as RFC 3339, what
// JSON cannot say, or what nests too deep, as null.
func appendField(b []byte, v any, depth int) []byte {
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case []byte:
		if utf8.Valid(v) {
			return appendText(b, v)
		}
		b = base64.StdEncoding.AppendEncode(append(b, '"'), v)
		return append(b, '"')
	case float32:
		return appendFloat(b, float64(v))
	case float64:
		return appendFloat(b, v)
	case broker.Decimal:
		return appendFloat(b, float64(v.Value)/math.Pow10(int(v.Scale)))
	case broker.Timestamp:
		if v > timestampMax {
			return strconv.AppendUint(b, uint64(v), 10)
		}
		return appendString(b, time.Unix(int64(v), 0).UTC().Format(time.RFC3339))
	case broker.Table:
		if depth < headerDepthMax {
			return appendTable(b, v, depth+1)
		}
	case broker.Array:
		if depth < headerDepthMax {
			return appendArray(b, v, depth+1)
		}
	default:
		if n, ok := (broker.Table{{Value: v}}).Integer(""); ok {
			return strconv.AppendInt(b, n, 10)
		}
	}
	return append(b, "null"...)
}

func appendArray(b []byte, a broker.Array, depth int) []byte {
	b = append(b, '[')
	for i, v := range a {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendField(b, v, depth)
	}
	return append(b, ']')
}
