// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// answerJSON makes the answer of a success value.
func (c *call) answerJSON() error {
	m, body := c.method, c.got.body
	if m.Function.Returns.True().Kind != contract.KindVoid && len(bytes.TrimSpace(body)) == 0 {
		return missingResult(c.head.Name)
	}
	p := c.message.Protocol
	result, err := c.transcoder.ResultFromJSON(c.body[:0], m, p, body)
	if err != nil {
		return &problem{word: codeBadReply, detail: "the service's answer is no result: " + err.Error()}
	}
	c.body = result
	c.answerResult(result)
	return nil
}

// missingResult is what clients say themselves of a result without a value.
func missingResult(method []byte) error {
	return &problem{
		word: codeBadReply, kind: wire.MissingResult, detail: shown(method) + " failed: unknown result",
	}
}

// answerResult makes the answer of the struct of a result.
func (c *call) answerResult(result []byte) {
	to := c.head
	to.Type = wire.Reply
	c.answer = c.appendMessage(c.answer[:0], c.message.Protocol, to, result)
}

// convertResult makes the answer of a result in a protocol that needs the contract: TJSON says not of a
// string whether it is text. The head of the message has been read.
func (c *call) convertResult(p wire.Protocol) error {
	if c.method == nil {
		return problemf(codeBadReply, "the service answers in %s, and has no contract", p)
	}
	result, err := c.rest(false)
	if err != nil {
		return badReply(err)
	}
	c.body, err = c.transcoder.ConvertResult(c.body[:0], c.method,
		contract.Conversion{From: p, To: c.message.Protocol}, result)
	if err != nil {
		return badReply(err)
	}
	c.answerResult(c.body)
	return nil
}

// problemBody is the error of a service (RFC 9457, rest.md, Problems).
type problemBody struct {
	Title     string          `json:"title"`
	Detail    string          `json:"detail"`
	Code      string          `json:"code"`
	Exception string          `json:"exception"`
	Data      json.RawMessage `json:"data"`
}

// problem returns the error that an answer is, or nil: the hub's own, or the service's. A service says it
// by the header parley-error, or by its HTTP status.
func (r *reply) problem() *problemBody {
	word, ok := r.headers.Text(broker.HeaderError)
	if !ok {
		if r.failure == "" {
			return nil
		}
		word = r.failure
	}
	var p problemBody
	if !bytes.HasPrefix(bytes.TrimSpace(r.body), []byte("{")) || json.Unmarshal(r.body, &p) != nil {
		p = problemBody{}
	}
	if text, has := r.headers.Text(broker.HeaderErrorMessage); has {
		p.Detail = text
	}
	switch {
	case word != codeException: // the service's own word, or the hub's; the fields are all that is there
		if p.Data == nil {
			p.Data = r.body
		}
		p.Code, p.Exception = word, word
	case p.Code == "":
		p.Code = codeException
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	if status, has := r.headers.Get(headerStatus); has && p.Detail == "" {
		p.Detail = "the service answered with status " + textOf(status)
	}
	return &p
}

// answerProblem answers with the error of a service: an exception that the method declares, or a
// TApplicationException.
func (c *call) answerProblem(p *problemBody) error {
	if thrown := c.thrown(p.Exception); thrown != nil {
		data := p.Data
		if len(bytes.TrimSpace(data)) == 0 {
			data = []byte("{}")
		}
		result, err := c.transcoder.ExceptionFromJSON(c.body[:0],
			contract.Thrown{Method: c.method, Field: thrown}, c.message.Protocol, data)
		if err == nil {
			c.body = result
			c.answerResult(result)
			return nil
		}
		return &problem{
			word: codeBadReply, detail: "the service's exception " + shown(p.Exception) + ": " + err.Error(),
		}
	}
	detail := p.Detail
	if p.Exception != "" && p.Exception != p.Code {
		detail = strings.TrimSuffix(p.Exception+": "+detail, ": ")
	}
	return &problem{word: shown(p.Code), detail: detail}
}

// thrown returns the exception with that name among those that the method declares, or nil.
func (c *call) thrown(name string) *contract.Field {
	if c.method == nil || name == "" || c.method.Function.Throws == nil {
		return nil
	}
	for _, f := range c.method.Function.Throws.Fields {
		if s := f.Type.True().Struct; s != nil && s.Name == name {
			return f
		}
	}
	return nil
}
