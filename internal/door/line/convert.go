// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

// durationMaxMS bounds times in milliseconds: ten years.
const durationMaxMS = 315_360_000_000

// keepBytes is what a scratch buffer may keep between lines.
const keepBytes = 1 << 20

// composer makes messages of requests, each in the place of the one before.
type composer struct {
	bodyMax int
	message broker.Message
	// edits are what the heart may change, rest the other properties, raw both; body what had to be
	// decoded.
	edits, rest, raw, body []byte
	// contentType and exchange hold names that the request does not.
	contentType, exchange [24]byte
	tables                tableReader
}

// compose makes the message that a request sends. Where it goes is for the caller to say. failure is
// the error that an answer is, nil for any other message.
func (k *composer) compose(c *command, failure *failure) *fault {
	m := &k.message
	m.Envelope, m.Edited, m.Format, m.Overlay = broker.Envelope{}, false, Format{}, nil
	k.edits, k.rest = k.edits[:0], k.rest[:0]
	var err *fault
	for _, text := range [...]struct {
		from member
		name string
		to   *[]byte
	}{
		{memberMethod, `,"method":`, &m.Type},
		{memberCorrelationID, `,"correlation_id":`, &m.CorrelationID},
	} {
		if *text.to, err = c.short(text.from); err != nil {
			return err
		}
		k.text(text.name, *text.to)
	}
	flags, err := k.content(c)
	if err != nil {
		return err
	}
	if err := k.terms(c); err != nil {
		return err
	}
	if err := k.headers(c, failure); err != nil {
		return err
	}
	k.finish(flags)
	return nil
}

// headers copies the headers as they stand, once they are seen to be some. An error of a service comes
// before them.
func (k *composer) headers(c *command, failure *failure) *fault {
	var table broker.Table
	if c.has(memberHeaders) {
		var err *fault
		if table, err = k.tables.read(c.values[memberHeaders].text); err != nil {
			return err
		}
	}
	if failure == nil {
		if len(table) > 0 {
			k.rest = append(append(k.rest, `,"headers":`...), c.values[memberHeaders].text...)
		}
		return nil
	}
	k.rest = appendString(append(k.rest, `,"headers":{`...), broker.HeaderError)
	k.rest = appendText(append(k.rest, ':'), failure.code)
	k.rest = appendString(append(k.rest, ','), broker.HeaderErrorMessage)
	k.rest = appendText(append(k.rest, ':'), failure.message)
	for _, f := range table {
		if f.Name == broker.HeaderError || f.Name == broker.HeaderErrorMessage {
			return badRequest("header '%s' stands for member 'error'", f.Name)
		}
		k.rest = append(appendString(append(k.rest, ','), f.Name), ':')
		k.rest = appendField(k.rest, f.Value, 1)
	}
	k.rest = append(k.rest, '}')
	return nil
}

// failure is what a service answers instead of an answer.
type failure struct{ code, message []byte }

// finish puts the raw form together.
func (k *composer) finish(flags byte) {
	k.raw = appendRaw(k.raw[:0], flags, k.edits, k.rest)
	k.message.Props = k.raw
	if cap(k.body) > keepBytes {
		k.body = nil // the message has it
	}
}

// text appends a member, if it says anything.
func (k *composer) text(name string, value []byte) {
	if len(value) > 0 {
		k.rest = appendText(append(k.rest, name...), value)
	}
}

// content sets body and content type, and returns what is known of the body.
func (k *composer) content(c *command) (flags byte, err *fault) {
	m := &k.message
	m.Body, k.body, err = c.body(k.body, k.bodyMax)
	if err == nil && len(m.Body) > k.bodyMax {
		err = bodyTooLarge(len(m.Body), k.bodyMax)
	}
	if err != nil {
		return 0, err
	}
	if m.ContentType, err = c.short(memberContentType); err != nil {
		return 0, err
	}
	isString := c.has(memberBody) && c.values[memberBody].kind == kindString
	if len(m.ContentType) == 0 {
		switch {
		case isString:
			m.ContentType = append(k.contentType[:0], typeText...)
		case c.has(memberBody):
			m.ContentType = append(k.contentType[:0], typeJSON...)
		case c.has(memberBodyB64):
			m.ContentType = append(k.contentType[:0], typeOctets...)
		}
	}
	k.text(`,"content_type":`, m.ContentType)
	switch {
	case isString && isText(m.ContentType):
		flags = flagText
	case !isString && c.has(memberBody) && isJSON(m.ContentType):
		flags = flagJSON
	}
	return flags, nil
}

