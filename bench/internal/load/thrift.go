// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The call of the works over Thrift: `string echo(1: string text)`, framed, strict binary.
const (
	thriftMethod   = "echo"
	thriftSeq      = 1
	thriftCall     = 1
	thriftReply    = 2
	thriftString   = 11
	thriftArgument = 1 // field id
	thriftSuccess  = 0
)

// ThriftCalls calls echo with a text of so many bytes, one call at a time on each of so many
// connections, and checks that each is answered with its own text.
func ThriftCalls(ctx context.Context, p Params, connections, bodyBytes int) (Result, error) {
	text := filler(bodyBytes)
	request := appendThrift(nil, thriftCall, thriftArgument, text)
	body := bodyRange{from: len(request) - 1 - len(text), to: len(request) - 1}
	return calls(ctx, p, connections, callShape{
		request: request, body: body,
		answers: func(conn net.Conn) answers { return &thriftAnswers{conn: conn} },
	})
}

// appendThrift appends a frame with a message whose struct has one field, a string.
func appendThrift(b []byte, kind byte, field uint16, text []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0x80, 1, 0, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(thriftMethod)))
	b = append(b, thriftMethod...)
	b = binary.BigEndian.AppendUint32(b, thriftSeq)
	b = binary.BigEndian.AppendUint16(append(b, thriftString), field)
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	b = append(append(b, text...), 0)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// thriftAnswers are those of a server in frames.
type thriftAnswers struct {
	conn      net.Conn
	want, got []byte
}

// body wants the very octets of the one right answer.
func (a *thriftAnswers) body(body []byte) error {
	a.want = appendThrift(a.want[:0], thriftReply, thriftSuccess, body)
	if cap(a.got) < len(a.want) {
		a.got = make([]byte, len(a.want))
	}
	a.got = a.got[:len(a.want)]
	n, err := io.ReadAtLeast(a.conn, a.got, 4)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(a.got))
	if size != len(a.want)-4 {
		return fmt.Errorf("a frame of %d octets, want %d: %.100q", size, len(a.want)-4, a.got[:n])
	}
	if _, err := io.ReadFull(a.conn, a.got[n:]); err != nil {
		return err
	}
	if !bytes.Equal(a.got, a.want) {
		return errors.New("the answer is another one")
	}
	return nil
}
