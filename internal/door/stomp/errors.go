// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// fault is an ERROR frame to be: the header message and the body. The texts are those that clients
// match.
type fault struct {
	message string
	body    string
	// subscription is the header of that name, for faults that are about one.
	subscription string
	// unreadable says that the octets were no frame, so that what follows has no meaning.
	unreadable bool
	// kind and about are for dialects that have other words.
	kind  faultKind
	about string
}

// faultKind tells apart the faults that are the same in every dialect but for the words.
type faultKind uint8

const (
	faultOther           faultKind = iota
	faultCommand                   // about a word
	faultNotConnected              //
	faultConnected                 //
	faultVersion                   // about a list
	faultLogin                     // about a user
	faultHeartBeat                 // about the header
	faultNoTransaction             // about a command
	faultTransaction               // about a name
	faultOpenTransaction           // about a name
)

// of gives a fault its kind and what it is about.
func (f *fault) of(kind faultKind, about string) *fault {
	f.kind, f.about = kind, about
	return f
}

// Error returns both texts in one line, or the one that both are.
func (f *fault) Error() string {
	body := strings.TrimSpace(f.body)
	if body == f.message {
		return body
	}
	return f.message + ": " + body
}

// newFault returns a fault with a formatted body.
func newFault(message, format string, args ...any) *fault {
	return &fault{message: message, body: fmt.Sprintf(format, args...)}
}

// quoteBytesMax is how much of a client's octets an ERROR repeats.
const quoteBytesMax = 300

// shown returns a client's octets as they may stand in an ERROR to that client and in a log.
func shown(text []byte) string {
	return strings.ToValidUTF8(string(text[:min(len(text), quoteBytesMax)]), "?")
}

// badCommand is a command that no client sends.
func badCommand(f *wire.Frame) *fault {
	return newFault("Bad command", "Could not interpret command %q\n", f.Word).
		of(faultCommand, shown(f.Word))
}

// notConnected is a first frame other than CONNECT, alreadyConnected a second CONNECT.
func notConnected() *fault {
	return newFault("Illegal command", "You must log in using CONNECT first").
		of(faultNotConnected, "")
}

func alreadyConnected() *fault {
	return newFault("Illegal command", "You are logged in already").of(faultConnected, "")
}

// loginRefused is a user who may not log in, or not with this passcode.
func loginRefused(user string) *fault {
	user = shown([]byte(user))
	return badConnect("Access refused for user '%s'\n", user).of(faultLogin, user)
}

// missingHeader is a frame without a header that it needs.
func missingHeader(command wire.Command, name string) *fault {
	return newFault("Missing header", "%q must include the %q header\n", command.String(), name)
}

// invalidHeader is a frame with a value that names nothing.
func invalidHeader(command wire.Command, name string) *fault {
	return newFault("Invalid header", "%q must include a valid %q header\n", command.String(), name)
}

// invalidDestination is a destination of a known kind with no name, or with too many.
func invalidDestination(kind destinationKind, rest []byte) *fault {
	return newFault("Invalid destination", "'%s' is not a valid %s destination\n", shown(rest), kind)
}

// unusableDestination is a destination that does not go with the command.
func unusableDestination(text []byte, command wire.Command) *fault {
	return newFault("Invalid destination", "'%s' is not a valid destination for '%s'\n",
		shown(text), command)
}

// unknownDestination is a destination of no known kind.
func unknownDestination(text []byte) *fault {
	return newFault("Unknown destination", "'%s' is not a valid destination.\n"+
		"Valid destination types are: /temp-queue, /exchange, /topic, /queue, /amq/queue, "+
		"/reply-queue/.\n", shown(text))
}

// badConnect is a login that is refused.
func badConnect(format string, args ...any) *fault {
	return newFault("Bad CONNECT", format, args...)
}

// wireFault translates what the decoder says.
func wireFault(err error) *fault {
	var e *wire.Error
	if !errors.As(err, &e) {
		return newFault("Invalid frame", "%v\n", err)
	}
	f := newFault(e.Message(), "%s\n", e.Detail())
	switch e.Fault {
	case wire.FaultHeadersMany, wire.FaultHeaderLong, wire.FaultBodyLarge, wire.FaultFrameLarge:
	default:
		f.unreadable = true
	}
	return f
}

// brokerFault translates what the heart says: its code becomes the header message, and its text
// the body, behind the name of AMQP's reply code as RabbitMQ writes it.
func brokerFault(err error) *fault {
	var e *broker.Error
	if !errors.As(err, &e) {
		return newFault("internal_error", "INTERNAL_ERROR")
	}
	if e.Code == broker.CodeUnknownTag {
		return newFault("Message not found", "%s\n", e.Text)
	}
	return amqpFault(codeWord(e.Code), "%s", e.Text)
}

// amqpFault is a fault with the name of one of AMQP's reply codes.
func amqpFault(word, format string, args ...any) *fault {
	return newFault(word, "%s - %s", strings.ToUpper(word), fmt.Sprintf(format, args...))
}

// codeWord returns the header message for a code of the heart: the names of AMQP's reply codes,
// as RabbitMQ shows them.
func codeWord(c broker.Code) string {
	switch c {
	case broker.CodeNotFound, broker.CodeNoService:
		return "not_found"
	case broker.CodeForbidden, broker.CodeExclusiveUse, broker.CodeUnauthenticated:
		return "access_refused"
	case broker.CodeLocked:
		return "resource_locked"
	case broker.CodeBadRequest, broker.CodeInequivalent, broker.CodeInUse, broker.CodeTooLarge:
		return "precondition_failed"
	case broker.CodeNotAllowed, broker.CodeLimit:
		return "not_allowed"
	case broker.CodeNotImplemented:
		return "not_implemented"
	case broker.CodeInternal:
		return "internal_error"
	case broker.CodeDraining:
		return "connection_forced"
	default:
		return c.String()
	}
}

// appendError appends an ERROR frame. receipt is the receipt that the offending frame asked for.
func appendError(b []byte, v wire.Version, f *fault, receipt []byte) []byte {
	b = wire.AppendCommand(b, wire.ErrorFrame)
	b = wire.AppendHeader(b, v, "message", f.message)
	b = append(b, "content-type:text/plain\nversion:"+wire.Supported+"\n"...)
	if len(receipt) > 0 {
		b = wire.AppendHeader(b, v, "receipt-id", receipt)
	}
	if f.subscription != "" {
		b = wire.AppendHeader(b, v, "subscription", f.subscription)
	}
	b = wire.AppendNumber(b, "content-length", int64(len(f.body)))
	return wire.AppendBody(b, []byte(f.body))
}
