// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"strconv"
)

// MessageType is the type in a message's head.
type MessageType uint8

// Types of messages.
const (
	Call      MessageType = 1
	Reply     MessageType = 2
	Exception MessageType = 3 // carries an ApplicationException instead of a result
	Oneway    MessageType = 4
)

// String returns the name that the specification has for the type.
func (t MessageType) String() string {
	switch t {
	case Call:
		return "call"
	case Reply:
		return "reply"
	case Exception:
		return "exception"
	case Oneway:
		return "oneway"
	default:
		return "message type " + strconv.Itoa(int(t))
	}
}

// Head is the head of a message.
type Head struct {
	Name []byte // the method, or service:method of a multiplexed client
	Type MessageType
	Seq  int32
	Lax  bool // binary only: without a version, as old writers do; the answer is written alike
}

// SplitName splits the name of a multiplexed message at its first colon. Without one the service is
// nil: the default one is meant.
func SplitName(name []byte) (service, method []byte) {
	before, after, ok := bytes.Cut(name, []byte{':'})
	if !ok {
		return nil, name
	}
	return before, after
}
