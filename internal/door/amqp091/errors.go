// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"errors"
	"fmt"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// fault is an exception of AMQP 0-9-1 §1.2: it closes a channel, or the connection.
type fault struct {
	code   wire.ReplyCode
	text   string
	method wire.MethodID // that failed; 0 when there is none
	hard   bool          // closes the connection, whatever the code
}

// Error returns the reply text as the client sees it.
func (f *fault) Error() string { return replyText(f.code, f.text) }

// closesConnection reports whether the fault reaches beyond its channel.
func (f *fault) closesConnection() bool { return f.hard || f.code.Hard() }

// onlyAsked reports whether the fault is how a passive declaration says that there is no such thing.
func (f *fault) onlyAsked() bool {
	return f.code == wire.NotFound &&
		(f.method == wire.IDQueueDeclare || f.method == wire.IDExchangeDeclare)
}

// cutMark ends a reply text that was too long.
const cutMark = "..."

// replyText is the form that clients match: NAME - explanation, at most 255 octets.
func replyText(code wire.ReplyCode, text string) string {
	if text == "" {
		return code.String()
	}
	s := code.String() + " - " + text
	if len(s) > wire.MaxShortString {
		return s[:wire.MaxShortString-len(cutMark)] + cutMark
	}
	return s
}

func faultf(code wire.ReplyCode, method wire.MethodID, format string, args ...any) *fault {
	return &fault{code: code, method: method, text: fmt.Sprintf(format, args...)}
}

// toFault turns what a handler returned into the exception that answers it.
func toFault(err error, method wire.MethodID) *fault {
	f := asFault(err)
	if f == nil {
		f = &fault{code: wire.InternalError, hard: true}
	}
	if f.method == 0 {
		f.method = method
	}
	return f
}

// asFault returns the exception that err is, or nil when the connection itself failed.
func asFault(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	if w, ok := errors.AsType[*wire.Error](err); ok {
		return &fault{code: w.Code, text: w.Text, hard: true}
	}
	if b, ok := errors.AsType[*broker.Error](err); ok {
		hard := b.Scope == broker.ScopeConnection
		return &fault{code: replyCode(b), text: b.Text, hard: hard}
	}
	return nil
}

// replyCode translates the heart's codes (amqp-0-9-1.md).
func replyCode(e *broker.Error) wire.ReplyCode {
	switch e.Code {
	case broker.CodeNotFound:
		if e.Scope == broker.ScopeConnection {
			return wire.NotAllowed // an unknown virtual host
		}
		return wire.NotFound
	case broker.CodeForbidden:
		if e.Scope == broker.ScopeConnection {
			return wire.NotAllowed // a virtual host that the user may not open
		}
		return wire.AccessRefused
	case broker.CodeLimit:
		if e.Scope == broker.ScopeConnection {
			return wire.NotAllowed
		}
		return wire.PreconditionFailed
	case broker.CodeExclusiveUse, broker.CodeUnauthenticated:
		return wire.AccessRefused
	case broker.CodeLocked:
		return wire.ResourceLocked
	case broker.CodeNotAllowed:
		return wire.NotAllowed
	case broker.CodeNotImplemented:
		return wire.NotImplemented
	case broker.CodeDraining:
		return wire.ConnectionForced
	case broker.CodeAlarm, broker.CodeQuota:
		return wire.ResourceError
	case broker.CodeUnroutable, broker.CodeNoService:
		return wire.NoRoute
	case broker.CodeInternal:
		return wire.InternalError
	default:
		// Bad arguments, inequivalent declarations, conditional deletes, unknown tags, sizes.
		return wire.PreconditionFailed
	}
}

// Faults of a client that breaks the order of frames; 504 and 505 close the connection.
func expectedOpen(method wire.MethodID) *fault {
	return faultf(wire.ChannelError, method, "expected 'channel.open'")
}

func unexpectedFrame(text string) *fault {
	return &fault{code: wire.UnexpectedFrame, text: text}
}

// cut bounds what a log line shows of a client's own words; the log's handler quotes them.
func cut(s string) string {
	const most = 64 // octets
	return s[:min(len(s), most)]
}
