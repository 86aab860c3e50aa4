// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"hash/maphash"
	"unsafe"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// ErrMissingResult is the cause where a method that returns something answered nothing.
var ErrMissingResult = errors.New("missing result")

// Bounds of a Transcoder.
const (
	// outputBytes is what a conversion may write: a message of Thrift can be no larger. A small body
	// whose structs have large defaults would make more.
	outputBytes = 104_857_600
	// keepBytes is how much of each of its buffers a Transcoder keeps from call to call.
	keepBytes = 64 << 10
)

// Transcoder turns bodies: JSON into Thrift, Thrift into JSON, and one protocol of Thrift into
// another, in one pass and without values in between. A Thrift body is the bare struct of arguments
// or of the result, without the head of a message; the whole of the slice is the body.
//
// Every function appends to dst and returns it; after an error dst is as it was. What is wrong with a
// body is a *ConvertError. Nothing is allocated where dst has room, once the buffers have grown. The
// zero value is ready; it is the scratch of one goroutine.
type Transcoder struct {
	// Lenient ignores members of JSON objects that the IDL does not know.
	Lenient bool

	in  []byte // JSON that is read
	at  int
	out []byte
	// base is where out was longer than dst; depth counts structs and containers that are open.
	base, depth int
	compact     bool
	// watch ends the reading of a struct at its first level, where it finds a member of that name.
	watch string
	found bool

	members []member // of the structs that are open
	more    []uint64 // bits of the fields beyond the first 64 of structs that are open
	keys    []span   // of the sets and maps that are open
	slots   []int32
	seed    maphash.Seed
	text    []byte // a string without its escapes
	spare   []byte // a struct while its fields are put in order
	bridge  []byte // a body in binary on its way to TJSON

	r thrift.Reader
	w thrift.Writer
}

// ArgumentsFromJSON converts an object of arguments; an empty body is one without any. The only
// argument of a method, if it is a struct, may stand bare.
func (t *Transcoder) ArgumentsFromJSON(dst []byte, m *Method, p thrift.Protocol, json []byte) (
	[]byte, error,
) {
	t.openJSON(dst, p, json)
	return t.closeJSON(dst, p, m.arguments, t.readArguments(m))
}

// ResultFromJSON converts the success value of a method. That of a void one is an empty body, null or
// an empty object.
func (t *Transcoder) ResultFromJSON(dst []byte, m *Method, p thrift.Protocol, json []byte) (
	[]byte, error,
) {
	t.openJSON(dst, p, json)
	return t.closeJSON(dst, p, m.result, t.readResult(m))
}

// Thrown is a declared exception of a method: one of Function.Throws.Fields.
type Thrown struct {
	Method *Method
	Field  *Field
}

// ExceptionFromJSON converts the fields of a declared exception into the result that throws it.
func (t *Transcoder) ExceptionFromJSON(dst []byte, e Thrown, p thrift.Protocol, json []byte) (
	[]byte, error,
) {
	t.openJSON(dst, p, json)
	return t.closeJSON(dst, p, e.Method.result, t.readThrown(e))
}

// ArgumentsToJSON converts arguments into an object.
func (t *Transcoder) ArgumentsToJSON(dst []byte, m *Method, p thrift.Protocol, args []byte) (
	[]byte, error,
) {
	t.openThrift(dst, p, args)
	return t.closeThrift(dst, t.writeStruct(m.arguments))
}

// ResultToJSON converts a result. If the method threw a declared exception, thrown is it and what is
// appended is the object of its fields; else it is the success value alone, nothing for a void
// method. The cause of an error is ErrMissingResult where neither is there.
func (t *Transcoder) ResultToJSON(dst []byte, m *Method, p thrift.Protocol, result []byte) (
	out []byte, thrown *Field, err error,
) {
	t.openThrift(dst, p, result)
	thrown, fault := t.writeResult(m)
	if out, err = t.closeThrift(dst, fault); err != nil {
		return dst, nil, err
	}
	return out, thrown, nil
}

// Conversion names the protocol that a body is in, and that which it is wanted in.
type Conversion struct{ From, To thrift.Protocol }

// ConvertArguments converts arguments from one protocol to another. Fields that the IDL does not know
// stay as they are between binary and compact, and are left out to and from TJSON, which does not say
// of a string whether it is text.
func (t *Transcoder) ConvertArguments(dst []byte, m *Method, c Conversion, args []byte) ([]byte, error) {
	return t.convert(dst, m.arguments, c, args)
}

// ConvertResult does the same for a result.
func (t *Transcoder) ConvertResult(dst []byte, m *Method, c Conversion, result []byte) ([]byte, error) {
	return t.convert(dst, m.result, c, result)
}

// openJSON begins to read JSON. TJSON is written by way of binary: it is for old peers.
func (t *Transcoder) openJSON(dst []byte, p thrift.Protocol, json []byte) {
	t.in, t.at, t.depth = json, 0, 0
	t.out, t.base, t.compact = dst, len(dst), p == thrift.Compact
	if p == thrift.JSON {
		t.out, t.base = t.bridge[:0], 0
	}
}

// closeJSON ends a conversion from JSON: nothing may follow the value.
func (t *Transcoder) closeJSON(
	dst []byte, p thrift.Protocol, s *structPlan, fault *ConvertError,
) ([]byte, error) {
	if fault == nil && !t.ended() {
		fault = t.unexpected("the end")
	}
	out := t.out
	if p == thrift.JSON {
		t.bridge = kept(out)
	}
	t.release()
	switch {
	case fault != nil:
		return dst, fault
	case p == thrift.JSON:
		return t.convert(dst, s, Conversion{thrift.Binary, thrift.JSON}, out)
	}
	return out, nil
}

// openThrift begins to read Thrift and to write JSON.
func (t *Transcoder) openThrift(dst []byte, p thrift.Protocol, in []byte) {
	t.out, t.base = dst, len(dst)
	t.r.Reset(p, in, thrift.Limits{})
}

// closeThrift ends a conversion to JSON.
func (t *Transcoder) closeThrift(dst []byte, fault *ConvertError) ([]byte, error) {
	if fault == nil && len(t.r.Rest()) > 0 {
		fault = t.fail("octets behind the struct")
	}
	out := t.out
	t.r.Reset(thrift.Binary, nil, thrift.Limits{})
	t.release()
	if fault != nil {
		return dst, fault
	}
	return out, nil
}

// release lets go of what belongs to the caller, and of buffers that a large body has left.
func (t *Transcoder) release() {
	t.in, t.out = nil, nil
	t.members, t.more, t.keys, t.slots = kept(t.members), kept(t.more), kept(t.keys), kept(t.slots)
	t.text, t.spare = kept(t.text), kept(t.spare)
}

// kept returns a buffer to use again, none if it is too large to keep.
func kept[E any](buf []E) []E {
	var e E
	if cap(buf) > keepBytes/int(unsafe.Sizeof(e)) {
		return nil
	}
	return buf[:0]
}
