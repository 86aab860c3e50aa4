// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/trace"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// The code words that this door uses itself; all others are those of broker.Code (rest.md, Problems).
const (
	codeAlarm           = "alarm"
	codeBadReply        = "bad-reply"
	codeBadRequest      = "bad-request"
	codeException       = "exception"
	codeInternal        = "internal"
	codeMediaType       = "media-type"
	codeNoMethod        = "no-method"
	codeNoService       = "no-service"
	codeTooLarge        = "too-large"
	codeUnauthenticated = "unauthenticated"
)

// problem is an error on its way to the client.
type problem struct {
	word, detail string
	// kind is the type of the exception, when it is not the one of the word.
	kind  wire.ExceptionType
	cause error // for the log
}

// Error returns word, detail and cause.
func (p *problem) Error() string {
	if p.cause != nil {
		return p.word + ": " + p.detail + ": " + p.cause.Error()
	}
	return p.word + ": " + p.detail
}

// Unwrap returns the cause.
func (p *problem) Unwrap() error { return p.cause }

func problemf(word, format string, args ...any) *problem {
	return &problem{word: word, detail: fmt.Sprintf(format, args...)}
}

// refusal is why a client may not come in.
func refusal(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &problem{
		word: codeUnauthenticated, detail: "the listener knows no user for this client",
		cause: err,
	}
}

// unsayable is an answer that the client's form has no room for.
func unsayable(err error) error {
	return &problem{word: codeBadReply, detail: "the answer is too large for the form of the call", cause: err}
}

// quoteBytesMax is how much of a client's text a log repeats.
const quoteBytesMax = 64

// shown returns a client's text as it may stand in a log.
func shown[T string | []byte](text T) string {
	return strings.ToValidUTF8(string(text[:min(len(text), quoteBytesMax)]), "?")
}

// problemOf translates what the heart says: its code words are this door's.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*broker.Error](err)
	switch {
	case !ok, e.Code == broker.CodeInternal:
		return &problem{word: codeInternal, detail: "the hub failed", cause: err}
	default:
		return &problem{word: e.Code.String(), detail: e.Text, cause: err}
	}
}

// kindOf returns the type of the exception that stands for a code (rest.md, Problems).
func kindOf(word string) wire.ExceptionType {
	switch word {
	case codeNoService, codeNoMethod:
		return wire.UnknownMethod
	case codeBadRequest, codeTooLarge, codeMediaType, "key-missing":
		return wire.ProtocolError
	default:
		return wire.InternalError
	}
}

// fail answers with an error.
func (c *call) fail(err error) {
	p := problemOf(err)
	c.word = p.word
	var id string
	if p.word == codeInternal && p.cause != nil { // a service's own failure has none
		id = trace.New(false).Trace.String()
		c.door.options.Logger.Error("call failed", "peer", c.caller.Peer, "service", shown(c.service),
			"operation", shown(c.head.Name), "trace_id", id, "error", err)
	}
	kind := p.kind
	if kind == wire.Unknown {
		kind = kindOf(p.word)
	}
	text := p.word + ": " + p.detail
	if id != "" {
		text += " (trace " + id + ")"
	}
	if kind == wire.UnknownMethod { // as servers say it, which clients look for
		text = "Unknown function " + shown(c.head.Name)
		if p.word == codeNoService {
			text += " (" + p.detail + ")"
		}
	}
	c.exception(kind, text)
}

// exception answers with a TApplicationException.
func (c *call) exception(kind wire.ExceptionType, text string) {
	c.outcome = endException
	w := &c.writer
	w.Reset(c.message.Protocol, c.answer[:0])
	e := wire.ApplicationException{Type: kind, Message: []byte(strings.ToValidUTF8(text, "?"))}
	e.Append(w, c.head)
	c.answer = w.Bytes()
}

// spoil refuses a message that was not read.
func (c *call) spoil(err error) {
	c.readHead()
	c.refuse(err)
	c.count()
}

// readHead reads the head alone of a message that is refused, where it has come: it is answered under its
// own name and id, since clients look at nothing else otherwise, and as it was written.
func (c *call) readHead() {
	limits := c.door.limits
	limits.StrictBinary = false
	c.reader.Reset(c.message.Protocol, c.message.Bytes, limits)
	if head, err := c.reader.MessageBegin(); err == nil {
		c.head = head
	}
}

// refuse answers a message that is none, and closes the connection: what follows cannot be trusted.
func (c *call) refuse(err error) {
	c.closes = true
	_, c.head.Name = wire.SplitName(c.head.Name)
	broken, ok := errors.AsType[*wire.Error](err)
	if !ok {
		c.fail(err)
		return
	}
	c.word = codeBadRequest
	c.exception(broken.Answer(), codeBadRequest+": "+broken.Error())
}

// deny answers a client that may not come in, and closes the connection.
func (c *call) deny(err error) {
	c.closes = true
	if err := c.read(); err != nil {
		c.refuse(err)
		return
	}
	_, c.head.Name = wire.SplitName(c.head.Name)
	c.fail(err)
}
