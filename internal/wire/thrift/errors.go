// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"errors"
	"strconv"
)

// Kind says in which way bytes are wrong. The first six have the numbers of TProtocolException.
type Kind uint8

// Kinds of errors.
const (
	InvalidData      Kind = 1 // what is there cannot stand there
	NegativeSize     Kind = 2
	SizeLimit        Kind = 3 // more than is left, or than a limit allows
	BadVersion       Kind = 4
	NotImplemented   Kind = 5
	DepthLimit       Kind = 6 // more than MaxDepth levels
	UnknownTransform Kind = 7 // a THeader transform that cannot be undone
	UnknownProtocol  Kind = 8 // a THeader protocol id that is none of ours
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case InvalidData:
		return "invalid data"
	case NegativeSize:
		return "negative size"
	case SizeLimit:
		return "size limit"
	case BadVersion:
		return "bad version"
	case NotImplemented:
		return "not implemented"
	case DepthLimit:
		return "depth limit"
	case UnknownTransform:
		return "unknown transform"
	case UnknownProtocol:
		return "unknown protocol"
	default:
		return "kind " + strconv.Itoa(int(k))
	}
}

// Error is a fault in the bytes of the peer, or a value that its protocol cannot express.
type Error struct {
	Kind Kind
	At   int // the octet of the message, frame or stream at which it was seen
	Text string
}

// Error implements error.
func (e *Error) Error() string {
	return "thrift: " + e.Kind.String() + " at byte " + strconv.Itoa(e.At) + ": " + e.Text
}

// Answer returns the type of the exception that answers the fault.
func (e *Error) Answer() ExceptionType {
	switch e.Kind {
	case UnknownTransform:
		return InvalidTransform
	case UnknownProtocol:
		return InvalidProtocol
	default:
		return ProtocolError
	}
}

// errMore stops a Walker where the bytes that have arrived end.
var errMore = errors.New("thrift: more octets are needed")

func fault(kind Kind, at int, text string) error { return &Error{Kind: kind, At: at, Text: text} }
