// SPDX-License-Identifier: Apache-2.0

package line

import (
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// line.md: what was answered is there after the hub's end; a request whose asker is gone is read
// after a restart.
func TestSurvivesRestart(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
	var request string
	t.Run("ask", func(t *testing.T) {
		h := newHub(t, setup{log: log})
		h.queue("q")
		c := h.dial()
		c.do(`{"op":"send","id":1,"queue":"q","body":{"n":1.50},"headers":{"a":1}}`, `{"id":1}`)
		c.do(`{"op":"send","id":1,"queue":"q","body":2,"persistent":false}`, `{"id":1}`)
		c.do(`{"op":"serve","id":"s","service":"svc"}`, `{"id":"s"}`)
		c.do(`{"op":"unsubscribe","id":1,"sub":"s"}`, `{"id":1}`)
		line := c.do(`{"op":"request","id":1,"service":"svc","method":"Do","body":"x"}`, `{"id":1,"request":"..."}`)
		request = field(t, line, "request")
	})
	t.Run("answer", func(t *testing.T) {
		h := newHub(t, setup{log: log})
		c := h.dial()
		c.do(`{"op":"subscribe","id":"s","queue":"q","ack":"auto"}`, `{"id":"s"}`)
		c.want(`{"event":"message","sub":"s","queue":"q",...,"attempt":1,` +
			`"content_type":"application/json","headers":{"a":1},"body":{"n":1.50}}`)
		c.do(`{"op":"result","id":1,"request":"`+request+`"}`, `{"id":1,"state":"queued"}`)
		c.do(`{"op":"serve","id":"t","service":"svc"}`, `{"id":"t"}`)
		event := c.want(`{"event":"message","sub":"t",...,"method":"Do",...,"body":"x"}`)
		c.do(`{"op":"reply","id":1,"delivery":"`+field(t, event, "delivery")+`","body":"y"}`, `{"id":1}`)
	})
	t.Run("read", func(t *testing.T) {
		h := newHub(t, setup{log: log})
		c := h.dial()
		c.do(`{"op":"result","id":1,"request":"`+request+`"}`,
			`{"id":1,"state":"done","body":"y","content_type":"text/plain"}`)
		h.ready("q", 0)
	})
}
