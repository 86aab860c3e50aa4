// SPDX-License-Identifier: Apache-2.0

package http

import (
	"math"
	nethttp "net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// The headers of a message that say what HTTP knows more (rest.md, Calls).
const (
	headerMethod = "http-method"
	headerPath   = "http-path"
	headerQuery  = "http-query"
	headerStatus = "http-status"
)

const headerAttempt = "parley-attempt"

// field is one header.
type field struct{ name, value string }

// read takes the request out of a call.
func (c *call) read() error {
	if c.of.Head != nil {
		c.readHead(c.of.Head)
	} else if err := c.readMessage(); err != nil {
		return err
	}
	if c.method == "" {
		c.method = nethttp.MethodPost
	}
	if c.path == "" {
		c.path = "/" + url.PathEscape(string(c.of.Message.Type))
	}
	switch {
	case !isToken(c.method) || len(c.method) > math.MaxUint8:
		return badRequest(headerMethod)
	case c.path[0] != '/' || !isTarget(c.path) || climbs(c.path):
		return badRequest(headerPath)
	case !isTarget(c.query):
		return badRequest(headerQuery)
	case !isValue(c.of.Upgrade):
		return badRequest("upgrade")
	}
	if c.size > maxHeadBytes {
		return &broker.Error{Code: broker.CodeTooLarge, Op: "call", Text: "the headers of the call are" +
			" too large"}
	}
	switch c.method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE": // RFC 9110 §9.2.2
		c.idempotent = true
	}
	return nil
}

func badRequest(name string) error {
	return &broker.Error{
		Code: broker.CodeBadRequest, Op: "call", Text: "the header " + name + " cannot be sent",
	}
}

func (c *call) readHead(h broker.Head) {
	c.method, c.path, c.query = h.Get(headerMethod), h.Get(headerPath), h.Get(headerQuery)
	h.Each(c.take)
}

// readMessage takes the request out of a message's properties.
func (c *call) readMessage() error {
	p, err := c.of.Message.Properties()
	if err != nil {
		return &broker.Error{
			Code: broker.CodeBadRequest, Op: "call", Text: "the properties cannot be read", Err: err,
		}
	}
	for _, t := range [...]struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasContentType, "Content-Type", p.ContentType},
		{broker.HasContentEncoding, "Content-Encoding", p.ContentEncoding},
		{broker.HasCorrelationID, "Parley-Correlation-Id", p.CorrelationID},
		{broker.HasMessageID, "Parley-Message-Id", p.MessageID},
		{broker.HasAppID, "Parley-App-Id", p.AppID},
		{broker.HasType, "Parley-Type", p.Type},
	} {
		if p.Set&t.bit != 0 {
			c.add(t.name, t.value)
		}
	}
	for _, f := range p.Headers {
		text, ok := scalar(f.Value)
		if !ok {
			continue
		}
		switch name := strings.ToLower(f.Name); name {
		case headerMethod:
			c.method = text
		case headerPath:
			c.path = text
		case headerQuery:
			c.query = text
		case headerStatus, broker.HeaderTimeout, broker.HeaderDeadline: // see timeouts
		default:
			c.add(name, text)
		}
	}
	return nil
}

// add takes a header that goes on, if it does. What is no header of HTTP stays behind.
func (c *call) add(name, value string) {
	if !isToken(name) || !isValue(value) || isHop(name) && !c.trailersWanted(name, value) {
		return
	}
	switch {
	case strings.EqualFold(name, headerAttempt):
		if n, err := strconv.ParseUint(value, 10, 16); err == nil {
			c.attempt = int(n)
		}
		return
	case strings.EqualFold(name, "idempotency-key"):
		c.idempotent = true
	}
	c.size += len(name) + len(value) + len(": \r\n")
	c.fields = append(c.fields, field{name, value})
}

// trailersWanted reports whether a header says that trailers are understood (RFC 9110 §10.1.4), and
// this hop passes them on.
func (c *call) trailersWanted(name, value string) bool {
	return c.of.Streams && strings.EqualFold(name, "te") && strings.EqualFold(value, "trailers")
}

