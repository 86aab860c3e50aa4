// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

// Encodings of payloads.
const (
	encodingString = "string"
	encodingBase64 = "base64"
	encodingAuto   = "auto"
)

// propertiesBody are a message's properties in JSON.
type propertiesBody struct {
	ContentType     *string    `json:"content_type,omitempty"`
	ContentEncoding *string    `json:"content_encoding,omitempty"`
	Headers         *arguments `json:"headers,omitempty"`
	DeliveryMode    *integer   `json:"delivery_mode,omitempty"`
	Priority        *integer   `json:"priority,omitempty"`
	CorrelationID   *string    `json:"correlation_id,omitempty"`
	ReplyTo         *string    `json:"reply_to,omitempty"`
	Expiration      *string    `json:"expiration,omitempty"`
	MessageID       *string    `json:"message_id,omitempty"`
	Timestamp       *integer   `json:"timestamp,omitempty"`
	Type            *string    `json:"type,omitempty"`
	UserID          *string    `json:"user_id,omitempty"`
	AppID           *string    `json:"app_id,omitempty"`
	ClusterID       *string    `json:"cluster_id,omitempty"`
}

// textProperty is a property that is text: its place in JSON, in the heart, and its bit.
type textProperty struct {
	body **string
	to   *string
	bit  broker.PropertySet
}

func (b *propertiesBody) texts(p *broker.Properties) []textProperty {
	return []textProperty{
		{&b.ContentType, &p.ContentType, broker.HasContentType},
		{&b.ContentEncoding, &p.ContentEncoding, broker.HasContentEncoding},
		{&b.CorrelationID, &p.CorrelationID, broker.HasCorrelationID},
		{&b.ReplyTo, &p.ReplyTo, broker.HasReplyTo},
		{&b.Expiration, &p.Expiration, broker.HasExpiration},
		{&b.MessageID, &p.MessageID, broker.HasMessageID},
		{&b.Type, &p.Type, broker.HasType},
		{&b.UserID, &p.UserID, broker.HasUserID},
		{&b.AppID, &p.AppID, broker.HasAppID},
		{&b.ClusterID, &p.ClusterID, broker.HasClusterID},
	}
}

// shortBytesMax bounds properties that are short strings in AMQP 0-9-1 §4.2.5.3.
const shortBytesMax = 255

func (b *propertiesBody) properties() (p broker.Properties, err error) {
	for _, t := range b.texts(&p) {
		if *t.body == nil {
			continue
		}
		if len(**t.body) > shortBytesMax {
			return p, badRequest("a property is longer than %d bytes", shortBytesMax)
		}
		*t.to, p.Set = **t.body, p.Set|t.bit
	}
	if b.Headers != nil && len(*b.Headers) > 0 {
		p.Headers, p.Set = broker.Table(*b.Headers), p.Set|broker.HasHeaders
	}
	for _, n := range []struct {
		from *integer
		bit  broker.PropertySet
		to   *uint8
	}{
		{b.DeliveryMode, broker.HasDeliveryMode, &p.DeliveryMode},
		{b.Priority, broker.HasPriority, &p.Priority},
	} {
		if n.from == nil {
			continue
		}
		if *n.from < 0 || *n.from > 255 {
			return p, badRequest("delivery_mode and priority are from 0 to 255")
		}
		*n.to, p.Set = uint8(*n.from), p.Set|n.bit
	}
	if b.Timestamp != nil {
		p.Timestamp, p.Set = uint64(max(0, *b.Timestamp)), p.Set|broker.HasTimestamp
	}
	return p, nil
}

func showProperties(p *broker.Properties) object {
	o := make(object)
	var names propertiesBody
	for _, t := range names.texts(p) {
		if p.Set&t.bit != 0 {
			*t.body = t.to
		}
	}
	data, err := json.Marshal(names)
	if err == nil {
		_ = json.Unmarshal(data, &o) // its own form
	}
	if p.Set&broker.HasHeaders != 0 {
		o["headers"] = showTable(p.Headers)
	}
	for _, n := range []struct {
		bit  broker.PropertySet
		name string
		n    uint64
	}{
		{broker.HasDeliveryMode, "delivery_mode", uint64(p.DeliveryMode)},
		{broker.HasPriority, "priority", uint64(p.Priority)},
		{broker.HasTimestamp, "timestamp", p.Timestamp},
	} {
		if p.Set&n.bit != 0 {
			o[n.name] = n.n
		}
	}
	return o
}

// message makes a message with the properties of AMQP 0-9-1, which the API's are. The envelope says
// again what the heart reads.
func (v *visit) message(p *broker.Properties, body []byte) (*broker.Message, error) {
	m := &broker.Message{Body: body, Format: v.console.options.Broker.Format(broker.FormatAMQP091)}
	if list, ok := p.Headers.Get("BCC"); ok {
		m.CC = appendKeys(m.CC, list)
		p.Headers = p.Headers.Without("BCC")
	}
	if list, ok := p.Headers.Get("CC"); ok {
		m.CC = appendKeys(m.CC, list)
	}
	m.ReplyTo, m.CorrelationID = []byte(p.ReplyTo), []byte(p.CorrelationID)
	m.Type, m.ContentType = []byte(p.Type), []byte(p.ContentType)
	m.UserID, m.Persistent, m.Priority = []byte(p.UserID), p.DeliveryMode == 2, p.Priority
	if p.Set&broker.HasExpiration != 0 {
		n, err := strconv.ParseUint(p.Expiration, 10, 32)
		if err != nil {
			return nil, badRequest("406 PRECONDITION_FAILED - invalid expiration '%s'", p.Expiration)
		}
		m.ExpirationMS, m.Expires = int64(n), true
	}
	var err error
	m.Props, err = m.Format.Append(nil, p)
	return m, err
}

