// SPDX-License-Identifier: Apache-2.0

package thrift

import "strconv"

// ExceptionType is the type of a TApplicationException.
type ExceptionType int32

// Types of exceptions. Values above 10 mean other things to other libraries.
const (
	Unknown               ExceptionType = 0
	UnknownMethod         ExceptionType = 1
	InvalidMessageType    ExceptionType = 2
	WrongMethodName       ExceptionType = 3
	BadSequenceID         ExceptionType = 4
	MissingResult         ExceptionType = 5
	InternalError         ExceptionType = 6
	ProtocolError         ExceptionType = 7
	InvalidTransform      ExceptionType = 8
	InvalidProtocol       ExceptionType = 9
	UnsupportedClientType ExceptionType = 10
	// ValidationFailed is Apache's since 0.18; fbthrift sheds load by it.
	ValidationFailed ExceptionType = 11
	// Timeout is fbthrift's.
	Timeout ExceptionType = 12
)

// Fields of a TApplicationException.
const (
	exceptionMessage int16 = 1
	exceptionType    int16 = 2
)

// ApplicationException is a TApplicationException: what a server answers instead of a result, in a
// message of type Exception.
type ApplicationException struct {
	Type    ExceptionType
	Message []byte
}

// Error implements error.
func (e *ApplicationException) Error() string {
	return "thrift: exception " + strconv.Itoa(int(e.Type)) + ": " + string(e.Message)
}

// Read reads the exception from a message whose head has been read. Fields that it does not know are
// skipped, and the message is borrowed from r.
func (e *ApplicationException) Read(r *Reader) error {
	*e = ApplicationException{}
	if err := r.StructBegin(); err != nil {
		return err
	}
	for {
		f, err := r.Field()
		switch {
		case err != nil:
			return err
		case f.Type == Stop:
			return r.MessageEnd()
		case f.ID == exceptionMessage && f.Type == String:
			e.Message, err = r.Text()
		case f.ID == exceptionType && f.Type == I32:
			var code int32
			code, err = r.I32()
			e.Type = ExceptionType(code)
		default:
			err = r.Skip(f.Type)
		}
		if err != nil {
			return err
		}
	}
}

// Append writes the whole message that answers the one with that head: same name, as it is given,
// and same sequence id.
func (e *ApplicationException) Append(w *Writer, to Head) {
	to.Type = Exception
	w.MessageBegin(to)
	w.StructBegin()
	w.Field(String, exceptionMessage)
	w.Text(e.Message)
	w.Field(I32, exceptionType)
	w.I32(int32(e.Type))
	w.StructEnd()
	w.MessageEnd()
}