// isHop reports whether a header belongs to one hop (RFC 9110 §7.6.1), or frames the message, which
// this side does itself. Its cheap test comes first.
func isHop(name string) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "te")
	case 4:
		return strings.EqualFold(name, "host")
	case 6:
		return strings.EqualFold(name, "expect")
	case 7:
		return strings.EqualFold(name, "trailer") || strings.EqualFold(name, "upgrade")
	case 10:
		return strings.EqualFold(name, "connection") || strings.EqualFold(name, "keep-alive")
	case 12:
		return strings.EqualFold(name, "grpc-timeout")
	case 14:
		return strings.EqualFold(name, "content-length")
	case 17:
		return strings.EqualFold(name, "transfer-encoding")
	case 18:
		return strings.EqualFold(name, "connect-timeout-ms")
	}
	return len(name) > 6 && strings.EqualFold(name[:6], "proxy-")
}

// splitList yields the elements of a header that is a list.
func splitList(line string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

// scalar returns a header's value as text, if it has one.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case broker.Timestamp:
		return strconv.FormatUint(uint64(v), 10), true
	}
	if n, ok := (broker.Table{{Name: "", Value: v}}).Integer(""); ok {
		return strconv.FormatInt(n, 10), true
	}
	return "", false
}

// isToken reports whether text is a token of RFC 9110 §5.6.2.
func isToken(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return text != ""
}

// isValue reports whether text may be a header's value: no line ends, no NUL (RFC 9110 §5.5).
func isValue(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isTarget reports whether text may stand in a request line: no blanks, no control characters, no
// fragment, ASCII.
func isTarget(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// climbs reports whether a path has a segment "." or "..", escaped or not: behind the path of a
// member's URL it would lead out of that.
func climbs(path string) bool {
	if !strings.Contains(path, "/.") && !strings.Contains(path, "/%2") {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".", "..":
			return true
		}
	}
	return false
}

// timeouts returns what is left of a call's time, as services read it (resilience.md). ok is false
// when there is no deadline.
func timeouts(deadline time.Time) (grpc, connect string, ok bool) {
	if deadline.IsZero() {
		return "", "", false
	}
	ms := max(time.Until(deadline).Milliseconds(), 1)
	text := strconv.FormatInt(min(ms, timeoutMost), 10)
	return text + "m", text, true
}

// timeoutMost is the largest number of 8 digits, which is what grpc-timeout may have.
const timeoutMost = 99_999_999

// message makes a message of an answer.
func (h *answerHead) message(body []byte) (*broker.Message, error) {
	p := broker.Properties{Set: broker.HasHeaders}
	p.Headers = append(make(broker.Table, 0, len(h.fields)+1),
		broker.Field{Name: headerStatus, Value: int32(h.code)})
	for _, f := range h.fields {
		switch name := strings.ToLower(f.name); name {
		case "content-type":
			p.ContentType, p.Set = f.value, p.Set|broker.HasContentType
		case "content-encoding":
			p.ContentEncoding, p.Set = f.value, p.Set|broker.HasContentEncoding
		case "parley-message-id":
			p.MessageID, p.Set = f.value, p.Set|broker.HasMessageID
		case "parley-type":
			p.Type, p.Set = f.value, p.Set|broker.HasType
		case "date", "server": // of the service's own connection
		default:
			if strings.HasPrefix(name, "parley-") {
				continue // what the hub says about itself nobody else does
			}
			if have, ok := p.Headers.Text(name); ok {
				p.Headers = p.Headers.With(name, have+", "+f.value)
			} else {
				p.Headers = append(p.Headers, broker.Field{Name: name, Value: f.value})
			}
		}
	}
	raw, err := broker.HubFormat{}.Append(nil, &p)
	if err != nil {
		return nil, err
	}
	m := &broker.Message{Format: broker.HubFormat{}, Props: raw, Body: body}
	m.ContentType, m.Type = []byte(p.ContentType), []byte(p.Type)
	return m, nil
}
