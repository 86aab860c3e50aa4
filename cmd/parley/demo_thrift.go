// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// townIDL is the contract of road, and of greeter for those who call it in Thrift.
//
//go:embed town.thrift
var townIDL string

// Limits of the demo's own Thrift server, which is as small as one can be: frames, strict binary.
const (
	maxThriftFrame = 4 << 10 // bytes
	thriftWait     = time.Minute
	// thriftBeat is how often the server says that it is there, thriftTTL how long the hub believes it.
	thriftBeat = 5 * time.Second
	thriftTTL  = 15 // seconds
)

// What a message of Thrift is made of.
const (
	thriftStrict    = 0x8001_0000
	thriftCall      = 1
	thriftReply     = 2
	thriftException = 3
	thriftI32       = 8
	thriftString    = 11
	thriftStruct    = 12
)

// The one road of the town.
const (
	lastPlace    = 99
	minutesPerKm = 2
)

// thriftRoad serves road.Between to a hub that calls it, and tells the hub so over REST.
type thriftRoad struct {
	rest *restWorker
}

// run serves until ctx ends. It reports when the hub knows the server.
func (r *thriftRoad) run(ctx context.Context, attached func()) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	serving.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serveRoad(ctx, conn) })
		}
	})
	if err := r.put(ctx, "/v1/contracts/town", map[string]any{
		"files":    map[string]string{"town.thrift": townIDL},
		"services": map[string]string{"road": "Road", "greeter": "Greeter"},
	}); err != nil {
		return err
	}
	server := map[string]any{"url": "thrift://" + l.Addr().String(), "ttl_s": thriftTTL}
	for {
		if err := r.put(ctx, "/v1/services/road/instances/demo", server); err != nil {
			return err
		}
		attached()
		if err := sleepUntil(ctx, time.Now().Add(thriftBeat)); err != nil {
			return err
		}
	}
}

// put sends a body that the hub keeps.
func (r *thriftRoad) put(ctx context.Context, path string, body any) error {
	status, answer, err := r.rest.do(ctx, restRequest{http.MethodPut, path, body, nil})
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("PUT %s: status %d: %.200s", path, status, answer)
	}
	return err
}

// serveRoad answers the calls on a connection, one after the other.
func serveRoad(ctx context.Context, conn net.Conn) {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	frame := make([]byte, maxThriftFrame)
	for {
		if conn.SetDeadline(time.Now().Add(thriftWait)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, frame[:4]); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(frame)
		if size > maxThriftFrame {
			return
		}
		if _, err := io.ReadFull(conn, frame[:size]); err != nil {
			return
		}
		answer, err := answerRoad(frame[:size])
		if err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

var errThrift = errors.New("not the Thrift that road speaks")

// answerRoad returns the frame that answers a message.
func answerRoad(message []byte) ([]byte, error) {
	in := thriftReader{rest: message}
	version, name, seq := in.i32(), in.text(), in.i32()
	if in.failed || version != thriftStrict|thriftCall {
		return nil, errThrift
	}
	out := thriftWriter{name: name, seq: seq}
	if name != "Between" {
		return out.unknown(), nil
	}
	var places [3]int32 // by the ids of the arguments
	for kind := in.byte(); kind != 0; kind = in.byte() {
		id := in.i16()
		if in.failed || kind != thriftI32 || int(id) >= len(places) {
			return nil, errThrift
		}
		places[id] = int32(in.i32())
	}
	if in.failed {
		return nil, errThrift
	}
	for _, place := range places {
		if place < 0 || place > lastPlace {
			return out.nowhere(place), nil
		}
	}
	return out.way(max(places[1]-places[2], places[2]-places[1])), nil
}

// thriftReader takes a message apart; behind its end everything is zero.
type thriftReader struct {
	rest   []byte
	failed bool
}

func (r *thriftReader) take(n int) []byte {
	if n > len(r.rest) {
		r.failed, r.rest = true, nil
		return make([]byte, min(n, 4))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *thriftReader) byte() byte   { return r.take(1)[0] }
func (r *thriftReader) i16() uint16  { return binary.BigEndian.Uint16(r.take(2)) }
func (r *thriftReader) i32() uint32  { return binary.BigEndian.Uint32(r.take(4)) }
func (r *thriftReader) text() string { return string(r.take(int(min(r.i32(), maxThriftFrame)))) }

// thriftWriter makes the answer to a call.
type thriftWriter struct {
	name string
	seq  uint32
}

// message returns a frame with a message of that type around a struct.
func (w thriftWriter) message(kind uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), thriftStrict|kind)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(w.name))), w.name...)
	b = append(binary.BigEndian.AppendUint32(b, w.seq), body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// field begins a field of a struct.
func field(b []byte, kind byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, kind), id)
}

func i32Field(b []byte, id uint16, value int32) []byte {
	return binary.BigEndian.AppendUint32(field(b, thriftI32, id), uint32(value))
}

// way is the result of so many km.
func (w thriftWriter) way(km int32) []byte {
	b := i32Field(i32Field(field(nil, thriftStruct, 0), 1, km), 2, minutesPerKm*km)
	return w.message(thriftReply, append(b, 0, 0)) // of Way, and of the result
}

// nowhere is the declared exception.
func (w thriftWriter) nowhere(place int32) []byte {
	return w.message(thriftReply, append(i32Field(field(nil, thriftStruct, 1), 1, place), 0, 0))
}

// unknown is the TApplicationException of a method that there is not.
func (w thriftWriter) unknown() []byte {
	const unknownMethod = 1
	text := "Unknown function " + w.name
	b := binary.BigEndian.AppendUint32(field(nil, thriftString, 1), uint32(len(text)))
	return w.message(thriftException, append(i32Field(append(b, text...), 2, unknownMethod), 0))
}
