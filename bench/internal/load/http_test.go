// SPDX-License-Identifier: Apache-2.0

package load

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestProxied measures calls to the service itself, as if there were a proxy.
func TestProxied(t *testing.T) {
	t.Parallel()
	up, err := NewUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	p := Params{
		Addr: up.Addr, Path: "/call", Server: "none", Measure: 100 * time.Millisecond,
		BrokerCPU: func() (time.Duration, error) { return 0, nil },
	}
	res, err := Proxied(t.Context(), p, 4, 1<<10)
	if err != nil || res.Messages == 0 || res.Server != "none" || res.P50 <= 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestProxiedSeesAWrongAnswer: who answers with another's body is found out.
func TestProxiedSeesAWrongAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4<<10))
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"))
			_ = c.Close()
		}
	}()
	p := Params{
		Addr: l.Addr().String(), Path: "/", Measure: time.Second,
		BrokerCPU: func() (time.Duration, error) { return 0, nil },
	}
	_, err = Proxied(t.Context(), p, 1, 64)
	if err == nil || !strings.Contains(err.Error(), "with 5 bytes") {
		t.Errorf("error %v", err)
	}
}
