// SPDX-License-Identifier: Apache-2.0

package security

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// restRow sends one raw request many times and expects a status line.
func restRow(row, send, want string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		raw := strings.ReplaceAll(send, "HOST", g.REST)
		volley(t, repeats, func() { answered(t, dialQuick(t, g.REST), []byte(raw), want) })
		refused(t, dial(t, g.REST), []byte(raw), want)
	}}
}

func restAttacks() []attack {
	const end = "Connection: close\r\n\r\n"
	post := func(headers, body string) string {
		return fmt.Sprintf("POST /v1/queues/none/leases HTTP/1.1\r\nHost: HOST\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n%s%s%s", len(body), headers, end, body)
	}
	return []attack{
		restRow("H1 foreign Origin", post("Origin: http://evil.example\r\n", "{}"), " 403 "),
		restRow("H1 foreign Host", "GET /v1/queues HTTP/1.1\r\nHost: evil.example\r\n"+end, " 403 "),
		restRow("H4 header of 1 MB", "GET / HTTP/1.1\r\nHost: HOST\r\nX: "+strings.Repeat("x", 1<<20)+
			"\r\n"+end, " 431 "),
		restRow("H5 length and chunks", "POST /v1/queues/q/messages HTTP/1.1\r\nHost: HOST\r\n"+
			"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"+end+"0\r\n\r\n", " 400 "),
		restRow("H5 two hosts", "GET / HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n"+end, " 400 "),
		restRow("H5 space before the colon", "GET / HTTP/1.1\r\nHost : HOST\r\n"+end, " 400 "),
		restRow("H11 dots in a path", "GET /v1/queues/..%2f..%2fetc HTTP/1.1\r\nHost: HOST\r\n"+end, " 404 "),
		restRow("JSON 10,000 deep", post("", strings.Repeat("[", 10_000)), " 400 "),
		restRow("unknown member", post("", `{"maximum":1}`), " 400 "),
		{"wrong password", func(t *testing.T, g *ground) {
			raw := "GET /v1/queues HTTP/1.1\r\nHost: " + g.REST + "\r\nAuthorization: Basic " +
				base64.StdEncoding.EncodeToString([]byte("guest:"+secret)) + "\r\n" + end
			volley(t, 8, func() { answered(t, dialQuick(t, g.REST), []byte(raw), " 401 ") })
		}},
		{"H6 body over the limit", func(t *testing.T, g *ground) {
			for range 4 {
				body := io.LimitReader(zeros{}, 64<<20)
				res, err := http.Post(g.URL("/v1/queues/none/messages"), "application/octet-stream", body)
				if err != nil {
					continue // the hub may close while the body is still being sent
				}
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("64 MiB body: %s", res.Status)
				}
				_ = res.Body.Close()
			}
		}},
		{"H4 slow headers", func(t *testing.T, g *ground) {
			var open []net.Conn
			for range 300 {
				conn := dial(t, g.REST)
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
					t.Fatal(err)
				}
				open = append(open, conn)
			}
			start := time.Now()
			for _, conn := range open {
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("not closed by the hub: %v", err)
				}
				_ = conn.Close()
			}
			if took := time.Since(start); took > 12*time.Second {
				t.Errorf("headers may take %v", took)
			}
		}},
	}
}

// zeros is an endless body.
type zeros struct{}

// Read fills p with zeros.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
