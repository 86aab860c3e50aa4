// SPDX-License-Identifier: Apache-2.0

package broker

import "errors"

// HubFormat is the Format of messages that the hub itself makes out of what it was answered: which
// properties there are, their values, the headers.
type HubFormat struct{}

var errHubFormat = errors.New("broker: malformed raw properties of the hub's own")

// ID implements Format.
func (HubFormat) ID() FormatID { return FormatHub }

// texts lists the properties that are text, in the order of the raw form.
func (p *Properties) texts() [9]*string {
	return [...]*string{
		&p.ContentType, &p.ContentEncoding, &p.CorrelationID, &p.ReplyTo, &p.Expiration,
		&p.MessageID, &p.Type, &p.UserID, &p.AppID,
	}
}

// Append implements Format.
func (HubFormat) Append(dst []byte, p *Properties) ([]byte, error) {
	dst = appendValue(dst, uint16(p.Set))
	for _, text := range p.texts() {
		dst = appendText(dst, *text)
	}
	dst = append(dst, p.DeliveryMode, p.Priority)
	dst = appendValue(dst, Timestamp(p.Timestamp))
	return appendTable(appendText(dst, p.ClusterID), p.Headers), nil
}

// Decode implements Format.
func (HubFormat) Decode(raw []byte, p *Properties) error {
	d := recordReader{b: raw}
	set, ok := d.value(0).(uint16)
	p.Set = PropertySet(set)
	for _, text := range p.texts() {
		*text = d.text()
	}
	p.DeliveryMode, p.Priority = d.uint8(), d.uint8()
	at, timed := d.value(0).(Timestamp)
	p.Timestamp, p.ClusterID = uint64(at), d.text()
	p.Headers = d.table(0)
	if d.bad || !ok || !timed || len(d.b) > 0 {
		return errHubFormat
	}
	return nil
}
