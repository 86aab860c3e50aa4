// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/binary"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

const (
	// restedAfter is how long a connection was unused when an end of it without an answer is taken for
	// the member's patience, not for its death: nothing was executed. Of one that was in use nobody
	// knows that.
	restedAfter = time.Second
	// largeBytes is the size of a call above which a member that reads nothing could hold up the one who
	// writes: below it the buffers of a connection take it all.
	largeBytes = 16 << 10
	// keepBytes is how much of its buffers an unused connection keeps.
	keepBytes = 16 << 10
	// zlibBytes is how much goes through one connection of zlib: Apache's Go library fails when it has
	// inflated 100 MiB on one (thrift.md, Services).
	zlibBytes = 96 << 20
	// writeTime bounds the writing of a call that has no deadline.
	writeTime = 5 * time.Minute
)

// deflaters are few, since one is 800 KB.
//
//nolint:gochecknoglobals // a pool
var deflaters = sync.Pool{New: func() any { return new(thrift.Deflater) }}

// conn is one connection to a member. One call at a time has it, on its own goroutine.
type conn struct {
	endpoint.Socket

	pool   *connPool
	since  time.Time // when it was last used; guarded by the pool
	used   bool      // it has carried a call
	rested bool      // and was unused so long since that the member may have closed it meanwhile
	late   bool      // its last call was oneway: the member may still be at it
	spare  bool      // of a check: it stays only where there is no other
	seq    int32     // of the last call
	packed int       // bytes that went through zlib

	stream *thrift.Stream
	work   work
	out    []byte // a call on its way
	inner  []byte // its message, where something is around it that is made of the whole
	ms     [20]byte
	pairs  []thrift.Pair
	ints   [4]thrift.Int
}

func newConn(p *connPool, raw net.Conn) *conn {
	c := &conn{Socket: endpoint.Socket{Raw: raw}, pool: p}
	c.stream = thrift.NewStream(&c.Socket, p.up.options.limits())
	return c
}

func (c *conn) close() { _ = c.Raw.Close() } // nobody waits for what a close would say

// lives reports whether an unused connection can be used again, for a call of so many bytes.
func (c *conn) lives(callBytes int) bool {
	unused := time.Since(c.since)
	c.rested = unused > restedAfter
	switch {
	case c.stream.Buffered() > 0:
		return false
	case c.packed > 0: // the end of a flush may come behind its message
		return c.packed+callBytes <= zlibBytes
	}
	return endpoint.Quiet(c.Raw) // it is little beside a call that cannot be repeated
}

// release ends the call's hold: the connection goes back to the pool if it may carry another one.
func (c *conn) release(again bool) {
	again = c.End() && again
	c.used = true
	if !again || c.stream.Buffered() > 0 && c.packed == 0 {
		c.pool.drop(c)
		c.pool.leave()
		return
	}
	if cap(c.out) > keepBytes || cap(c.inner) > keepBytes {
		c.out, c.inner = nil, nil
	}
	c.work.writer.Reset(thrift.Binary, nil) // what it wrote is the asker's
	clear(c.pairs)
	c.pool.put(c)
}

// next returns the sequence id of the next call.
func (c *conn) next() int32 {
	c.seq++ // it wraps; there is one call at a time
	return c.seq
}

// message is a call as it is written: a head, and arguments in the protocol of the members.
type message struct {
	head     thrift.Head
	protocol thrift.Protocol
	args     []byte
}

// lead is what stands between a head and its struct.
func lead(p thrift.Protocol) string {
	if p == thrift.JSON {
		return ","
	}
	return ""
}

// tail is what ends a message behind its struct.
func tail(p thrift.Protocol) string {
	if p == thrift.JSON {
		return "]"
	}
	return ""
}

// append writes the message behind dst.
func (m *message) append(w *thrift.Writer, dst []byte) []byte {
	w.Reset(m.protocol, dst)
	w.MessageBegin(m.head)
	dst = append(w.Bytes(), lead(m.protocol)...)
	return append(append(dst, m.args...), tail(m.protocol)...)
}

