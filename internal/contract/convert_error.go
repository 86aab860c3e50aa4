// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// ConvertError says what is wrong with a body, which is the fault of who sent it.
type ConvertError struct {
	// Path leads to the value, as a JSON pointer (RFC 6901), with names of fields and positions in
	// containers; empty for the body itself. Of Thrift it is the same in terms of the IDL.
	Path string
	Text string
	// Cause is a *thrift.Error where the bytes of Thrift are wrong, or ErrMissingResult.
	Cause error
}

// Error is the path and the text.
func (e *ConvertError) Error() string {
	if e.Path == "" {
		return e.Text
	}
	return e.Path + ": " + e.Text
}

// Unwrap returns the cause.
func (e *ConvertError) Unwrap() error { return e.Cause }

// under puts a name in front of the path, or as much of it as an error repeats.
func (e *ConvertError) under(name string) *ConvertError {
	if len(name) > shownBytes {
		name = strings.ToValidUTF8(name[:shownBytes], "") + "…"
	}
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	e.Path = "/" + name + e.Path
	return e
}

// at puts a position in front of the path.
func (e *ConvertError) at(i int) *ConvertError {
	e.Path = "/" + strconv.Itoa(i) + e.Path
	return e
}

// shownBytes is how much of a body an error repeats.
const shownBytes = 64

// shown returns text of a body for an error.
func shown(text []byte) string {
	if len(text) > shownBytes {
		return strconv.Quote(string(text[:shownBytes])) + " and more"
	}
	return strconv.Quote(string(text))
}

// fail returns an error with that text. It is made where nothing more is converted, so it may allocate.
func (t *Transcoder) fail(format string, args ...any) *ConvertError {
	return &ConvertError{Text: fmt.Sprintf(format, args...)}
}

// unexpected says what stands in the JSON where something else is due.
func (t *Transcoder) unexpected(want string) *ConvertError {
	found := "the end"
	switch c := t.peek(); {
	case t.at >= len(t.in):
	case c == '{':
		found = "an object"
	case c == '[':
		found = "an array"
	case c == '"':
		found = "a string"
	case c == '-' || '0' <= c && c <= '9':
		found = "a number"
	case bytes.HasPrefix(t.in[t.at:], []byte("true")), bytes.HasPrefix(t.in[t.at:], []byte("false")):
		found = "a bool"
	case bytes.HasPrefix(t.in[t.at:], []byte("null")):
		found = "null"
	default:
		found = shown(t.in[t.at : t.at+1])
	}
	return t.fail("expected %s, found %s at byte %d", want, found, t.at)
}
