// SPDX-License-Identifier: Apache-2.0

package stomp

import "strconv"

// text is what header names and values come as.
type text interface{ ~string | ~[]byte }

// Classes of octets that stand in the way of writing a header as it is.
const (
	needsEscape11 = 1 << iota // LF, colon, backslash: 1.1 and 1.2 have an escape
	needsEscape12             // CR: 1.2 has an escape
	breaksName10              // LF, CR, colon: 1.0 cannot have it in a name
	breaksValue10             // LF, CR: 1.0 cannot have it in a value
	breaksAll                 // NUL: no version can
)

// classOf returns the class of an octet.
func classOf(c byte) uint8 {
	switch c {
	case '\n':
		return needsEscape11 | breaksName10 | breaksValue10
	case ':':
		return needsEscape11 | breaksName10
	case '\\':
		return needsEscape11
	case '\r':
		return needsEscape12 | breaksName10 | breaksValue10
	case 0:
		return breaksAll
	}
	return 0
}

// classes returns the classes of all octets of t together. The loop keeps to two comparisons for
// the octets that names and values are made of.
func classes[T text](t T) uint8 {
	all := uint8(0)
	for i := range len(t) {
		if c := t[i]; c <= ':' || c == '\\' {
			all |= classOf(c)
		}
	}
	return all
}

// AppendCommand begins a frame.
func AppendCommand(b []byte, c Command) []byte {
	b = append(b, c.String()...)
	return append(b, '\n')
}

// AppendHeader appends one header line as version v writes it, or nothing if v cannot express it:
// a NUL in any version, a line break in 1.0, a CR in 1.1 (which has no escape for it, and whose
// readers may take it for an EOL), an empty name. The frames CONNECT and CONNECTED are written with
// V10: they are never escaped.
func AppendHeader[N, V text](b []byte, v Version, name N, value V) []byte {
	inName, inValue := classes(name), classes(value)
	if inName|inValue == 0 && len(name) > 0 {
		b = append(b, name...)
		b = append(b, ':')
		b = append(b, value...)
		return append(b, '\n')
	}
	if !expressible(v, inName, inValue) || len(name) == 0 {
		return b
	}
	b = AppendEscaped(b, v, name)
	b = append(b, ':')
	b = AppendEscaped(b, v, value)
	return append(b, '\n')
}

// Expressible says whether AppendHeader would write the header.
func Expressible[N, V text](v Version, name N, value V) bool {
	return len(name) > 0 && expressible(v, classes(name), classes(value))
}

// expressible decides by the classes of a name and a value.
func expressible(v Version, inName, inValue uint8) bool {
	all := inName | inValue
	switch {
	case all&breaksAll != 0:
		return false
	case v <= V10:
		return inName&breaksName10 == 0 && inValue&breaksValue10 == 0
	case v == V11:
		return all&needsEscape12 == 0
	}
	return true
}

// AppendEscaped appends a part of a name or value with the escapes of v, which must be able to
// express it.
func AppendEscaped[T text](b []byte, v Version, t T) []byte {
	if v <= V10 {
		return append(b, t...)
	}
	for i := range len(t) {
		switch c := t[i]; c {
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case ':':
			b = append(b, '\\', 'c')
		case '\\':
			b = append(b, '\\', '\\')
		default:
			b = append(b, c)
		}
	}
	return b
}

// AppendNumber appends a header line with a number as its value. The name must need no escape.
func AppendNumber(b []byte, name string, value int64) []byte {
	b = append(b, name...)
	b = append(b, ':')
	b = strconv.AppendInt(b, value, 10)
	return append(b, '\n')
}

// AppendBody ends the headers and appends the body and its NUL. It does not write content-length,
// which a body with a NUL in it needs.
func AppendBody(b, body []byte) []byte {
	b = append(b, '\n')
	b = append(b, body...)
	return append(b, 0)
}

// AppendFrame appends a whole frame as version v writes it. The content-length is that of the body,
// whatever the headers say; an empty body has none.
func AppendFrame(b []byte, v Version, f *Frame) []byte {
	if !escapable(f.Command) {
		v = V10
	}
	b = append(b, f.Word...)
	if len(f.Word) == 0 {
		b = append(b, f.Command.String()...)
	}
	b = append(b, '\n')
	for _, h := range f.Headers {
		if string(h.Name) != "content-length" {
			b = AppendHeader(b, v, h.Name, h.Value)
		}
	}
	if len(f.Body) > 0 {
		b = AppendNumber(b, "content-length", int64(len(f.Body)))
	}
	return AppendBody(b, f.Body)
}
