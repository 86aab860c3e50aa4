// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// value is what an expression has: nothing known, a truth, a number or a text.
type value struct {
	is   valueKind
	n    int64 // of an exact number, and 1 for true
	f    float64
	text string
}

type valueKind uint8

const (
	isUnknown valueKind = iota // NULL, too
	isBool
	isInt
	isFloat
	isText
)

func boolValue(b bool) value {
	if b {
		return value{is: isBool, n: 1}
	}
	return value{is: isBool}
}

func intValue(n int64) value     { return value{is: isInt, n: n} }
func floatValue(f float64) value { return value{is: isFloat, f: f} }
func textValue(s string) value   { return value{is: isText, text: s} }

// valueOf takes a header's value. What a selector has no word for is unknown.
func valueOf(v any) value {
	switch v := v.(type) {
	case string:
		return textValue(v)
	case []byte:
		return textValue(string(v))
	case bool:
		return boolValue(v)
	case int64:
		return intValue(v)
	case int32:
		return intValue(int64(v))
	case int16:
		return intValue(int64(v))
	case int8:
		return intValue(int64(v))
	case int:
		return intValue(int64(v))
	case uint8:
		return intValue(int64(v))
	case uint16:
		return intValue(int64(v))
	case uint32:
		return intValue(int64(v))
	case uint64:
		if v > math.MaxInt64 {
			return floatValue(float64(v))
		}
		return intValue(int64(v))
	case float64:
		return floatValue(v)
	case float32:
		return floatValue(float64(v))
	}
	return value{}
}

func (v value) isTrue() bool  { return v.is == isBool && v.n == 1 }
func (v value) isFalse() bool { return v.is == isBool && v.n == 0 }

func (v value) isNumber() bool { return v.is == isInt || v.is == isFloat }

func (v value) float() float64 {
	if v.is == isInt {
		return float64(v.n)
	}
	return v.f
}

// asNumber reads a text as a number, when it is one.
func (v value) asNumber() value {
	if v.is != isText {
		return v
	}
	text := strings.TrimSpace(v.text)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return intValue(n)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return floatValue(f)
	}
	return v
}

// order compares two values of one kind; ok is false for those that have no order, and when it is
// not known.
func order(a, b value) (sign int, ok bool) {
	switch {
	case a.is == isInt && b.is == isInt:
		return cmp.Compare(a.n, b.n), true
	case a.isNumber() && b.isNumber():
		x, y := a.float(), b.float()
		return cmp.Compare(x, y), !math.IsNaN(x) && !math.IsNaN(y)
	case a.is == isText && b.is == isText:
		return cmp.Compare(a.text, b.text), true
	case a.is == isBool && b.is == isBool:
		return cmp.Compare(a.n, b.n), true
	}
	return 0, false
}
