// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	apache "github.com/apache/thrift/lib/go/thrift"
	"github.com/cloudwego/gopkg/bufiox"
	"github.com/cloudwego/gopkg/protocol/ttheader"
)

// service is a processor as Apache's compiler writes them, for a service whose methods take one field
// and return it: echo as it is, note nothing and without an answer, throw inside the declared exception
// 1, fail not at all. headers returns the value of the header that the argument names.
type service struct {
	noted chan string                                  // what note was told
	wait  func()                                       // how long note takes; nil: not at all
	get   func(ctx context.Context, key string) string // of the call's headers
}

var _ apache.TProcessor = (*service)(nil)

// ProcessorMap implements apache.TProcessor.
func (s *service) ProcessorMap() map[string]apache.TProcessorFunction { return nil }

// AddToProcessorMap implements apache.TProcessor.
func (s *service) AddToProcessorMap(string, apache.TProcessorFunction) {}

// Process implements apache.TProcessor.
func (s *service) Process(ctx context.Context, in, out apache.TProtocol) (bool, apache.TException) {
	name, _, seq, err := in.ReadMessageBegin(ctx)
	if err != nil {
		return false, apache.WrapTException(err)
	}
	arg, err := anything(ctx, in, apache.STRUCT)
	if err == nil {
		err = in.ReadMessageEnd(ctx)
	}
	if err != nil {
		return false, apache.WrapTException(err)
	}
	if h, ok := out.(*apache.THeaderProtocol); ok {
		h.SetWriteHeader("Answered-By", "Apache")
	}
	result := value{kind: apache.STRUCT}
	switch name {
	case "echo":
		result.ids, result.kids = []int16{0}, arg.kids
	case "throw":
		result.ids = []int16{1}
		result.kids = []value{{kind: apache.STRUCT, ids: []int16{1}, kids: arg.kids}}
	case "ping":
	case "headers":
		result.ids = []int16{0}
		result.kids = []value{{kind: apache.STRING, s: s.get(ctx, arg.kids[0].s)}}
	case "note":
		if s.wait != nil {
			s.wait()
		}
		s.noted <- arg.kids[0].s
		return true, nil
	case "fail":
		return true, answerTheirs(ctx, out, name, seq, apache.NewTApplicationException(
			apache.INTERNAL_ERROR, "Internal error processing fail: "+arg.kids[0].s))
	default:
		return true, answerTheirs(ctx, out, name, seq, apache.NewTApplicationException(
			apache.UNKNOWN_METHOD, "Unknown function "+name))
	}
	err = errors.Join(
		out.WriteMessageBegin(ctx, name, apache.REPLY, seq),
		writeTheirs(ctx, out, result),
		out.WriteMessageEnd(ctx), out.Flush(ctx))
	return err == nil, apache.WrapTException(err)
}

func answerTheirs(
	ctx context.Context, out apache.TProtocol, name string, seq int32, e apache.TApplicationException,
) apache.TException {
	return apache.WrapTException(errors.Join(
		out.WriteMessageBegin(ctx, name, apache.EXCEPTION, seq),
		e.Write(ctx, out),
		out.WriteMessageEnd(ctx), out.Flush(ctx)))
}

// anything reads a value of a type with Apache's library.
func anything(ctx context.Context, p apache.TProtocol, kind apache.TType) (v value, err error) {
	v.kind = kind
	switch kind {
	case apache.BOOL:
		var b bool
		if b, err = p.ReadBool(ctx); b {
			v.n = 1
		}
	case apache.BYTE:
		var n int8
		n, err = p.ReadByte(ctx)
		v.n = int64(n)
	case apache.I16:
		var n int16
		n, err = p.ReadI16(ctx)
		v.n = int64(n)
	case apache.I32:
		var n int32
		n, err = p.ReadI32(ctx)
		v.n = int64(n)
	case apache.I64:
		v.n, err = p.ReadI64(ctx)
	case apache.DOUBLE:
		v.f, err = p.ReadDouble(ctx)
	case apache.UUID:
		v.id, err = p.ReadUUID(ctx)
	case apache.STRING:
		v.s, err = p.ReadString(ctx)
	case apache.STRUCT:
		err = anyStruct(ctx, p, &v)
	default:
		err = anyContainer(ctx, p, &v)
	}
	return v, err
}

func anyStruct(ctx context.Context, p apache.TProtocol, v *value) error {
	if _, err := p.ReadStructBegin(ctx); err != nil {
		return err
	}
	for {
		_, kind, id, err := p.ReadFieldBegin(ctx)
		if err != nil {
			return err
		}
		if kind == apache.STOP {
			return p.ReadStructEnd(ctx)
		}
		kid, err := anything(ctx, p, kind)
		if err = errors.Join(err, p.ReadFieldEnd(ctx)); err != nil {
			return err
		}
		v.ids, v.kids = append(v.ids, id), append(v.kids, kid)
	}
}

