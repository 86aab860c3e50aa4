// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/hub"
)

// TestSecA11Guest: behind a proxy on this machine, guest is whom the proxy says it is from.
func TestSecA11Guest(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Doors.STOMP.Listen, o.Proxies = free, []string{"127.0.0.1"}
	})
	d := dialer{h.Addr("stomp").String(), nil}
	for from, want := range map[string]string{
		"TCP4 127.0.0.1":        "CONNECTED",
		"TCP4 192.0.2.1":        "non-loopback access denied",
		"TCP6 ::ffff:192.0.2.1": "non-loopback access denied",
	} {
		conn := d.dial(t)
		to := " 127.0.0.1 "
		if strings.HasPrefix(from, "TCP6") {
			to = " ::1 "
		}
		if _, err := io.WriteString(conn, "PROXY "+from+to+"1 2\r\n"+connect); err != nil {
			t.Fatal(err)
		}
		if text, err := bufio.NewReader(conn).ReadString(0); !strings.Contains(text, want) {
			t.Errorf("%s: %q, %v", from, text, err)
		}
		conn.Close()
	}
}
