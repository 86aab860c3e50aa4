// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A webClient speaks STOMP over WebSocket, with no more work than that takes: a thousand of them run
// beside the hub on the same cores. It knows the frames that a server sends (RFC 6455 §5.2):
// whole messages, not masked.
type webClient struct {
	conn   net.Conn
	raw    *bufio.Reader
	left   uint64        // of the message that is read
	frames *bufio.Reader // what the messages hold, one after the other
}

const (
	// maxFrameBytes bounds a STOMP frame that a webClient reads.
	maxFrameBytes = 4 << 10
	opText        = 1
	opClose       = 8
	final         = 0x80
	masked        = 0x80
	small, medium = 125, 126 // lengths, and how a longer one is told
)

// dialWeb opens a WebSocket at /ws and logs in.
func dialWeb(addr string) (*webClient, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &webClient{conn: conn, raw: bufio.NewReaderSize(conn, maxFrameBytes)}
	c.frames = bufio.NewReaderSize(c, maxFrameBytes)
	if err := c.begin(addr); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *webClient) begin(addr string) error {
	_, err := fmt.Fprintf(c.conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n", addr)
	if err != nil {
		return err
	}
	response, err := http.ReadResponse(c.raw, nil)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("%s, %w", response.Status, err)
	}
	return c.ask("CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\x00",
		"CONNECTED\n")
}

// ask sends a frame and wants one that begins so.
func (c *webClient) ask(frame, want string) error {
	// A key of zeros leaves the octets as they are.
	b := []byte{final | opText, masked | medium, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(len(frame)))
	if len(frame) <= small {
		b = []byte{final | opText, masked | byte(len(frame)), 0, 0, 0, 0}
	}
	if _, err := c.conn.Write(append(b, frame...)); err != nil {
		return err
	}
	got, err := c.next()
	if err != nil || !bytes.HasPrefix(got, []byte(want)) {
		return fmt.Errorf("%q, want %q (%w)", got, want, err)
	}
	return nil
}

// next returns the next frame, without its NUL, until the next call.
func (c *webClient) next() ([]byte, error) {
	frame, err := c.frames.ReadSlice(0)
	if err != nil {
		return frame, err
	}
	return bytes.TrimLeft(frame[:len(frame)-1], "\n"), nil
}

// Read implements io.Reader: what the messages hold.
func (c *webClient) Read(p []byte) (int, error) {
	for c.left == 0 {
		if err := c.message(); err != nil {
			return 0, err
		}
	}
	n, err := c.raw.Read(p[:min(uint64(len(p)), c.left)])
	c.left -= uint64(n)
	return n, err
}

// message reads the head of the next one.
func (c *webClient) message() error {
	var head [10]byte
	if _, err := io.ReadFull(c.raw, head[:2]); err != nil {
		return err
	}
	if op := head[0] &^ final; op == opClose {
		return io.EOF
	}
	length, long := head[1], 8
	switch {
	case length <= small:
		c.left = uint64(length)
		return nil
	case length == medium:
		long = 2
	}
	if _, err := io.ReadFull(c.raw, head[10-long:]); err != nil {
		return err
	}
	clear(head[:10-long])
	c.left = binary.BigEndian.Uint64(head[2:])
	return nil
}
