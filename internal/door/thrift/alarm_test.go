// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// TestAlarm: while memory or disk is short, calls are refused at once, and what is sent without an answer
// is dropped and counted; the connection goes on.
func TestAlarm(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	c := h.dial()
	h.broker.MemoryFull(true)
	c.call(wire.Binary, "greet", "Ada").failsWith(t, wire.InternalError, "alarm: publishing is refused: ")
	head := wire.Head{Name: []byte("poke"), Type: wire.Oneway, Seq: 1}
	c.send(framed(message(wire.Binary, head, 1, "")))
	c.call(wire.Binary, "greet", "Ada").failsWith(t, wire.InternalError, "alarm: publishing is refused: ")
	h.broker.MemoryFull(false)
	if got := c.call(wire.Binary, "greet", "Ada"); got.text != "Hello, Ada" {
		t.Errorf("got %+v", got)
	}
}
