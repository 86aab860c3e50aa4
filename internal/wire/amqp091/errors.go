// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"fmt"
	"strconv"
	"strings"
)

// ReplyCode is a reply code of AMQP 0-9-1 §1.2.
type ReplyCode uint16

// Reply codes. The names are those of the specification.
const (
	ReplySuccess       ReplyCode = 200
	ContentTooLarge    ReplyCode = 311
	NoRoute            ReplyCode = 312
	NoConsumers        ReplyCode = 313
	ConnectionForced   ReplyCode = 320
	InvalidPath        ReplyCode = 402
	AccessRefused      ReplyCode = 403
	NotFound           ReplyCode = 404
	ResourceLocked     ReplyCode = 405
	PreconditionFailed ReplyCode = 406
	FrameError         ReplyCode = 501
	SyntaxError        ReplyCode = 502
	CommandInvalid     ReplyCode = 503
	ChannelError       ReplyCode = 504
	UnexpectedFrame    ReplyCode = 505
	ResourceError      ReplyCode = 506
	NotAllowed         ReplyCode = 530
	NotImplemented     ReplyCode = 540
	InternalError      ReplyCode = 541
)

// String returns the code's name as it stands in reply texts, such as NOT_FOUND.
func (c ReplyCode) String() string {
	switch c {
	case ReplySuccess:
		return "REPLY_SUCCESS"
	case ContentTooLarge:
		return "CONTENT_TOO_LARGE"
	case NoRoute:
		return "NO_ROUTE"
	case NoConsumers:
		return "NO_CONSUMERS"
	case ConnectionForced:
		return "CONNECTION_FORCED"
	case InvalidPath:
		return "INVALID_PATH"
	case AccessRefused:
		return "ACCESS_REFUSED"
	case NotFound:
		return "NOT_FOUND"
	case ResourceLocked:
		return "RESOURCE_LOCKED"
	case PreconditionFailed:
		return "PRECONDITION_FAILED"
	case FrameError:
		return "FRAME_ERROR"
	case SyntaxError:
		return "SYNTAX_ERROR"
	case CommandInvalid:
		return "COMMAND_INVALID"
	case ChannelError:
		return "CHANNEL_ERROR"
	case UnexpectedFrame:
		return "UNEXPECTED_FRAME"
	case ResourceError:
		return "RESOURCE_ERROR"
	case NotAllowed:
		return "NOT_ALLOWED"
	case NotImplemented:
		return "NOT_IMPLEMENTED"
	case InternalError:
		return "INTERNAL_ERROR"
	default:
		return strconv.Itoa(int(c))
	}
}

// Hard reports whether the code closes the connection; the others close the channel.
func (c ReplyCode) Hard() bool {
	return c == ConnectionForced || c == InvalidPath || c >= FrameError
}

// Error is a fault in the bytes of the peer, with the code that answers it: 501, 502, 503 or 505.
type Error struct {
	Code    ReplyCode
	Channel uint16 // of the frame, when it is known
	Text    string // explanation for the reply text, without the code's name
}

// Error implements error.
func (e *Error) Error() string {
	return "amqp 0-9-1: " + strings.ToLower(e.Code.String()) + ": " + e.Text
}

func syntaxError(text string) error { return &Error{Code: SyntaxError, Text: text} }

// NewUnexpectedFrame returns the 505 that answers a frame in the wrong place, in the words of
// RabbitMQ: type, and the first octets as Erlang prints them.
func NewUnexpectedFrame(f Frame) *Error {
	return &Error{Code: UnexpectedFrame, Channel: f.Channel, Text: describe(f)}
}

func frameError(f Frame, why string) *Error {
	return &Error{Code: FrameError, Channel: f.Channel, Text: describe(f) + ": " + why}
}

// snippetBytes is how much of a payload an error text shows.
const snippetBytes = 16

func describe(f Frame) string {
	which, snippet := "all", f.Payload
	if len(snippet) > snippetBytes {
		which, snippet = "first 16", snippet[:snippetBytes]
	}
	return fmt.Sprintf("type %d, %s octets = %s", f.Type, which, erlangBinary(snippet))
}

// erlangBinary prints p as Erlang's ~p does: <<"text">> when printable, else <<1,2,3>>.
func erlangBinary(p []byte) string {
	var b strings.Builder
	b.WriteString("<<")
	if len(p) > 0 && printable(p) {
		b.WriteString(strconv.Quote(string(p)))
	} else {
		for i, c := range p {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(int(c)))
		}
	}
	b.WriteString(">>")
	return b.String()
}

func printable(p []byte) bool {
	for _, c := range p {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
