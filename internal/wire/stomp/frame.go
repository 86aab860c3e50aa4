// SPDX-License-Identifier: Apache-2.0

package stomp

// Command is a frame's command as a number, so that a door can switch over it.
type Command uint8

// The commands of all three versions, the client's first. Unknown is any other word.
const (
	Unknown Command = iota
	Connect
	Stomp
	Send
	Subscribe
	Unsubscribe
	Ack
	Nack
	Begin
	Commit
	Abort
	Disconnect
	Connected
	Message
	Receipt
	ErrorFrame
)

// String returns the command's word, or "" for Unknown.
func (c Command) String() string {
	switch c {
	case Connect:
		return "CONNECT"
	case Stomp:
		return "STOMP"
	case Send:
		return "SEND"
	case Subscribe:
		return "SUBSCRIBE"
	case Unsubscribe:
		return "UNSUBSCRIBE"
	case Ack:
		return "ACK"
	case Nack:
		return "NACK"
	case Begin:
		return "BEGIN"
	case Commit:
		return "COMMIT"
	case Abort:
		return "ABORT"
	case Disconnect:
		return "DISCONNECT"
	case Connected:
		return "CONNECTED"
	case Message:
		return "MESSAGE"
	case Receipt:
		return "RECEIPT"
	case ErrorFrame:
		return "ERROR"
	default:
		return ""
	}
}

// ParseCommand returns the command that a word names. Commands are case-sensitive (STOMP 1.2,
// STOMP Frames).
func ParseCommand(word []byte) Command {
	switch string(word) {
	case "SEND":
		return Send
	case "MESSAGE":
		return Message
	case "ACK":
		return Ack
	case "NACK":
		return Nack
	case "RECEIPT":
		return Receipt
	case "SUBSCRIBE":
		return Subscribe
	case "UNSUBSCRIBE":
		return Unsubscribe
	case "BEGIN":
		return Begin
	case "COMMIT":
		return Commit
	case "ABORT":
		return Abort
	case "CONNECT":
		return Connect
	case "STOMP":
		return Stomp
	case "CONNECTED":
		return Connected
	case "DISCONNECT":
		return Disconnect
	case "ERROR":
		return ErrorFrame
	}
	return Unknown
}

// Header is one header, its escapes undone.
type Header struct {
	Name, Value []byte
}

// Frame is one frame. From a [Reader] its slices are borrowed, and a name occurs once.
type Frame struct {
	Command Command
	Word    []byte // the command as it was read, at most 32 octets
	Headers []Header
	Body    []byte
	// Repeated, from a Reader, says that command and headers are those of the frame before, octet
	// for octet. A head that came in pieces is not compared.
	Repeated bool
}

// Get returns the value of the named header and whether it is there.
func (f *Frame) Get(name string) ([]byte, bool) {
	for i := range f.Headers {
		if string(f.Headers[i].Name) == name {
			return f.Headers[i].Value, true
		}
	}
	return nil, false
}
