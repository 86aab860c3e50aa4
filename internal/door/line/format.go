// SPDX-License-Identifier: Apache-2.0

package line

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
)

// Format is the form in which a message from this door keeps its properties, in memory and in the
// log, as the members of the event that shows them:
//
//	flags   1 octet
//	length  unsigned varint, of terms
//	terms   ,"name":value …   reply_to and expires_ms, which the heart may change
//	rest    ,"name":value …   all others
//
// So from line to line terms and rest are copied as they stand.
type Format struct{}

// Flags of the raw form: what is known of the body, and what no event shows. They are on disk.
const (
	// flagJSON: the body is the text of one JSON value that fits into a line.
	flagJSON = 1 << iota
	// flagText: the body is UTF-8, and its content type is text.
	flagText
	// flagPersistent and flagVolatile: the sender said whether the message survives the hub.
	flagPersistent
	flagVolatile
)

// modeFlag returns the flag for a delivery mode.
func modeFlag(persistent bool) byte {
	if persistent {
		return flagPersistent
	}
	return flagVolatile
}

var errRaw = errors.New("line: malformed raw properties")

// ID returns broker.FormatLine.
func (Format) ID() broker.FormatID { return broker.FormatLine }

// Append appends the raw form of p.
func (Format) Append(dst []byte, p *broker.Properties) ([]byte, error) {
	var flags byte
	if p.Set&broker.HasDeliveryMode != 0 {
		flags = modeFlag(p.DeliveryMode == persistentMode)
	}
	return appendRaw(dst, flags, appendTerms(nil, p), appendProperties(nil, p)), nil
}

// persistentMode is the delivery mode of messages that survive the hub.
const persistentMode = 2

func appendRaw(dst []byte, flags byte, terms, rest []byte) []byte {
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(len(terms)))
	return append(append(dst, terms...), rest...)
}

// splitRaw takes a raw form apart.
func splitRaw(raw []byte) (flags byte, terms, rest []byte, ok bool) {
	if len(raw) == 0 {
		return 0, nil, nil, true
	}
	n, size := binary.Uvarint(raw[1:])
	rest = raw[1:]
	if size <= 0 || n > uint64(len(rest)-size) {
		return 0, nil, nil, false
	}
	rest = rest[size:]
	return raw[0], rest[:n], rest[n:], true
}

// Decode fills p from raw.
func (Format) Decode(raw []byte, p *broker.Properties) error {
	flags, terms, rest, ok := splitRaw(raw)
	if !ok {
		return fmt.Errorf("decode: %w", errRaw)
	}
	if flags&(flagPersistent|flagVolatile) != 0 {
		p.DeliveryMode, p.Set = 1, p.Set|broker.HasDeliveryMode
		if flags&flagPersistent != 0 {
			p.DeliveryMode = persistentMode
		}
	}
	var s scanner
	for _, run := range [...][]byte{terms, rest} {
		s.reset(run, 0)
		for s.at < len(run) {
			name, v, ok := s.pair()
			if !ok || !decodeMember(p, string(name), &v) {
				return fmt.Errorf("decode: %w", errRaw)
			}
		}
	}
	return nil
}

// pair skips a comma, a name and a value, and returns the latter two.
func (s *scanner) pair() (name []byte, v value, ok bool) {
	if !s.take(',') || s.next() != '"' {
		return nil, v, false
	}
	if name, _, ok = s.str(); !ok || !s.take(':') {
		return nil, v, false
	}
	from := s.at
	if s.next() == '"' {
		v.kind = kindString
		v.text, v.escaped, ok = s.str()
		return name, v, ok
	}
	v.kind, ok = s.value()
	v.text = s.text[from:s.at]
	return name, v, ok
}

// member returns the value of a member in a run of them; nil when it is not there.
func (s *scanner) find(run []byte, name string) []byte {
	s.reset(run, 0)
	for s.at < len(run) {
		from := s.at
		n, v, ok := s.pair()
		switch {
		case !ok:
			return nil
		case string(n) != name:
		case v.kind == kindString:
			return run[s.at-len(v.text)-len(`""`) : s.at]
		default:
			return run[from+len(`,"":`)+len(n) : s.at]
		}
	}
	return nil
}

