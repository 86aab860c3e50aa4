// SPDX-License-Identifier: Apache-2.0

package amqp091

import "encoding/binary"

// PropertyFlags says which basic properties are present (§4.2.6.1), a bit each.
type PropertyFlags uint16

// The basic properties in the order of the wire.
const (
	HasContentType PropertyFlags = 1 << (15 - iota)
	HasContentEncoding
	HasHeaders
	HasDeliveryMode
	HasPriority
	HasCorrelationID
	HasReplyTo
	HasExpiration
	HasMessageID
	HasTimestamp
	HasType
	HasUserID
	HasAppID
	HasClusterID
)

// Places of the properties in PropertyView.at, and delivery modes.
const (
	atContentType = iota
	atContentEncoding
	atHeaders
	atDeliveryMode
	atPriority
	atCorrelationID
	atReplyTo
	atExpiration
	atMessageID
	atTimestamp
	atType
	atUserID
	atAppID
	atClusterID
	propertyCount

	// Transient and Persistent are the values of delivery-mode.
	Transient  uint8 = 1
	Persistent uint8 = 2

	flagBytes = 2
	// unusedFlags are the bit without a property and the one that announces more flag words.
	unusedFlags PropertyFlags = 0b11
)

// PropertyView is a parsed look at raw basic properties: flags and the place of each. It borrows
// the raw bytes. The zero value has no property.
type PropertyView struct {
	raw   []byte
	flags PropertyFlags
	// Property i lies in raw[at[i]:at[i+1]]; an absent one is empty there.
	at [propertyCount + 1]uint32
}

// Parse sets the view to raw: flags and property list, all of it. An *Error 502 when they do not
// fit. Headers are checked too (RawTable.Check), so that what a peer hands on is sound.
func (v *PropertyView) Parse(raw []byte) error {
	*v = PropertyView{}
	if len(raw) < flagBytes {
		return syntaxError("properties: no flags")
	}
	flags := PropertyFlags(binary.BigEndian.Uint16(raw))
	if flags&unusedFlags != 0 {
		return syntaxError("properties: unknown flags")
	}
	end := flagBytes
	for i := range propertyCount {
		v.at[i] = uint32(end)
		if flags&(HasContentType>>i) == 0 {
			continue
		}
		size, err := propertySize(i, raw[end:])
		if err != nil {
			*v = PropertyView{}
			return err
		}
		end += size
	}
	if end != len(raw) {
		*v = PropertyView{}
		return syntaxError("properties: octets after the list")
	}
	v.at[propertyCount] = uint32(end)
	v.raw, v.flags = raw, flags
	return nil
}

// propertySize returns how many octets property i takes at the front of p, and checks headers.
func propertySize(i int, p []byte) (int, error) {
	c := cursor{p: p}
	switch i {
	case atHeaders:
		table := RawTable(c.longBytes())
		if !c.bad {
			if err := table.Check(); err != nil {
				return 0, err
			}
		}
	case atDeliveryMode, atPriority:
		c.octet()
	case atTimestamp:
		c.take(8)
	default:
		c.shortBytes()
	}
	if c.bad {
		return 0, syntaxError("properties: cut short")
	}
	return len(p) - len(c.p), nil
}

// Raw returns the bytes that the view was parsed from; nil for the zero view.
func (v *PropertyView) Raw() []byte { return v.raw }

// Flags returns which properties are present.
func (v *PropertyView) Flags() PropertyFlags { return v.flags }

// Has reports whether all properties of flags are present.
func (v *PropertyView) Has(flags PropertyFlags) bool { return v.flags&flags == flags }

// part returns property i as it stands in raw, with its length.
func (v *PropertyView) part(i int) []byte { return v.raw[v.at[i]:v.at[i+1]] }

// text returns a short string property, nil when it is absent.
func (v *PropertyView) text(i int) []byte {
	if p := v.part(i); len(p) > 0 {
		return p[1:]
	}
	return nil
}

// ContentType returns the property, nil when absent.
func (v *PropertyView) ContentType() []byte { return v.text(atContentType) }

// ContentEncoding returns the property, nil when absent.
func (v *PropertyView) ContentEncoding() []byte { return v.text(atContentEncoding) }

// Headers returns the checked headers table, nil when absent.
func (v *PropertyView) Headers() RawTable {
	if p := v.part(atHeaders); len(p) > 0 {
		return RawTable(p[4:])
	}
	return nil
}

// DeliveryMode returns the property, 0 when absent.
func (v *PropertyView) DeliveryMode() uint8 { return v.octet(atDeliveryMode) }