// appendKeys takes further routing keys from the headers CC and BCC.
func appendKeys(keys [][]byte, list any) [][]byte {
	values, ok := list.(broker.Array)
	if !ok {
		return keys
	}
	for _, value := range values {
		if key, ok := value.(string); ok {
			keys = append(keys, []byte(key))
		}
	}
	return keys
}

// publishBody asks for a publish.
type publishBody struct {
	Key        *string         `json:"routing_key"`
	Properties *propertiesBody `json:"properties"`
	Payload    *string         `json:"payload"`
	Encoding   *string         `json:"payload_encoding"`
}

func (b *publishBody) payload() ([]byte, error) {
	switch *b.Encoding {
	case encodingString:
		return []byte(*b.Payload), nil
	case encodingBase64:
		data, err := base64.StdEncoding.DecodeString(*b.Payload)
		if err != nil {
			return nil, badRequest("the payload is not base64")
		}
		return data, nil
	}
	return nil, badRequest("unsupported_encoding %.64s", *b.Encoding)
}

// publishToExchange publishes a mandatory message and waits for its confirm.
func publishToExchange(v *visit) error {
	if n := v.r.ContentLength; n < 0 || n > smallBodyBytes {
		free, err := v.holdLarge()
		if err != nil {
			return err
		}
		defer free()
	}
	data, err := v.body(largeBodyBytes)
	if err != nil {
		return err
	}
	var body publishBody
	if err := decode(data, &body); err != nil {
		return err
	}
	if body.Key == nil || body.Properties == nil || body.Payload == nil || body.Encoding == nil {
		return badRequest("routing_key, properties, payload and payload_encoding are required")
	}
	if len(*body.Key) > shortBytesMax {
		return badRequest("the routing key is longer than %d bytes", shortBytesMax)
	}
	payload, err := body.payload()
	if err != nil {
		return err
	}
	p, err := body.Properties.properties()
	if err != nil {
		return err
	}
	m, err := v.message(&p, payload)
	if err != nil {
		return err
	}
	m.Exchange, m.Key = []byte(v.exchangeName("exchange")), []byte(*body.Key)
	routed := false
	err = v.work(v.name("vhost"), func(w *worker) error {
		routed, err = v.publish(w, m)
		return err
	})
	if err != nil {
		return publishFault(err)
	}
	return v.ok(object{"routed": routed})
}

// Bounds of a request for messages.
const (
	getCountMax = 100_000
	// getBytesMax ends a request early: what is left stays in the queue.
	getBytesMax = 16 << 20
)

// getBody asks for messages.
type getBody struct {
	Count    *integer `json:"count"`
	AckMode  *string  `json:"ackmode"`
	Encoding *string  `json:"encoding"`
	Truncate *integer `json:"truncate"`
}

// outcome is what becomes of the messages that were shown.
func (b *getBody) outcome() (broker.Outcome, error) {
	switch *b.AckMode {
	case "ack_requeue_true", "reject_requeue_true":
		return broker.Released, nil
	case "ack_requeue_false":
		return broker.Accepted, nil
	case "reject_requeue_false":
		return broker.Rejected, nil
	}
	return 0, badRequest("invalid_ackmode %.64s", *b.AckMode)
}

func (b *getBody) check() error {
	switch {
	case b.Count == nil || b.AckMode == nil || b.Encoding == nil:
		return badRequest("count, ackmode and encoding are required")
	case *b.Encoding != encodingAuto && *b.Encoding != encodingBase64:
		return badRequest("unsupported_encoding %.64s", *b.Encoding)
	case *b.Count < 0 || *b.Count > getCountMax:
		return badRequest("count must be 0 to %d", getCountMax)
	case b.Truncate != nil && *b.Truncate < 0:
		return badRequest("truncate must not be negative")
	}
	return nil
}

// getMessages takes messages from a queue and gives them their outcome.
func getMessages(v *visit) error {
	var body getBody
	if err := v.read(&body); err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	outcome, err := body.outcome()
	if err != nil {
		return err
	}
	free, err := v.holdLarge()
	if err != nil {
		return err
	}
	defer free()
	var got []delivery
	err = v.work(v.name("vhost"), func(w *worker) error {
		got, err = w.fetch(v.name("queue"), &body)
		if err != nil || len(got) == 0 {
			return err
		}
		return w.Settle(broker.SettleParams{
			Tag: got[len(got)-1].tag, Multiple: true, Of: nil, Outcome: outcome,
		})
	})
	if err != nil {
		return err
	}
	rows := make([]row, len(got))
	for i := range got {
		rows[i].show = func() object { return got[i].show(*body.Encoding) }
	}
	return v.stream(rows, new(query))
}

func (w *worker) fetch(queue string, body *getBody) ([]delivery, error) {
	if body.Truncate != nil {
		w.sink.truncate(int(*body.Truncate))
	}
	for range *body.Count {
		ok, err := w.Get(queue, false)
		if err != nil {
			return nil, err
		}
		if !ok || w.sink.bytes() > getBytesMax {
			break
		}
	}
	return w.sink.take(), nil
}

func (d *delivery) show(encoding string) object {
	o := object{
		"payload_bytes": d.bytes, "redelivered": d.redelivered, "exchange": d.exchange,
		"routing_key": d.key, "message_count": d.remaining,
		"properties": showProperties(&d.properties),
	}
	if encoding == encodingAuto && utf8.Valid(d.body) {
		o["payload"], o["payload_encoding"] = string(d.body), encodingString
	} else {
		o["payload"] = base64.StdEncoding.EncodeToString(d.body)
		o["payload_encoding"] = encodingBase64
	}
	return o
}
