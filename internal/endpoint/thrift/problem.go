// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// Words of rest.md §4.
const (
	wordException  = "exception"
	wordNoMethod   = "no-method"
	wordInternal   = "internal"
	wordBadReply   = "bad-reply"
	wordBadRequest = "bad-request"
	wordOverloaded = "overloaded"
	wordDeadline   = "deadline"
)

// verdict is what a TApplicationException means: for the member, for an asker of JSON, and for a
// message that nobody waits for.
type verdict struct {
	class   endpoint.Class
	status  int
	code    string
	outcome broker.Outcome
}

// judge says what an exception means (thrift.md §3.1, resilience.md §1).
func (k *Kind) judge(t thrift.ExceptionType) verdict {
	if k.options.FBThrift {
		switch t { //nolint:exhaustive // the others mean the same everywhere
		case thrift.ValidationFailed: // load shedding there
			return verdict{
				endpoint.ClassOverloaded, http.StatusServiceUnavailable, wordOverloaded, broker.Released,
			}
		case thrift.Timeout:
			return verdict{
				endpoint.ClassUnavailable, http.StatusGatewayTimeout, wordDeadline, broker.Released,
			}
		}
	}
	switch t {
	case thrift.UnknownMethod:
		return verdict{
			endpoint.ClassSuccess, http.StatusNotImplemented, wordNoMethod, broker.Rejected,
		}
	case thrift.InvalidMessageType, thrift.ProtocolError:
		return verdict{endpoint.ClassSuccess, http.StatusBadGateway, wordBadReply, broker.Rejected}
	case thrift.ValidationFailed:
		return verdict{endpoint.ClassSuccess, http.StatusBadRequest, wordBadRequest, broker.Rejected}
	case thrift.WrongMethodName, thrift.BadSequenceID:
		return verdict{endpoint.ClassBadReply, http.StatusBadGateway, wordBadReply, broker.Rejected}
	case thrift.InternalError:
		return verdict{
			endpoint.ClassUnavailable, http.StatusInternalServerError, wordInternal, broker.Released,
		}
	case thrift.Unknown, thrift.MissingResult, thrift.InvalidTransform, thrift.InvalidProtocol,
		thrift.UnsupportedClientType, thrift.Timeout:
	}
	return verdict{endpoint.ClassFailed, http.StatusBadGateway, wordBadReply, broker.Released}
}

// problem is an error of a service's, for an asker of JSON (RFC 9457).
type problem struct {
	status    int
	code      string
	detail    string
	exception string
	data      json.RawMessage
}

// problemBody are its members, as they are written.
type problemBody struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Detail    string          `json:"detail,omitempty"`
	Code      string          `json:"code"`
	Exception string          `json:"exception,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// problem makes a problem the answer.
func (a *answer) problem(p problem) {
	body, err := json.Marshal(problemBody{
		Type: "/problems/" + p.code, Title: titleOf(p.code), Status: p.status,
		Detail: strings.ToValidUTF8(p.detail, "\uFFFD"), Code: p.code, Exception: p.exception, Data: p.data,
	})
	if err != nil { // data that is no JSON, which nobody makes
		body = []byte("{}")
	}
	a.status, a.contentType, a.body = p.status, typeProblem, body
}

// titleOf returns the title of a code, as the REST door has it.
func titleOf(code string) string {
	switch code {
	case wordException:
		return "Exception"
	case wordNoMethod:
		return "No such method"
	case wordInternal:
		return "Internal error"
	case wordBadRequest:
		return "Bad request"
	case wordOverloaded:
		return "Overloaded"
	case wordDeadline:
		return "Deadline passed"
	}
	return "Bad reply"
}
