// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// Words of rest.md, Problems.
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

// judge says what an exception means (thrift.md, Door, resilience.md, What counts as what).
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

// Kitex's keys of a business error: an answer without a result, which is no failure of the service.
const (
	keyBusiness        = "biz-status"
	keyBusinessMessage = "biz-message"
)

// businessOf returns the status of a business error, if the answer is one.
func businessOf(h *thrift.Header) (status int64, ok bool) {
	if !h.Kitex {
		return 0, false
	}
	text, ok := h.Get(keyBusiness)
	if !ok {
		return 0, false
	}
	status, err := strconv.ParseInt(string(text), 10, 32)
	return status, err == nil && status != 0
}

// business makes a business error the answer, as if the method had declared it.
func (a *answer) business(status int64, h *thrift.Header) {
	message, _ := h.Get(keyBusinessMessage)
	text := strings.ToValidUTF8(string(message), "\uFFFD")
	data, err := json.Marshal(struct {
		Status  int64  `json:"status"`
		Message string `json:"message"`
	}{status, text})
	if err != nil { // a number and a text are always JSON
		data = nil
	}
	a.problem(problem{
		status: http.StatusUnprocessableEntity, code: wordException, detail: text,
		exception: "BizStatusError", data: data,
	})
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
