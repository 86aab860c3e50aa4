// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// TestSelector: a subscription gets what its selector takes; in a queue the rest stays for others, of
// a topic it is gone (ActiveMQ's header selector).
func TestSelector(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:red\ndestination:/queue/paint\nselector:color = 'red' AND JMSPriority > 4", "")
	c.do("SUBSCRIBE\nid:t\ndestination:/topic/paint\n"+
		"selector:convert_string_expressions:litres >= 2.5", "")
	for _, head := range []string{
		"color:blue\npriority:9", "color:red\npriority:9", "color:red", "color:red\npriority:5",
	} {
		c.do("SEND\ndestination:/queue/paint\n"+head, head)
	}
	for _, litres := range []string{"2", "3", "much", "2.5"} {
		c.do("SEND\ndestination:/topic/paint\nlitres:"+litres, litres)
	}
	check := func(id string, bodies ...string) {
		t.Helper()
		for _, want := range bodies {
			if f := c.want("MESSAGE"); f.body != want || f.headers["subscription"] != id {
				t.Errorf("got %q of %s, want %q of %s", f.body, f.headers["subscription"], want, id)
			}
		}
	}
	check("red", "color:red\npriority:9", "color:red\npriority:5")
	check("t", "3", "2.5")
	c.send("SUBSCRIBE\nid:rest\ndestination:/queue/paint\n\n\x00")
	check("rest", "color:blue\npriority:9", "color:red")
	c.wantNothing()
}

// TestSelectorRefused: a selector that cannot be read is an ERROR that says where.
func TestSelectorRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/q\nselector:color = \n\n\x00")
	c.wantError("Invalid selector", "the end instead of a name, text, number or condition,"+
		" at byte 8 of color = \n")
}
