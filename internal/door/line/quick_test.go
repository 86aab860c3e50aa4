// SPDX-License-Identifier: Apache-2.0

package line

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestQuickClients: who sends and goes without having read an answer has sent all of it.
func TestQuickClients(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]setup{
		"tcp": {},
		"unix": {
			network: "unix", address: filepath.Join(t.TempDir(), "line"),
			options: func(o *Options) { o.User = "guest" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t, s)
			h.queue("quick")
			const clients, lines = 40, 10
			for range clients {
				c := h.dial()
				for id := range lines {
					c.send(fmt.Sprintf(`{"op":"send","id":%d,"queue":"quick","body":"x"}`, id))
				}
				_ = c.net.Close()
			}
			h.ready("quick", clients*lines)
		})
	}
}
