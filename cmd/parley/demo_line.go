// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"

	"github.com/parley-ipc/parley"
)

// maxLineEvent bounds what the demo's line worker is sent: its own requests are short.
const maxLineEvent = 64 << 10 // bytes

// lineEvent is what the hub says in a line: an answer to serve, or a request.
type lineEvent struct {
	Event    string        `json:"event"`
	Delivery string        `json:"delivery"`
	Method   string        `json:"method"`
	Body     bill          `json:"body"`
	BodyB64  []byte        `json:"body_b64"` // when its sender did not call it JSON
	Error    *parley.Error `json:"error"`
}

type bill struct{ Cents int }

// lineTip serves tip.Suggest in lines of JSON until ctx ends: a tenth. It reports when it is attached.
func lineTip(ctx context.Context, addr string, attached func()) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, `{"op":"serve","id":1,"service":"tip"}`+"\n"); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLineEvent)
	for lines.Scan() {
		var e lineEvent
		// Where the body is something else, what is there of it is zero.
		_ = json.Unmarshal(lines.Bytes(), &e)
		if e.BodyB64 != nil {
			_ = json.Unmarshal(e.BodyB64, &e.Body)
		}
		switch {
		case e.Error != nil:
			return e.Error
		case e.Event == "":
			attached()
			continue
		}
		answer := fmt.Sprintf(`"body":{"cents":%d}`, e.Body.Cents/10)
		if e.Method != "Suggest" && e.Method != "" {
			answer = `"error":{"code":"no-method","message":"tip has one operation, Suggest"}`
		}
		_, err := fmt.Fprintf(conn, `{"op":"reply","delivery":%q,%s}`+"\n", e.Delivery, answer)
		if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}
