// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// Format is the form in which a message from this door keeps its headers, in memory and in the log:
//
//	flags   1 octet
//	header  name ":" value LF     repeated, with the escapes of STOMP 1.2
//
// They are the headers of the SEND that go on to a MESSAGE, as it shows them: without destination,
// receipt, transaction and content-length; with persistent only when it is true, and with reply-to
// as a destination. So a client of 1.2 gets them as they stand, and so does any other unless the
// flags say that its version writes something differently. What clients of ActiveMQ say by other
// names or in other units has both, so that it is read as all the rest.
type Format struct{}

// Flags of the raw form.
const (
	// flagEscaped: there is a backslash, so 1.0 writes something differently.
	flagEscaped = 1 << iota
	// flagCR: there may be an escaped CR, which 1.1 does not have.
	flagCR
	// flagOwn: there is a name that a MESSAGE uses for itself.
	flagOwn
	// flagMillis: it is from a client of ActiveMQ, and the time stamp is in milliseconds.
	flagMillis
	// flagText: it is text, though the sender named no content-type.
	flagText
)

// errRaw is a raw form that this format has not written.
var errRaw = errors.New("stomp: malformed raw properties")

// ID returns broker.FormatSTOMP.
func (Format) ID() broker.FormatID { return broker.FormatSTOMP }

// Decode fills p from the raw headers.
func (Format) Decode(raw []byte, p *broker.Properties) error {
	for h, ok := range rawHeaders(raw) {
		if !ok {
			return fmt.Errorf("decode: %w", errRaw)
		}
		setProperty(p, h)
	}
	if len(raw) == 0 {
		return nil
	}
	attributesIn(p)
	if raw[0]&flagMillis != 0 {
		p.Timestamp /= 1_000 // AMQP 0-9-1 §4.2.5.4
	}
	if raw[0]&flagText != 0 && p.Set&broker.HasContentType == 0 {
		p.ContentType = textPlain
		p.Set |= broker.HasContentType
	}
	return nil
}

// Append appends the raw form of p.
func (Format) Append(dst []byte, p *broker.Properties) ([]byte, error) {
	at := len(dst)
	dst = append(dst, 0)
	dst = appendProperties(dst, wire.V12, p)
	dst[at] = rawFlags(dst[at+1:])
	for h := range rawHeaders(dst[at:]) {
		if ownHeader(h.Name) {
			dst[at] |= flagOwn
		}
	}
	return dst, nil
}

// rawFlags returns the flags for headers in their raw form, but for flagOwn.
func rawFlags(headers []byte) byte {
	if bytes.IndexByte(headers, '\\') < 0 {
		return 0
	}
	flags := byte(flagEscaped)
	if bytes.Contains(headers, []byte(`\r`)) {
		flags |= flagCR
	}
	return flags
}

// ownHeader says whether a MESSAGE writes a header of this name itself, so that one of the sender
// is left out.
func ownHeader(name []byte) bool {
	switch string(name) {
	case "subscription", "message-id", "ack", "destination", "redelivered", "content-length":
		return true
	}
	return false
}

// rawHeaders yields the headers of a raw form, their escapes undone, and false once if it is
// malformed. What it yields is borrowed until the next.
func rawHeaders(raw []byte) iter.Seq2[wire.Header, bool] {
	return func(yield func(wire.Header, bool) bool) {
		if len(raw) == 0 {
			return
		}
		var scratch []byte
		for rest := raw[1:]; len(rest) > 0; {
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				yield(wire.Header{}, false)
				return
			}
			line := rest[:end]
			rest = rest[end+1:]
			name, value, ok := bytes.Cut(line, []byte{':'})
			if ok && bytes.IndexByte(line, '\\') >= 0 {
				scratch = unescape(scratch[:0], name)
				n := len(scratch)
				scratch = unescape(scratch, value)
				name, value = scratch[:n:n], scratch[n:]
			}
			if !yield(wire.Header{Name: name, Value: value}, ok) || !ok {
				return
			}
		}
	}
}

// unescape appends b to dst with its escapes undone; the raw form has no undefined ones.
func unescape(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			i++
			switch b[i] {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 'c':
				c = ':'
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// setProperty puts one header where it belongs; a name that is no property is a text header.
func setProperty(p *broker.Properties, h wire.Header) {
	text := func(field *string, bit broker.PropertySet) {
		*field = string(h.Value)
		p.Set |= bit
	}
	switch string(h.Name) {
	case "content-type":
		text(&p.ContentType, broker.HasContentType)
	case "content-encoding":
		text(&p.ContentEncoding, broker.HasContentEncoding)
	case "correlation-id":
		text(&p.CorrelationID, broker.HasCorrelationID)
	case "reply-to":
		p.ReplyTo = string(replyAddress(h.Value))
		p.Set |= broker.HasReplyTo
	case "expiration":
		text(&p.Expiration, broker.HasExpiration)
	case "type":
		text(&p.Type, broker.HasType)
	case "user-id":
		text(&p.UserID, broker.HasUserID)
	case "app-id":
		text(&p.AppID, broker.HasAppID)
	case "amqp-message-id":
		text(&p.MessageID, broker.HasMessageID)
	case "persistent":
		p.DeliveryMode = 2
		p.Set |= broker.HasDeliveryMode
	case "priority":
		if n, err := strconv.ParseUint(string(h.Value), 10, 8); err == nil {
			p.Priority = uint8(n)
			p.Set |= broker.HasPriority
		}
	case "timestamp":
		if n, err := strconv.ParseUint(string(h.Value), 10, 64); err == nil {
			p.Timestamp = n
			p.Set |= broker.HasTimestamp
		}
	default:
		p.Headers = append(p.Headers, broker.Field{Name: string(h.Name), Value: string(h.Value)})
		p.Set |= broker.HasHeaders
	}
}