func anyContainer(ctx context.Context, p apache.TProtocol, v *value) (err error) {
	var size int
	end := p.ReadListEnd
	switch v.kind {
	case apache.MAP:
		v.key, v.elem, size, err = p.ReadMapBegin(ctx)
		size, end = 2*size, p.ReadMapEnd
	case apache.SET:
		v.elem, size, err = p.ReadSetBegin(ctx)
		end = p.ReadSetEnd
	default:
		v.elem, size, err = p.ReadListBegin(ctx)
	}
	for i := 0; i < size && err == nil; i++ {
		kind := v.elem
		if v.kind == apache.MAP && i%2 == 0 {
			kind = v.key
		}
		var kid value
		kid, err = anything(ctx, p, kind)
		v.kids = append(v.kids, kid)
	}
	return errors.Join(err, end(ctx))
}

// theirProtocol is Apache's factory of a protocol.
func theirProtocol(name string) apache.TProtocolFactory {
	switch name {
	case "compact":
		return apache.NewTCompactProtocolFactoryConf(nil)
	case "json":
		return apache.NewTJSONProtocolFactory()
	}
	return apache.NewTBinaryProtocolFactoryConf(nil)
}

// serveTheirs starts a server of Apache's library, or of CloudWeGo's codec, and returns its address.
func serveTheirs(t *testing.T, protocol, transport string, s *service) string {
	t.Helper()
	s.get = func(ctx context.Context, key string) string {
		text, _ := apache.GetHeader(ctx, key)
		return text
	}
	factory := theirProtocol(protocol)
	var around apache.TTransportFactory
	switch transport {
	case "http":
		server := httptest.NewServer(http.HandlerFunc(apache.NewThriftHandlerFunc(s, factory, factory)))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	case "ttheader":
		return serveKitex(t, s, factory)
	case "header":
		conf := &apache.TConfiguration{}
		id := apache.THeaderProtocolBinary
		if protocol == "compact" {
			id = apache.THeaderProtocolCompact
		}
		conf.THeaderProtocolID = &id
		factory = apache.NewTHeaderProtocolFactoryConf(conf)
		around = apache.NewTTransportFactory()
	case "zlib":
		around = apache.NewTZlibTransportFactory(6)
	case "framed":
		around = apache.NewTFramedTransportFactoryConf(apache.NewTTransportFactory(), nil)
	default:
		around = apache.NewTBufferedTransportFactory(4 << 10)
	}
	socket, err := apache.NewTServerSocket("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Listen(); err != nil {
		t.Fatal(err)
	}
	server := apache.NewTSimpleServer4(s, socket, around, factory)
	done := make(chan error, 1)
	go func() { done <- server.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(server.Stop(), <-done); err != nil {
			t.Error(err)
		}
	})
	return socket.Addr().String()
}

// serveKitex starts a server that has its frames from CloudWeGo's codec, and the rest from Apache's
// library.
func serveKitex(t *testing.T, s *service, factory apache.TProtocolFactory) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					if err := kitexCall(t.Context(), r, c, s, factory); err != nil {
						if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		done.Wait()
	})
	return l.Addr().String()
}

func kitexCall(
	ctx context.Context, r *bufio.Reader, w io.Writer, s *service, factory apache.TProtocolFactory,
) error {
	head, err := r.Peek(4)
	if err != nil {
		return err
	}
	frame := make([]byte, 4+binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(r, frame); err != nil {
		return err
	}
	in := bufiox.NewBytesReader(frame)
	d, err := ttheader.Decode(ctx, in)
	if err != nil {
		return err
	}
	payload, err := in.Next(d.PayloadLen)
	if err != nil {
		return err
	}
	ask := &apache.TMemoryBuffer{Buffer: bytes.NewBuffer(bytes.Clone(payload))}
	answer := apache.NewTMemoryBuffer()
	call := *s
	call.get = func(_ context.Context, key string) string {
		for number, text := range d.IntInfo {
			if key == fmt.Sprint(number) {
				return text
			}
		}
		return d.StrInfo[key]
	}
	if _, err := call.Process(ctx, factory.GetProtocol(ask), factory.GetProtocol(answer)); err != nil {
		return err
	}
	if answer.Len() == 0 {
		return nil
	}
	var buf bytes.Buffer
	out := bufiox.NewDefaultWriter(&buf)
	size, err := ttheader.Encode(ctx, ttheader.EncodeParam{
		SeqID: d.SeqID, StrInfo: map[string]string{"Answered-By": "Apache"},
	}, out)
	if err != nil {
		return err
	}
	if _, err := out.WriteBinary(answer.Bytes()); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(size, uint32(out.WrittenLen()-len(size)))
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = w.Write(buf.Bytes())
	return err
}

// patience bounds what should happen soon.
const patience = 20 * time.Second
