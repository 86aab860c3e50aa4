// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// closeHeld is how long a connection.close may be held back.
const closeHeld = 5 * time.Second

// amqpConn reads a frame at a time and holds back a connection.close until what came before it was dealt
// with: amqp091-go drops deliveries that it has not handed on when it reads one.
type amqpConn struct {
	net.Conn
	in    *bufio.Reader
	frame []byte // what is left of the frame
	idle  func() bool
}

// Read implements net.Conn.
func (c *amqpConn) Read(p []byte) (int, error) {
	if len(c.frame) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}

// next reads a frame: type, channel, size, payload, end (AMQP 0-9-1 §2.3.5).
func (c *amqpConn) next() error {
	const headBytes, sizeAt = 7, 3
	head, err := c.in.Peek(headBytes)
	if err != nil {
		return err
	}
	c.frame = make([]byte, headBytes+int(binary.BigEndian.Uint32(head[sizeAt:]))+1)
	if _, err := io.ReadFull(c.in, c.frame); err != nil {
		return err
	}
	const method, connectionClose = 1, 10<<16 | 50
	if payload := c.frame[headBytes:]; c.frame[0] == method && len(payload) > 4 &&
		binary.BigEndian.Uint32(payload) == connectionClose {
		for end := time.Now().Add(closeHeld); !c.idle() && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // nothing announces it
		}
	}
	return nil
}