// terms sets priority, expiry and reply address.
func (k *composer) terms(c *command) (err *fault) {
	m := &k.message
	priority, err := c.whole(memberPriority, 0, math.MaxUint8, 0)
	if err != nil {
		return err
	}
	m.Priority = uint8(priority)
	if c.has(memberPriority) {
		k.rest = append(append(k.rest, `,"priority":`...), c.values[memberPriority].text...)
	}
	if m.ExpirationMS, err = c.whole(memberExpires, 0, durationMaxMS, 0); err != nil {
		return err
	}
	m.Expires = c.has(memberExpires)
	if m.ReplyTo, err = c.short(memberReplyTo); err != nil {
		return err
	}
	if len(m.ReplyTo) > 0 {
		k.edits = appendText(append(k.edits, `,"reply_to":`...), m.ReplyTo)
	}
	if m.Expires {
		k.edits = appendExpires(k.edits, m.ExpirationMS)
	}
	return nil
}

// persist says whether the message is to survive the hub; it comes behind compose.
func (k *composer) persist(persistent bool) {
	k.message.Persistent = persistent
	k.raw[0] |= modeFlag(persistent)
}

// correlate gives a question a correlation id when its asker did not: services of other doors copy it
// into their answer without looking. It comes behind compose.
func (k *composer) correlate(id []byte) {
	if len(k.message.CorrelationID) > 0 {
		return
	}
	k.message.CorrelationID = id
	k.raw = appendText(append(k.raw, `,"correlation_id":`...), id)
	k.message.Props = k.raw
}

// Content types, for bodies whose sender names none.
const (
	typeText   = "text/plain"
	typeJSON   = "application/json"
	typeOctets = "application/octet-stream"
)

// mediaType returns a content type without its parameters.
func mediaType(contentType []byte) []byte {
	t, _, _ := bytes.Cut(contentType, []byte{';'})
	return bytes.TrimSpace(t)
}

// isJSON reports whether a content type is JSON (RFC 6839 §3.1).
func isJSON(contentType []byte) bool {
	const suffix = "+json"
	t := mediaType(contentType)
	return bytes.EqualFold(t, []byte(typeJSON)) ||
		len(t) > len(suffix) && bytes.EqualFold(t[len(t)-len(suffix):], []byte(suffix))
}

// isText reports whether a content type is text.
func isText(contentType []byte) bool {
	const prefix = "text/"
	return len(contentType) >= len(prefix) &&
		bytes.EqualFold(contentType[:len(prefix)], []byte(prefix))
}

// bodyOf is a body with what is known of it.
type bodyOf struct {
	bytes       []byte
	contentType []byte
	// encoded says that there is a content encoding: the bytes are not what the type says.
	encoded bool
	flags   byte
}

// append appends the member body or body_b64, without a comma (line.md, Ops).
func (o bodyOf) append(b []byte, s *scanner) []byte {
	switch {
	case o.flags&flagJSON != 0:
		return append(append(b, `"body":`...), o.bytes...)
	case o.flags&flagText != 0:
		return appendText(append(b, `"body":`...), o.bytes)
	case o.encoded:
	case isJSON(o.contentType):
		if s.valid(o.bytes) {
			return appendOneLine(append(b, `"body":`...), o.bytes)
		}
	case isText(o.contentType) && utf8.Valid(o.bytes):
		return appendText(append(b, `"body":`...), o.bytes)
	}
	b = base64.StdEncoding.AppendEncode(append(b, `"body_b64":"`...), o.bytes)
	return append(b, '"')
}

