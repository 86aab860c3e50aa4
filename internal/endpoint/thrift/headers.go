// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// Headers of a message, and keys of frames with headers, that mean something here.
const (
	headerAttempt = "parley-attempt"
	headerKey     = "idempotency-key"
	headerPrefer  = "prefer"
	headerStatus  = "http-status"

	// keyTimeout is what is left of the time in ms (fbthrift).
	keyTimeout = "client_timeout"
	// keyService is Kitex's: the service, at a server that has several.
	keyService = "isn"
	// keyClose is Kitex's: the peer wants the connection closed.
	keyClose = "crrst"
)

// Bounds of the headers that go on or come back.
const (
	maxPairs     = 64
	maxPairBytes = 16 << 10
)

// readHead takes out of a call's headers what counts here, and those that go on.
func (r *request) readHead() error {
	if h := r.of.Head; h != nil {
		r.note(headerAttempt, h.Get("Parley-Attempt"))
		r.note(headerKey, h.Get("Idempotency-Key"))
		r.note(headerPrefer, h.Get("Prefer"))
		if r.kind.headers {
			size := 0
			// Names of HTTP know no case; keys of frames with headers are passed on as they are.
			fold := h.Get("http-method") != ""
			h.Each(func(name, value string) bool {
				if fold || strings.EqualFold(name, "content-type") {
					name = strings.ToLower(name)
				}
				r.pass(name, value, &size)
				return true
			})
		}
		return nil
	}
	if r.of.Message.Format == nil {
		return nil // the envelope says it all
	}
	p, err := r.of.Message.Properties()
	if err != nil {
		return badRequest("the properties cannot be read", err)
	}
	size := 0
	for i := range p.Headers {
		f := &p.Headers[i]
		text, ok := f.Value.(string)
		if !ok {
			n, whole := p.Headers[i : i+1].Integer(f.Name)
			if !whole {
				continue
			}
			text = strconv.FormatInt(n, 10)
		}
		r.note(strings.ToLower(f.Name), text)
		if r.kind.headers {
			r.pass(f.Name, text, &size)
		}
	}
	return nil
}

// note takes what a header says to the hub.
func (r *request) note(name, value string) {
	if value == "" {
		return
	}
	switch name {
	case headerAttempt:
		if n, err := strconv.ParseUint(value, 10, 16); err == nil {
			r.attempt = int(n)
		}
	case headerKey:
		r.idempotent = true
	case headerPrefer:
		r.lenient = lenient(value)
	}
}

// lenient reports whether Prefer has handling=lenient (RFC 7240 §4.4).
func lenient(value string) bool {
	for part := range strings.SplitSeq(value, ",") {
		part, _, _ = strings.Cut(part, ";")
		name, how, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(name), "handling") {
			return strings.EqualFold(strings.Trim(strings.TrimSpace(how), `"`), "lenient")
		}
	}
	return false
}

// pass lets a header go on, as long as they are not too many. What another protocol frames its bodies
// with stays behind, and so does what the hub says itself.
func (r *request) pass(name, value string, size *int) {
	if !outward(name) || len(r.pairs) == maxPairs || *size+len(name)+len(value) > maxPairBytes {
		return
	}
	*size += len(name) + len(value)
	r.pairs = append(r.pairs, thrift.Pair{Key: []byte(name), Value: []byte(value)})
}

// outward reports whether a header of the message goes on to the service.
func outward(name string) bool {
	switch name {
	case "", headerAttempt, headerPrefer, headerStatus, keyTimeout, keyClose, "queue_timeout",
		"http-method", "http-path", "http-query", "content-type", "content-encoding", "content-length",
		keyService, broker.HeaderTimeout, broker.HeaderDeadline:
		return false
	}
	return !strings.HasPrefix(name, "biz-")
}

// inward reports whether a header of an answer comes back. What the hub says about itself nobody else
// does, and what frames a body is the door's matter.
func inward(key []byte) bool {
	name := strings.ToLower(string(key))
	switch name {
	case "", keyClose, keyTimeout, "content-type", "content-encoding", "content-length":
		return false
	}
	return !strings.HasPrefix(name, "parley-") && !strings.HasPrefix(name, "http-")
}

// fieldsOf copies the headers of an answer.
func fieldsOf(h *thrift.Header) []field {
	var out []field
	size := 0
	for key, value := range h.All() {
		size += len(key) + len(value)
		if !inward(key) || size > maxPairBytes {
			continue
		}
		if out = append(out, field{string(key), string(value)}); len(out) == maxPairs {
			break
		}
	}
	return out
}

// field is one header.
type field struct{ name, value string }