// send writes a message with what is around it. sent says that bytes of it may have reached the
// member.
func (c *conn) send(m *message, r *request, a endpoint.Attempt) (sent bool, err error) {
	if err := c.Ready(); err != nil {
		return false, err
	}
	var rest []byte // arguments that are too long to be copied
	switch c.pool.up.options.Transport {
	case TransportHeader, TransportTTHeader:
		err = c.wrap(m, r, a)
	case TransportZlib:
		err = c.pack(m)
	default:
		rest = c.lay(m, c.pool.up.options.Transport == TransportFramed)
	}
	if err != nil {
		return false, err
	}
	large := len(c.out)+len(rest) > largeBytes
	if large {
		end := a.Until
		if end.IsZero() {
			end = time.Now().Add(writeTime)
		}
		if err := c.Raw.SetWriteDeadline(end); err != nil {
			return false, err
		}
	}
	n, err := c.Raw.Write(c.out)
	sent = n > 0
	if err == nil && len(rest) > 0 {
		if _, err = c.Raw.Write(rest); err == nil && m.protocol == thrift.JSON {
			_, err = c.Raw.Write([]byte(tail(m.protocol)))
		}
	}
	if err == nil && large {
		err = c.Raw.SetWriteDeadline(time.Time{})
	}
	return sent, err
}

// lay writes a message with a length before it or nothing. Long arguments it leaves to be sent from
// where they are.
func (c *conn) lay(m *message, framed bool) (rest []byte) {
	out := c.out[:0]
	if framed {
		out = thrift.BeginFrame(out)
	}
	if len(m.args) > largeBytes {
		rest = m.args
		c.work.writer.Reset(m.protocol, out)
		c.work.writer.MessageBegin(m.head)
		out = append(c.work.writer.Bytes(), lead(m.protocol)...)
		if framed {
			size := len(out) - thrift.FrameHeadBytes + len(rest) + len(tail(m.protocol))
			binary.BigEndian.PutUint32(out, uint32(size))
		}
	} else {
		out = m.append(&c.work.writer, out)
		if framed {
			thrift.EndFrame(out, 0)
		}
	}
	c.out = out
	return rest
}

// pack writes a message into the connection's stream of zlib.
func (c *conn) pack(m *message) (err error) {
	c.inner = m.append(&c.work.writer, c.inner[:0])
	d, _ := deflaters.Get().(*thrift.Deflater)
	defer deflaters.Put(d)
	out := c.out[:0]
	if c.packed == 0 {
		out = d.AppendHead(out)
	}
	c.out, err = d.AppendMessage(out, c.inner)
	c.packed += len(c.inner)
	return err
}

// wrap writes a message in a frame with headers: what is left of the time, the attempt's number, and
// the headers of the call (thrift.md, Door).
func (c *conn) wrap(m *message, r *request, a endpoint.Attempt) (err error) {
	o := c.pool.up.options
	c.inner = m.append(&c.work.writer, c.inner[:0])
	h := thrift.Header{
		Kitex: o.Transport == TransportTTHeader, Seq: m.head.Seq, Protocol: m.protocol, Payload: c.inner,
	}
	var info thrift.Info
	info.Pairs = append(c.pairs[:0], r.pairs...)
	var left []byte
	if !a.Deadline.IsZero() {
		left = strconv.AppendInt(c.ms[:0], max(time.Until(a.Deadline).Milliseconds(), 1), 10)
	}
	if n := r.number(a); n > 1 {
		info.Pairs = append(info.Pairs, thrift.Pair{
			Key: []byte(headerAttempt), Value: strconv.AppendInt(nil, int64(n), 10),
		})
	}
	if h.Kitex {
		if o.Multiplex != "" {
			info.Pairs = append(info.Pairs, thrift.Pair{
				Key: []byte(keyService), Value: []byte(o.Multiplex),
			})
		}
		info.Ints = append(c.ints[:0],
			thrift.Int{Key: thrift.KitexToService, Value: r.service},
			thrift.Int{Key: thrift.KitexToMethod, Value: r.method},
			thrift.Int{Key: thrift.KitexMessageType, Value: kitexType(m.head.Type)},
		)
		if left != nil {
			info.Ints = append(info.Ints, thrift.Int{Key: thrift.KitexTimeoutMS, Value: left})
		}
	} else if left != nil {
		info.Pairs = append(info.Pairs, thrift.Pair{Key: []byte(keyTimeout), Value: left})
	}
	c.pairs = info.Pairs
	c.out, err = h.Append(c.out[:0], &info, o.limits())
	return err
}

func kitexType(t thrift.MessageType) []byte {
	if t == thrift.Oneway {
		return []byte("4")
	}
	return []byte("1")
}