// Priority returns the property, 0 when absent.
func (v *PropertyView) Priority() uint8 { return v.octet(atPriority) }

func (v *PropertyView) octet(i int) uint8 {
	if p := v.part(i); len(p) > 0 {
		return p[0]
	}
	return 0
}

// CorrelationID returns the property, nil when absent.
func (v *PropertyView) CorrelationID() []byte { return v.text(atCorrelationID) }

// ReplyTo returns the property, nil when absent.
func (v *PropertyView) ReplyTo() []byte { return v.text(atReplyTo) }

// Expiration returns the property, nil when absent.
func (v *PropertyView) Expiration() []byte { return v.text(atExpiration) }

// MessageID returns the property, nil when absent.
func (v *PropertyView) MessageID() []byte { return v.text(atMessageID) }

// Timestamp returns the property, 0 when absent.
func (v *PropertyView) Timestamp() Timestamp {
	if p := v.part(atTimestamp); len(p) > 0 {
		return Timestamp(binary.BigEndian.Uint64(p))
	}
	return 0
}

// Type returns the property, nil when absent.
func (v *PropertyView) Type() []byte { return v.text(atType) }

// UserID returns the property, nil when absent.
func (v *PropertyView) UserID() []byte { return v.text(atUserID) }

// AppID returns the property, nil when absent.
func (v *PropertyView) AppID() []byte { return v.text(atAppID) }

// ClusterID returns the property, nil when absent.
func (v *PropertyView) ClusterID() []byte { return v.text(atClusterID) }

// AppendReplyTo appends the raw properties with reply-to replaced, or added.
func (v *PropertyView) AppendReplyTo(dst, replyTo []byte) []byte {
	return v.AppendEdited(dst, &PropertyEdit{Set: HasReplyTo, ReplyTo: replyTo})
}

// PropertyEdit says how AppendEdited changes properties on their way out.
type PropertyEdit struct {
	Drop PropertyFlags // properties to leave out, unless Set has them
	Set  PropertyFlags // of HasCorrelationID, HasReplyTo, HasExpiration: take the value from here

	CorrelationID []byte
	ReplyTo       []byte
	Expiration    []byte

	// Headers are added to the message's own. One whose name the message has too replaces it.
	Headers Table
	// DropHeaders are the names of headers to leave out.
	DropHeaders []string
}

// editable are the properties that PropertyEdit.Set may name.
const editable = HasCorrelationID | HasReplyTo | HasExpiration

// AppendEdited appends the raw properties with the edit applied. What the edit does not name is
// copied octet by octet.
func (v *PropertyView) AppendEdited(dst []byte, e *PropertyEdit) []byte {
	set := e.Set & editable
	headers := len(e.Headers) > 0 || (len(e.DropHeaders) > 0 && v.Has(HasHeaders))
	flags := v.flags&^e.Drop | set
	if headers {
		flags |= HasHeaders
	}
	dst = appendShort(dst, uint16(flags))
	if set == 0 && !headers && e.Drop&v.flags == 0 {
		return append(dst, v.list()...)
	}
	for i := range propertyCount {
		flag := HasContentType >> i
		switch {
		case flag == HasHeaders && headers:
			dst = v.appendHeaders(dst, e)
		case set&flag == 0:
			if e.Drop&flag == 0 {
				dst = append(dst, v.part(i)...)
			}
		case flag == HasCorrelationID:
			dst = appendShortString(dst, e.CorrelationID)
		case flag == HasReplyTo:
			dst = appendShortString(dst, e.ReplyTo)
		case flag == HasExpiration:
			dst = appendShortString(dst, e.Expiration)
		}
	}
	return dst
}

// list returns the property list without the flags.
func (v *PropertyView) list() []byte {
	if v.raw == nil {
		return nil
	}
	return v.raw[flagBytes:]
}

func (v *PropertyView) appendHeaders(dst []byte, e *PropertyEdit) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	if e.Drop&HasHeaders == 0 {
		for it := v.Headers().Fields(); it.Next(); {
			if e.keeps(it.Name) {
				dst = append(dst, it.Raw()...)
			}
		}
	}
	dst = e.Headers.AppendFields(dst)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// keeps reports whether the message's own header of that name goes out as it is.
func (e *PropertyEdit) keeps(name []byte) bool {
	//nolint:modernize // slices.Contains would copy a name longer than 32 octets to the heap
	for _, drop := range e.DropHeaders {
		if string(name) == drop {
			return false
		}
	}
	for i := range e.Headers {
		if string(name) == e.Headers[i].Name {
			return false
		}
	}
	return true
}
