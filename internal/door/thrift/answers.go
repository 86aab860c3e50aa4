// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"sync"

	"github.com/parley-ipc/parley/internal/output"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// answers keeps the calls of a connection in the order of their messages, and writes each answer when
// those before it are written (thrift.md, Door).
type answers struct {
	door *Door
	out  *output.Buffer

	mu       sync.Mutex // before the output's lock
	room     sync.Cond  // a call ended
	calls    []*call    // that are not written yet, in their order
	held     int        // octets of their messages
	wrapping wire.Wrapping
	began    bool // zlib: the head of the stream is written
	shut     bool // nothing is written any more
}

func (a *answers) init(d *Door, out *output.Buffer) {
	a.door, a.out = d, out
	a.room.L = &a.mu
	a.wrapping.Limits = d.answerLimits
}

// add takes a call into the order. It waits while there are too many, or while their messages have too
// much together.
func (a *answers) add(c *call) {
	size := len(c.message.Bytes)
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.calls) >= callsMax || len(a.calls) > 0 && a.held+size > heldBytesMax {
		a.room.Wait()
	}
	c.done, c.size = false, size
	a.calls = append(a.calls, c)
	a.held += size
}

// empty reports whether no call is under way.
func (a *answers) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls) == 0
}

// wait returns when no call is under way.
func (a *answers) wait() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.calls) > 0 {
		a.room.Wait()
	}
}

// end takes the answer of a call, and writes it and those that waited for it. The calls are gone then.
func (a *answers) end(c *call) {
	a.mu.Lock()
	c.done = true
	n := 0
	for n < len(a.calls) && a.calls[n].done {
		a.write(a.calls[n])
		a.shut = a.shut || a.calls[n].closes
		n++
	}
	if n > 0 {
		for _, done := range a.calls[:n] {
			a.held -= done.size
			a.door.calls.put(done)
		}
		rest := copy(a.calls, a.calls[n:])
		clear(a.calls[rest:])
		a.calls = a.calls[:rest]
		a.room.Broadcast()
	}
	a.mu.Unlock()
	if n > 0 {
		a.out.Flush()
	}
}

// wrapBytes is the room for what stands around a message.
const wrapBytes = 512

// write appends the answer of a call to the output; the lock is held.
func (a *answers) write(c *call) {
	if a.shut || len(c.answer) == 0 {
		return
	}
	b := a.out.BeginSize(len(c.answer) + wrapBytes)
	out, err := a.append(b, c)
	if err != nil {
		// It is larger than its form can say.
		c.fail(unsayable(err))
		if out, err = a.append(b, c); err != nil {
			out = b
		}
	}
	a.out.End(out)
}

// append appends the answer of a call as its message was wrapped.
func (a *answers) append(b []byte, c *call) ([]byte, error) {
	s := &c.message.Shape
	a.wrapping.Info = c.info
	if !s.Zlib && s.Header.Zlib == 0 {
		return s.Append(b, c.answer, &a.wrapping)
	}
	var err error
	a.door.deflate(func(z *wire.Deflater) {
		a.wrapping.Deflater = z
		if !s.Zlib {
			b, err = s.Append(b, c.answer, &a.wrapping)
			return
		}
		var wrapped []byte
		if wrapped, err = s.Append(nil, c.answer, &a.wrapping); err != nil {
			return
		}
		if !a.began {
			a.began = true
			b = z.AppendHead(b)
		}
		b, err = z.AppendMessage(b, wrapped)
	})
	a.wrapping.Deflater = nil
	return b, err
}

// close lets nothing more be written.
func (a *answers) close() {
	a.mu.Lock()
	a.shut = true
	a.mu.Unlock()
}
