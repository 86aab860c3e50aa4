// SPDX-License-Identifier: Apache-2.0

package http

import (
	"fmt"
	"strconv"
	"strings"
)

// answerHead is the head of an answer. Its strings lie in one piece of memory of their own.
type answerHead struct {
	status string
	code   int
	fields []field // those that go on

	// What frames the body (RFC 9112 §6.3).
	length  int64 // negative: not said
	chunked bool
	close   bool // the connection ends with the answer

	upgrade string // the protocol that the connection switches to
}

// fieldsMost bounds the headers of an answer.
const fieldsMost = 256

// parse reads a head that ends with an empty line. It is strict: what could be read in two ways is
// refused (RFC 9112 §11.2).
func (h *answerHead) parse(raw string) error {
	*h = answerHead{fields: h.fields[:0], length: -1}
	line, rest, _ := strings.Cut(raw, "\r\n")
	if err := h.parseStatus(line); err != nil {
		return err
	}
	var named []string
	for rest != "\r\n" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || !isValue(value) {
			return fmt.Errorf("%w: a header that is none", errBadReply)
		}
		if len(h.fields) == fieldsMost {
			return fmt.Errorf("%w: more than %d headers", errBadReply, fieldsMost)
		}
		if !isHop(name) {
			h.fields = append(h.fields, field{name, value})
			continue
		}
		var err error
		if named, err = h.hop(name, value, named); err != nil {
			return err
		}
	}
	if h.chunked && h.length >= 0 {
		return fmt.Errorf("%w: a length besides chunks", errBadReply)
	}
	for _, name := range named {
		h.drop(name)
	}
	return nil
}

// parseStatus reads the first line (RFC 9112 §4).
func (h *answerHead) parseStatus(line string) error {
	const version, digits = "HTTP/1.", 3
	rest, ok := strings.CutPrefix(line, version)
	if !ok || len(rest) < 2+digits || rest[1] != ' ' || (rest[0] != '0' && rest[0] != '1') ||
		len(rest) > 2+digits && rest[2+digits] != ' ' {
		return fmt.Errorf("%w: its first line is none", errBadReply)
	}
	h.close = rest[0] == '0'
	h.status = rest[2 : 2+digits]
	n, err := strconv.ParseUint(h.status, 10, 16)
	if err != nil || n < 100 || n > 599 {
		return fmt.Errorf("%w: status %q", errBadReply, h.status)
	}
	h.code = int(n)
	return nil
}

// hop reads a header of this hop; named are those that Connection names.
func (h *answerHead) hop(name, value string, named []string) ([]string, error) {
	switch {
	case strings.EqualFold(name, "content-length"):
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || (h.length >= 0 && h.length != int64(n)) {
			return nil, fmt.Errorf("%w: Content-Length %q", errBadReply, value)
		}
		h.length = int64(n)
	case strings.EqualFold(name, "transfer-encoding"):
		if h.chunked || !strings.EqualFold(value, "chunked") {
			return nil, fmt.Errorf("%w: Transfer-Encoding %q", errBadReply, value)
		}
		h.chunked = true
	case strings.EqualFold(name, "upgrade"):
		h.upgrade = value
	case strings.EqualFold(name, "connection"):
		for token := range splitList(value) {
			switch {
			case strings.EqualFold(token, "close"):
				h.close = true
			case strings.EqualFold(token, "keep-alive"): // an answer of 1.0 that means it: not used again
			default:
				named = append(named, token)
			}
		}
	}
	return named, nil
}

// drop takes a header out.
func (h *answerHead) drop(name string) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !strings.EqualFold(f.name, name) {
			kept = append(kept, f)
		}
	}
	h.fields = kept
}

// Get implements broker.Head.
func (h *answerHead) Get(name string) string {
	switch name {
	case headerStatus:
		return h.status
	case "upgrade":
		return h.upgrade
	}
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].name, name) {
			return h.fields[i].value
		}
	}
	return ""
}

// Each implements broker.Head.
func (h *answerHead) Each(yield func(name, value string) bool) {
	for i := range h.fields {
		if !yield(h.fields[i].name, h.fields[i].value) {
			return
		}
	}
}
