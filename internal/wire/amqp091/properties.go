// SPDX-License-Identifier: Apache-2.0

package amqp091

// Properties are the basic properties as a plain struct. Flags says which are present: Append
// writes those, Decode sets it.
type Properties struct {
	Flags PropertyFlags

	ContentType     string
	ContentEncoding string
	Headers         Table
	DeliveryMode    uint8
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string
	MessageID       string
	Timestamp       Timestamp
	Type            string
	UserID          string
	AppID           string
	ClusterID       string
}

// SetFlags sets Flags to the properties that are not zero.
func (p *Properties) SetFlags() {
	p.Flags = 0
	for _, q := range [...]struct {
		present bool
		flag    PropertyFlags
	}{
		{p.ContentType != "", HasContentType},
		{p.ContentEncoding != "", HasContentEncoding},
		{len(p.Headers) > 0, HasHeaders},
		{p.DeliveryMode != 0, HasDeliveryMode},
		{p.Priority != 0, HasPriority},
		{p.CorrelationID != "", HasCorrelationID},
		{p.ReplyTo != "", HasReplyTo},
		{p.Expiration != "", HasExpiration},
		{p.MessageID != "", HasMessageID},
		{p.Timestamp != 0, HasTimestamp},
		{p.Type != "", HasType},
		{p.UserID != "", HasUserID},
		{p.AppID != "", HasAppID},
		{p.ClusterID != "", HasClusterID},
	} {
		if q.present {
			p.Flags |= q.flag
		}
	}
}

// Append appends flags and property list (§4.2.6.1).
func (p *Properties) Append(dst []byte) []byte {
	flags := p.Flags &^ unusedFlags
	dst = appendShort(dst, uint16(flags))
	text := func(flag PropertyFlags, s string) {
		if flags&flag != 0 {
			dst = appendShortString(dst, s)
		}
	}
	text(HasContentType, p.ContentType)
	text(HasContentEncoding, p.ContentEncoding)
	if flags&HasHeaders != 0 {
		dst = p.Headers.Append(dst)
	}
	if flags&HasDeliveryMode != 0 {
		dst = append(dst, p.DeliveryMode)
	}
	if flags&HasPriority != 0 {
		dst = append(dst, p.Priority)
	}
	text(HasCorrelationID, p.CorrelationID)
	text(HasReplyTo, p.ReplyTo)
	text(HasExpiration, p.Expiration)
	text(HasMessageID, p.MessageID)
	if flags&HasTimestamp != 0 {
		dst = appendLonglong(dst, uint64(p.Timestamp))
	}
	text(HasType, p.Type)
	text(HasUserID, p.UserID)
	text(HasAppID, p.AppID)
	text(HasClusterID, p.ClusterID)
	return dst
}

// Decode sets p from raw properties. Nothing is borrowed.
func (p *Properties) Decode(raw []byte) error {
	var v PropertyView
	if err := v.Parse(raw); err != nil {
		*p = Properties{}
		return err
	}
	*p = Properties{
		Flags:           v.Flags(),
		ContentType:     string(v.ContentType()),
		ContentEncoding: string(v.ContentEncoding()),
		Headers:         v.Headers().decode(), // Parse checked it
		DeliveryMode:    v.DeliveryMode(),
		Priority:        v.Priority(),
		CorrelationID:   string(v.CorrelationID()),
		ReplyTo:         string(v.ReplyTo()),
		Expiration:      string(v.Expiration()),
		MessageID:       string(v.MessageID()),
		Timestamp:       v.Timestamp(),
		Type:            string(v.Type()),
		UserID:          string(v.UserID()),
		AppID:           string(v.AppID()),
		ClusterID:       string(v.ClusterID()),
	}
	return nil
}
