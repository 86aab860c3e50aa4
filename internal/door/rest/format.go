// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
)

// Format is the form in which a message from this door keeps its properties, in memory and in the
// log: pairs, each
//
//	kind    1 octet       which property, or kindHeader
//	name    length, text  of a header only
//	value   length, text  of a property; of a header: 1 octet type, then what it needs
//
// Lengths are unsigned varints. Numbers that are properties stand as decimal text.
type Format struct{}

// The kinds of pairs. They are on disk: a number is never used again for something else.
const (
	kindHeader          = 0
	kindContentType     = 1
	kindContentEncoding = 2
	kindDeliveryMode    = 3
	kindPriority        = 4
	kindCorrelationID   = 5
	kindReplyTo         = 6
	kindExpiration      = 7
	kindMessageID       = 8
	kindTimestamp       = 9
	kindType            = 10
	kindUserID          = 11
	kindAppID           = 12
	kindClusterID       = 13
)

// The types of header values, on disk too.
const (
	valueNil       = 'n'
	valueTrue      = 't'
	valueFalse     = 'f'
	valueInteger   = 'i'
	valueFloat     = 'd'
	valueText      = 's'
	valueBytes     = 'x'
	valueTimestamp = 'T'
	valueDecimal   = 'D'
	valueArray     = 'a'
	valueTable     = 'm'
)

// valueDepthMax bounds how deep arrays and tables nest (security.md, field table).
const valueDepthMax = 32

var (
	errRaw   = errors.New("rest: malformed raw properties")
	errDepth = errors.New("rest: header value nests too deep")
	errType  = errors.New("rest: header value of a type that has no raw form")
)

// ID returns broker.FormatHTTP.
func (Format) ID() broker.FormatID { return broker.FormatHTTP }

// textProperty returns where a property that is text lies in p, and its bit.
func textProperty(p *broker.Properties, kind byte) (*string, broker.PropertySet) {
	switch kind {
	case kindContentType:
		return &p.ContentType, broker.HasContentType
	case kindContentEncoding:
		return &p.ContentEncoding, broker.HasContentEncoding
	case kindCorrelationID:
		return &p.CorrelationID, broker.HasCorrelationID
	case kindReplyTo:
		return &p.ReplyTo, broker.HasReplyTo
	case kindExpiration:
		return &p.Expiration, broker.HasExpiration
	case kindMessageID:
		return &p.MessageID, broker.HasMessageID
	case kindType:
		return &p.Type, broker.HasType
	case kindUserID:
		return &p.UserID, broker.HasUserID
	case kindAppID:
		return &p.AppID, broker.HasAppID
	case kindClusterID:
		return &p.ClusterID, broker.HasClusterID
	}
	return nil, 0
}

// Append appends the raw form of p.
func (Format) Append(dst []byte, p *broker.Properties) ([]byte, error) {
	for kind := byte(kindContentType); kind <= kindClusterID; kind++ {
		if field, bit := textProperty(p, kind); field != nil && p.Set&bit != 0 {
			dst = appendText(append(dst, kind), *field)
		}
	}
	numbers := [...]struct {
		bit  broker.PropertySet
		kind byte
		n    uint64
	}{
		{broker.HasDeliveryMode, kindDeliveryMode, uint64(p.DeliveryMode)},
		{broker.HasPriority, kindPriority, uint64(p.Priority)},
		{broker.HasTimestamp, kindTimestamp, p.Timestamp},
	}
	for _, f := range numbers {
		if p.Set&f.bit != 0 {
			dst = appendText(append(dst, f.kind), strconv.FormatUint(f.n, 10))
		}
	}
	for _, h := range p.Headers {
		var err error
		dst = appendText(append(dst, kindHeader), h.Name)
		if dst, err = appendValue(dst, h.Value, 1); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	if depth > valueDepthMax {
		return dst, errDepth
	}
	switch v := v.(type) {
	case nil:
		return append(dst, valueNil), nil
	case bool:
		if v {
			return append(dst, valueTrue), nil
		}
		return append(dst, valueFalse), nil
	case float32:
		return appendFloat(dst, float64(v)), nil
	case float64:
		return appendFloat(dst, v), nil
	case string:
		return appendText(append(dst, valueText), v), nil
	case []byte:
		dst = binary.AppendUvarint(append(dst, valueBytes), uint64(len(v)))
		return append(dst, v...), nil
	case broker.Timestamp:
		return binary.AppendUvarint(append(dst, valueTimestamp), uint64(v)), nil
	case broker.Decimal:
		return binary.AppendUvarint(append(dst, valueDecimal, v.Scale), uint64(v.Value)), nil
	case broker.Array:
		var inner []byte
		var err error
		for _, e := range v {
			if inner, err = appendValue(inner, e, depth+1); err != nil {
				return dst, err
			}
		}
		return appendText(append(dst, valueArray), string(inner)), nil
	case broker.Table:
		var inner []byte
		var err error
		for _, f := range v {
			inner = appendText(inner, f.Name)
			if inner, err = appendValue(inner, f.Value, depth+1); err != nil {
				return dst, err
			}
		}
		return appendText(append(dst, valueTable), string(inner)), nil
	}
	if n, ok := integer(v); ok {
		return binary.AppendVarint(append(dst, valueInteger), n), nil
	}
	return dst, errType
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, valueFloat), math.Float64bits(v))
}