// value appends the body as a JSON value: base64 where there is no other way.
func (o bodyOf) value(s *scanner) []byte {
	b := o.append(nil, s)
	return b[bytes.IndexByte(b, ':')+1:]
}

// appendOneLine appends JSON text without its line breaks, which can only stand between tokens.
func appendOneLine(b, text []byte) []byte {
	from := len(b)
	b = append(b, text...)
	for i := from; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' {
			b[i] = ' '
		}
	}
	return b
}

// appendTimeLeft appends what is left of a call's time.
func appendTimeLeft(b []byte, deadlineMS int64, now time.Time) []byte {
	left := max(deadlineMS-now.UnixMilli(), 0)
	return strconv.AppendInt(append(b, `,"timeout_ms":`...), left, 10)
}

// own returns the parts of a message of this door's own format to which nothing was added.
func own(m *broker.Message) (flags byte, terms, rest []byte, ok bool) {
	if _, ours := m.Format.(Format); !ours || len(m.Overlay) > 0 {
		return 0, nil, nil, false
	}
	return splitRaw(m.Props)
}

// appendMessage appends the members of an event that come from the sender: copied when he spoke lines
// and nothing was added on the way, else one by one.
func appendMessage(b []byte, d *broker.Delivery, now time.Time, s *scanner) ([]byte, error) {
	m := d.Message
	body := bodyOf{bytes: m.Body, contentType: m.ContentType}
	flags, terms, rest, ours := own(m)
	if ours && d.Count == 0 {
		switch {
		case !m.Edited && len(d.ReplyTo) == 0:
			b = append(b, terms...)
		default:
			b = appendEdits(b, d)
		}
		b = append(b, rest...)
		body.flags = flags
	} else {
		p, err := d.Properties()
		if err != nil {
			return b, err
		}
		if m.DeadlineMS != 0 {
			p.Set &^= broker.HasExpiration // timeout_ms says it
		}
		b = appendProperties(appendTerms(b, &p), &p)
		body.contentType, body.encoded = []byte(p.ContentType), p.ContentEncoding != ""
	}
	if m.DeadlineMS != 0 {
		b = appendTimeLeft(b, m.DeadlineMS, now)
	}
	return body.append(append(b, ','), s), nil
}

// appendEdits appends the members for what the heart has changed.
func appendEdits(b []byte, d *broker.Delivery) []byte {
	m := d.Message
	to := d.ReplyTo
	if len(to) == 0 {
		to = m.ReplyTo
	}
	if len(to) > 0 {
		b = appendText(append(b, `,"reply_to":`...), to)
	}
	if m.Expires && m.DeadlineMS == 0 {
		b = appendExpires(b, m.ExpirationMS)
	}
	return b
}

// appendAnswer appends the members body, content_type and headers of an answer, or its error, without
// a comma before them.
func appendAnswer(b []byte, m *broker.Message, s *scanner) []byte {
	body := bodyOf{bytes: m.Body, contentType: m.ContentType}
	if flags, _, rest, ours := own(m); ours && s.find(rest, "headers") == nil {
		body.flags = flags
		b = body.append(b, s)
		if t := s.find(rest, "content_type"); t != nil {
			b = append(append(b, `,"content_type":`...), t...)
		}
		return b
	}
	p, err := m.Properties()
	if err != nil {
		return appendFault(b, newFault(codeBadReply, "the properties of the answer cannot be read"))
	}
	body.contentType, body.encoded = []byte(p.ContentType), p.ContentEncoding != ""
	if f := answerFault(&p, m.Failure(), body); f != nil {
		return appendFault(b, f)
	}
	b = body.append(b, s)
	if p.Set&broker.HasContentType != 0 {
		b = appendString(append(b, `,"content_type":`...), p.ContentType)
	}
	if body.encoded {
		b = appendString(append(b, `,"content_encoding":`...), p.ContentEncoding)
	}
	if len(p.Headers) > 0 {
		b = appendTable(append(b, `,"headers":`...), p.Headers, 1)
	}
	return b
}
