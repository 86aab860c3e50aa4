// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"strings"
)

// headersMatcher compares the arguments of each binding with a message's headers.
type headersMatcher struct{ bindings bindingList }

func (m *headersMatcher) add(b *binding) error {
	if mode, ok := b.Arguments.Get("x-match"); ok {
		if err := checkMatchMode(b, mode); err != nil {
			return err
		}
	}
	m.bindings.add(b)
	return nil
}

func checkMatchMode(b *binding, mode any) error {
	switch mode {
	case "all", "any", "all-with-x", "any-with-x":
		return nil
	}
	text, isText := mode.(string)
	if !isText {
		return errorf(CodeBadRequest, "bind", b.source.Name,
			"Invalid x-match field type %s (value %v); expected longstr", fieldType(mode), mode)
	}
	return errorf(CodeBadRequest, "bind", b.source.Name,
		"Invalid x-match field value %s; expected all, any, all-with-x, or any-with-x", erlang(text))
}

func (m *headersMatcher) remove(b *binding) { m.bindings.remove(b) }

func (*headersMatcher) dynamic() bool { return true }

func (m *headersMatcher) match(r *routed, visit func(*binding)) {
	headers := r.properties().Headers
	for _, b := range m.bindings {
		if headersMatch(b.Arguments, headers) {
			visit(b)
		}
	}
}

// headersMatch skips arguments that start with x- unless the mode ends in -with-x; a void value
// asks for presence only. With no arguments all matches and any does not.
func headersMatch(args, headers Table) bool {
	mode, _ := args.Text("x-match")
	any := strings.HasPrefix(mode, "any")
	withX := strings.HasSuffix(mode, "-with-x")
	for _, f := range args {
		if f.Name == "x-match" || (!withX && strings.HasPrefix(f.Name, "x-")) {
			continue
		}
		v, ok := headers.Get(f.Name)
		hit := ok && (f.Value == nil || equalValues(f.Value, v) || equalNumbers(f.Value, v))
		if hit == any {
			return any
		}
	}
	return !any
}

// equalNumbers compares numbers of which one has a fraction: 2 and 2.0 are equal, as in RabbitMQ.
func equalNumbers(a, b any) bool {
	x, okX := floatOf(a)
	y, okY := floatOf(b)
	return okX && okY && x == y
}

func floatOf(v any) (float64, bool) {
	switch n := v.(type) {
	case float32:
		return float64(n), true
	case float64:
		return n, true
	}
	n, ok := integerOf(v)
	return float64(n), ok
}

// equalValues compares by value: whole numbers of any width are equal when they are the same
// number.
func equalValues(a, b any) bool {
	if x, ok := integerOf(a); ok {
		y, ok := integerOf(b)
		return ok && x == y
	}
	switch x := a.(type) {
	case Table:
		y, ok := b.(Table)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if x[i].Name != y[i].Name || !equalValues(x[i].Value, y[i].Value) {
				return false
			}
		}
		return true
	case Array:
		y, ok := b.(Array)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equalValues(x[i], y[i]) {
				return false
			}
		}
		return true
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	}
	switch b.(type) {
	case Table, Array, []byte:
		return false
	}
	return a == b
}

// fieldType returns RabbitMQ's word for a value's type, as its texts print it.
func fieldType(v any) string {
	switch v.(type) {
	case nil:
		return "void"
	case bool:
		return "bool"
	case int8:
		return "byte"
	case uint8:
		return "unsignedbyte"
	case int16:
		return "short"
	case uint16:
		return "unsignedshort"
	case int32:
		return "signedint"
	case uint32:
		return "unsignedint"
	case int64:
		return "long"
	case float32:
		return "float"
	case float64:
		return "double"
	case string:
		return "longstr"
	case []byte:
		return "binary"
	case Decimal:
		return "decimal"
	case Timestamp:
		return "timestamp"
	case Array:
		return "array"
	case Table:
		return "table"
	}
	return "unknown"
}