// integer returns a whole number of any width.
func integer(v any) (int64, bool) { return broker.Table{{Name: "", Value: v}}.Integer("") }

// Decode fills p from raw.
func (Format) Decode(raw []byte, p *broker.Properties) error {
	r := rawReader{rest: raw}
	for len(r.rest) > 0 && r.err == nil {
		r.pair(p)
	}
	return r.err
}

// rawReader reads the raw form until the first fault.
type rawReader struct {
	rest []byte
	err  error
}

func (r *rawReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *rawReader) octet() byte {
	if len(r.rest) == 0 {
		r.fail(errRaw)
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *rawReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail(errRaw)
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// bytes returns what a length announces; it is borrowed from raw.
func (r *rawReader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.fail(errRaw)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *rawReader) pair(p *broker.Properties) {
	kind := r.octet()
	if kind == kindHeader {
		name := string(r.bytes())
		value := r.value(1)
		if r.err == nil {
			p.Headers = append(p.Headers, broker.Field{Name: name, Value: value})
			p.Set |= broker.HasHeaders
		}
		return
	}
	text := string(r.bytes())
	if r.err != nil {
		return
	}
	if field, bit := textProperty(p, kind); field != nil {
		*field = text
		p.Set |= bit
		return
	}
	bits := 8
	if kind == kindTimestamp {
		bits = 64
	}
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		r.fail(errRaw)
		return
	}
	switch kind {
	case kindDeliveryMode:
		p.DeliveryMode, p.Set = uint8(n), p.Set|broker.HasDeliveryMode
	case kindPriority:
		p.Priority, p.Set = uint8(n), p.Set|broker.HasPriority
	case kindTimestamp:
		p.Timestamp, p.Set = n, p.Set|broker.HasTimestamp
	default:
		r.fail(errRaw)
	}
}

// value recurses at most valueDepthMax deep.
func (r *rawReader) value(depth int) any {
	if depth > valueDepthMax {
		r.fail(errDepth)
		return nil
	}
	switch r.octet() {
	case valueNil:
		return nil
	case valueTrue:
		return true
	case valueFalse:
		return false
	case valueInteger:
		n, size := binary.Varint(r.rest)
		if size <= 0 {
			break
		}
		r.rest = r.rest[size:]
		return n
	case valueFloat:
		if len(r.rest) < 8 {
			break
		}
		f := math.Float64frombits(binary.BigEndian.Uint64(r.rest))
		r.rest = r.rest[8:]
		return f
	case valueText:
		return string(r.bytes())
	case valueBytes:
		return append([]byte{}, r.bytes()...)
	case valueTimestamp:
		return broker.Timestamp(r.number())
	case valueDecimal:
		scale := r.octet()
		if n := r.number(); n <= math.MaxUint32 {
			return broker.Decimal{Scale: scale, Value: uint32(n)}
		}
	case valueArray:
		return r.array(depth)
	case valueTable:
		return r.table(depth)
	}
	r.fail(errRaw)
	return nil
}

func (r *rawReader) array(depth int) any {
	inner := rawReader{rest: r.bytes()}
	out := broker.Array{}
	for len(inner.rest) > 0 {
		out = append(out, inner.value(depth+1))
	}
	if inner.err != nil {
		r.fail(inner.err)
	}
	return out
}

func (r *rawReader) table(depth int) any {
	inner := rawReader{rest: r.bytes()}
	out := broker.Table{}
	for len(inner.rest) > 0 {
		name := string(inner.bytes())
		out = append(out, broker.Field{Name: name, Value: inner.value(depth + 1)})
	}
	if inner.err != nil {
		r.fail(inner.err)
	}
	return out
}
