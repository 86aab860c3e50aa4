// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
)

// TestThriftFrame: Apache's library reads in a call what is meant.
func TestThriftFrame(t *testing.T) {
	t.Parallel()
	ctx, text := context.Background(), filler(100)
	buf := thrift.NewTMemoryBuffer()
	buf.Write(appendThrift(nil, thriftCall, thriftArgument, text))
	p := thrift.NewTBinaryProtocolConf(thrift.NewTFramedTransportConf(buf, nil), nil)
	name, kind, seq, err := p.ReadMessageBegin(ctx)
	if err != nil || name != thriftMethod || kind != thrift.CALL || seq != thriftSeq {
		t.Fatal(name, kind, seq, err)
	}
	_, field, id, err := p.ReadFieldBegin(ctx)
	if err != nil || field != thrift.STRING || id != thriftArgument {
		t.Fatal(field, id, err)
	}
	if got, err := p.ReadString(ctx); err != nil || got != string(text) {
		t.Errorf("%q, %v", got, err)
	}
	if _, field, _, err = p.ReadFieldBegin(ctx); err != nil || field != thrift.STOP {
		t.Error(field, err)
	}
}

// thriftEcho answers each call; wrong answers all with the text of the first.
func thriftEcho(t *testing.T, wrong bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		head := appendThrift(nil, thriftCall, thriftArgument, nil)
		var first []byte
		for size := make([]byte, 4); ; {
			if _, err := io.ReadFull(c, size); err != nil {
				return
			}
			frame := make([]byte, binary.BigEndian.Uint32(size))
			if _, err := io.ReadFull(c, frame); err != nil {
				return
			}
			text := frame[len(head)-5 : len(frame)-1]
			if first == nil {
				first = bytes.Clone(text)
			}
			if wrong {
				text = first
			}
			if _, err := c.Write(appendThrift(nil, thriftReply, thriftSuccess, text)); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// TestThriftCalls measures calls to a server.
func TestThriftCalls(t *testing.T) {
	t.Parallel()
	p := Params{
		Addr: thriftEcho(t, false), Server: "none", Measure: 100 * time.Millisecond,
		BrokerCPU: func() (time.Duration, error) { return 0, nil },
	}
	res, err := ThriftCalls(t.Context(), p, 4, 1<<10)
	if err != nil || res.Messages == 0 || res.Server != "none" || res.P50 <= 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestThriftCallsSeeAWrongAnswer: who answers with another's text is found out.
func TestThriftCallsSeeAWrongAnswer(t *testing.T) {
	t.Parallel()
	p := Params{
		Addr: thriftEcho(t, true), Measure: time.Second,
		BrokerCPU: func() (time.Duration, error) { return 0, nil },
	}
	_, err := ThriftCalls(t.Context(), p, 1, 64)
	if err == nil || !strings.Contains(err.Error(), "another one") {
		t.Errorf("error %v", err)
	}
}
