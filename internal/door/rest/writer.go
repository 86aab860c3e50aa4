// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/parley-ipc/parley/internal/broker"
)

// Writer writes messages as this door shows them, for posts to webhooks.
type Writer struct{}

// Plain sets the properties of a message as headers.
func (Writer) Plain(h http.Header, p *broker.Properties) { propertiesOut(h, p) }

// Binary sets the attributes and the content type of a message that is an event.
func (Writer) Binary(h http.Header, p *broker.Properties) {
	e, _ := eventOf(p, nil)
	e.binaryOut(h)
	if e.contentType != "" && fieldValue(e.contentType) {
		h.Set("Content-Type", e.contentType)
	}
}

var errNoEvent = errors.New("the message is no event")

// Structured returns a message that is an event as JSON.
func (Writer) Structured(p *broker.Properties, body []byte) ([]byte, error) {
	e, ok := eventOf(p, body)
	if !ok {
		return nil, errNoEvent
	}
	return e.structuredOut()
}

// Result returns what a request has ended with: the service's status, headers and body, or a problem.
func (Writer) Result(h http.Header, q *broker.Request) (status int, body []byte, err error) {
	var a *answer
	found, err := q.View(func(m *broker.Message) { a = newAnswer(m) })
	if err != nil {
		return 0, nil, err
	}
	known := newCatalogue()
	p := endOf(q)
	if found {
		if p = a.problem(known); p == nil {
			status, err = a.status()
			if err == nil {
				a.headersOut(h)
				return status, a.body, nil
			}
			p = problemOf(err)
		}
	}
	b := known.body(p)
	h.Set("Content-Type", "application/problem+json")
	body, err = json.Marshal(b)
	return b.Status, body, err
}