// decodeMember puts one member where it belongs, and reports whether it may be there.
func decodeMember(p *broker.Properties, name string, v *value) bool {
	if field, bit := textProperty(p, name); field != nil {
		text, ok := unquote(nil, v.text)
		*field = string(text)
		p.Set |= bit
		return ok && v.kind == kindString
	}
	switch name {
	case "headers":
		var err *fault
		p.Headers, err = readTable(v.text)
		p.Set |= broker.HasHeaders
		return err == nil && v.kind == kindObject
	case "expires_ms":
		p.Expiration, p.Set = string(v.text), p.Set|broker.HasExpiration
		return v.kind == kindNumber
	case "priority":
		n, err := strconv.ParseUint(string(v.text), 10, 8)
		p.Priority, p.Set = uint8(n), p.Set|broker.HasPriority
		return err == nil
	case "timestamp":
		n, err := strconv.ParseUint(string(v.text), 10, 64)
		p.Timestamp, p.Set = n, p.Set|broker.HasTimestamp
		return err == nil
	}
	return false
}

// textProperty returns where a property that is text lies in p, and its bit; nil for any other.
func textProperty(p *broker.Properties, name string) (*string, broker.PropertySet) {
	switch name {
	case "content_type":
		return &p.ContentType, broker.HasContentType
	case "content_encoding":
		return &p.ContentEncoding, broker.HasContentEncoding
	case "correlation_id":
		return &p.CorrelationID, broker.HasCorrelationID
	case "reply_to":
		return &p.ReplyTo, broker.HasReplyTo
	case "message_id":
		return &p.MessageID, broker.HasMessageID
	case "method":
		return &p.Type, broker.HasType
	case "user_id":
		return &p.UserID, broker.HasUserID
	case "app_id":
		return &p.AppID, broker.HasAppID
	case "cluster_id":
		return &p.ClusterID, broker.HasClusterID
	}
	return nil, 0
}

// appendTerms appends the members for what the heart may change on the way.
func appendTerms(b []byte, p *broker.Properties) []byte {
	if p.Set&broker.HasReplyTo != 0 {
		b = appendString(append(b, `,"reply_to":`...), p.ReplyTo)
	}
	if p.Set&broker.HasExpiration != 0 {
		if n, err := strconv.ParseUint(p.Expiration, 10, 63); err == nil {
			b = appendExpires(b, int64(n))
		}
	}
	return b
}

func appendExpires(b []byte, ms int64) []byte {
	return strconv.AppendInt(append(b, `,"expires_ms":`...), ms, 10)
}

// appendProperties appends the members for all other properties.
func appendProperties(b []byte, p *broker.Properties) []byte {
	texts := [...]struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasType, `,"method":`, p.Type},
		{broker.HasContentType, `,"content_type":`, p.ContentType},
		{broker.HasContentEncoding, `,"content_encoding":`, p.ContentEncoding},
		{broker.HasCorrelationID, `,"correlation_id":`, p.CorrelationID},
		{broker.HasMessageID, `,"message_id":`, p.MessageID},
		{broker.HasUserID, `,"user_id":`, p.UserID},
		{broker.HasAppID, `,"app_id":`, p.AppID},
		{broker.HasClusterID, `,"cluster_id":`, p.ClusterID},
	}
	for i := range texts {
		if t := &texts[i]; p.Set&t.bit != 0 {
			b = appendString(append(b, t.name...), t.value)
		}
	}
	if p.Set&broker.HasPriority != 0 {
		b = strconv.AppendUint(append(b, `,"priority":`...), uint64(p.Priority), 10)
	}
	if p.Set&broker.HasTimestamp != 0 {
		b = strconv.AppendUint(append(b, `,"timestamp":`...), p.Timestamp, 10)
	}
	if len(p.Headers) > 0 {
		b = appendTable(append(b, `,"headers":`...), p.Headers, 1)
	}
	return b
}

// appendFloat appends a number, null for what JSON has no number for.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}
