// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Limits of the demo's own STOMP client, which is as small as one can be.
const (
	maxStompHeaders = 64
	maxStompBody    = 64 << 10 // bytes
)

// stompFrame is a frame of STOMP 1.2 without escapes: nothing here needs one.
type stompFrame struct {
	command string
	headers map[string]string
	body    []byte
}

// stompETA serves eta.Estimate over STOMP until ctx ends: two minutes a kilometre. It reports when it
// is attached.
func stompETA(ctx context.Context, addr string, attached func()) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err = io.WriteString(conn, "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n"+
		"heart-beat:0,0\n\n\x00"+
		"SUBSCRIBE\nid:eta\ndestination:/queue/eta\nack:client-individual\nprefetch-count:16\n"+
		"receipt:attached\n\n\x00")
	if err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	for {
		f, err := readStomp(r)
		if err != nil {
			return err
		}
		switch f.command {
		case "RECEIPT":
			attached()
		case "MESSAGE":
			if _, err := io.WriteString(conn, answerETA(f)); err != nil {
				return err
			}
		case "ERROR":
			return fmt.Errorf("stomp: %s", f.headers["message"])
		}
	}
}

// answerETA returns the frames that answer and settle a request.
func answerETA(f *stompFrame) string {
	var b strings.Builder
	if to := f.headers["reply-to"]; to != "" {
		var trip struct{ Km int }
		problem := ""
		switch err := json.Unmarshal(f.body, &trip); {
		case f.headers["type"] != "Estimate" && f.headers["type"] != "":
			problem = "parley-error:no-method\nparley-error-message:eta has one operation, Estimate\n"
		case err != nil:
			problem = "parley-error:bad-request\nparley-error-message:the body is not {\"km\"\\cN}\n"
		}
		body := fmt.Sprintf(`{"minutes":%d}`, 2*trip.Km)
		if problem != "" {
			body = ""
		}
		fmt.Fprintf(&b, "SEND\ndestination:%s\ncorrelation-id:%s\n%scontent-type:application/json\n"+
			"content-length:%d\n\n%s\x00", to, f.headers["correlation-id"], problem, len(body), body)
	}
	fmt.Fprintf(&b, "ACK\nid:%s\n\n\x00", f.headers["ack"])
	return b.String()
}

// readStomp reads the next frame.
func readStomp(r *bufio.Reader) (*stompFrame, error) {
	f := &stompFrame{headers: make(map[string]string)}
	for f.command == "" { // line ends between frames are heart-beats
		line, err := stompText(r)
		if err != nil {
			return nil, err
		}
		f.command = line
	}
	for {
		line, err := stompText(r)
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		if len(f.headers) == maxStompHeaders {
			return nil, errors.New("stomp: too many headers")
		}
		name, value, _ := strings.Cut(line, ":")
		if _, again := f.headers[name]; !again {
			f.headers[name] = value
		}
	}
	n, _ := strconv.Atoi(f.headers["content-length"])
	if n < 0 || n > maxStompBody {
		return nil, errors.New("stomp: body too large")
	}
	f.body = make([]byte, n)
	if _, err := io.ReadFull(r, f.body); err != nil {
		return nil, err
	}
	if end, err := r.ReadByte(); err != nil || end != 0 {
		return nil, errors.New("stomp: no NUL behind the body")
	}
	return f, nil
}

// stompText reads a line; the reader's buffer bounds it.
func stompText(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}

// stompLine is a shell line that asks greeter over STOMP. curl's telnet passes octets on as they
// are, so that no other tool is needed.
func stompLine(addr string) string {
	return `  printf 'CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0` +
		`SEND\ndestination:/queue/greeter\ntype:SayHello\nreply-to:/temp-queue/r\n\n` +
		`{"name":"Ada"}\0' | curl -sm1 telnet://` + addr + " | tr '\\0' '\\n'\n"
}
