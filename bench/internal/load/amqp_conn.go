// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"
)

// amqpDriver is AMQP 0-9-1 on the default exchange of the virtual host "/", as guest.
type amqpDriver struct {
	addr      string
	queueType string   // of durable queues
	source    net.Addr // local address, or nil
}

// amqpConn is a connection with one channel while it is being set up: one method, one answer.
type amqpConn struct {
	*link
}

// open connects, logs in and opens the channel (AMQP 0-9-1 §2.2.4).
func (d *amqpDriver) open(ctx context.Context) (*amqpConn, error) {
	l, err := dialFrom(ctx, d.source, d.addr)
	if err != nil {
		return nil, err
	}
	c := &amqpConn{link: l}
	if err := c.handshake(); err != nil {
		l.close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return c, nil
}

func (c *amqpConn) handshake() error {
	if _, err := c.conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	start, err := c.expect(connectionStart)
	if err != nil {
		return err
	}
	if len(start) > 2 {
		c.server = serverName(start[2:])
	}
	startOK := binary.BigEndian.AppendUint32(nil, 0) // no client properties
	startOK = appendShortString(startOK, "PLAIN")
	login := "\x00guest\x00guest"
	startOK = binary.BigEndian.AppendUint32(startOK, uint32(len(login)))
	startOK = appendShortString(append(startOK, login...), "en_US")
	if err := c.send(0, connectionStartOK, startOK); err != nil {
		return err
	}
	tune, err := c.expect(connectionTune)
	if err != nil {
		return err
	}
	if len(tune) < 8 {
		return errShort
	}
	frameMax := binary.BigEndian.Uint32(tune[2:])
	if frameMax == 0 || frameMax > maxFrameBytes {
		frameMax = maxFrameBytes
	}
	tuneOK := append([]byte{}, tune[:2]...)
	tuneOK = binary.BigEndian.AppendUint32(tuneOK, frameMax)
	tuneOK = append(tuneOK, 0, 0) // no heartbeats
	if err := c.send(0, connectionTuneOK, tuneOK); err != nil {
		return err
	}
	open := append(appendShortString(nil, "/"), 0, 0)
	if err := c.send(0, connectionOpen, open); err != nil {
		return err
	}
	if _, err := c.expect(connectionOpenOK); err != nil {
		return err
	}
	return c.call(channelOpen, []byte{0}, channelOpenOK)
}

// serverName reads product and version from the server properties of connection.start.
func serverName(table []byte) string {
	if len(table) < 4 {
		return ""
	}
	n := min(uint64(binary.BigEndian.Uint32(table)), uint64(len(table)-4))
	table = table[4 : 4+n]
	found := map[string]string{}
	for len(table) > 0 {
		key, rest, err := shortString(table)
		if err != nil || len(rest) < 2 {
			break
		}
		kind, rest := rest[0], rest[1:]
		size := uint64(1) // a bool
		if kind == 'S' || kind == 'F' {
			if len(rest) < 4 {
				break
			}
			size = uint64(binary.BigEndian.Uint32(rest))
			rest = rest[4:]
		} else if kind != 't' {
			break
		}
		if size > uint64(len(rest)) {
			break
		}
		if kind == 'S' {
			found[string(key)] = string(rest[:size])
		}
		table = rest[size:]
	}
	return strings.TrimSpace(found["product"] + " " + found["version"])
}

// send writes one method.
func (c *amqpConn) send(channel uint16, method uint32, args []byte) error {
	_, err := c.conn.Write(appendMethod(nil, channel, method, args))
	return err
}

// call sends a method on the channel and waits for its answer.
func (c *amqpConn) call(method uint32, args []byte, answer uint32) error {
	if err := c.send(theChannel, method, args); err != nil {
		return err
	}
	_, err := c.expect(answer)
	return err
}

// Bounds of pipeline.
const (
	pipelined    = 1_000            // methods under way
	stallTimeout = 60 * time.Second // without any progress
)

// pipeline sends a method n times, with the arguments that args returns for each, and waits for as
// many answers.
func (c *amqpConn) pipeline(n int, method, answer uint32, args func(i int) []byte) error {
	var wire []byte
	for first := 0; first < n; first += pipelined {
		// Each answer may wait for the disk.
		if err := c.conn.SetDeadline(time.Now().Add(stallTimeout)); err != nil {
			return err
		}
		last := min(first+pipelined, n)
		wire = wire[:0]
		for i := first; i < last; i++ {
			wire = appendMethod(wire, theChannel, method, args(i))
		}
		if _, err := c.conn.Write(wire); err != nil {
			return fmt.Errorf("method %d.%d: %w", method>>16, method&0xffff, err)
		}
		for i := first; i < last; i++ {
			if _, err := c.expect(answer); err != nil {
				return fmt.Errorf("method %d.%d, number %d: %w", method>>16, method&0xffff, i, err)
			}
		}
	}
	return nil
}

// expect reads the next method, which must be the one named, and returns its arguments. They
// are valid until the next read.
func (c *amqpConn) expect(method uint32) ([]byte, error) {
	for {
		f, err := nextFrame(c.unread())
		if err != nil {
			return nil, err
		}
		if f.size == 0 {
			if err := c.more(); err != nil {
				return nil, err
			}
			continue
		}
		c.start += f.size
		if f.kind == frameHeartbeat {
			continue
		}
		if f.kind != frameMethod || len(f.payload) < 4 {
			return nil, fmt.Errorf("frame of type %d in place of a method", f.kind)
		}
		got := binary.BigEndian.Uint32(f.payload)
		if got == method {
			return f.payload[4:], nil
		}
		if got == connectionClose || got == channelClose {
			return nil, closeError(f.payload)
		}
		return nil, fmt.Errorf("method %d.%d in place of %d.%d",
			got>>16, got&0xffff, method>>16, method&0xffff)
	}
}

// Bits of queue.declare (AMQP 0-9-1 §1.7.2.1).
const (
	declarePassive = 1 << 0
	declareDurable = 1 << 1
)

// declareArgs returns the arguments of queue.declare; a queue is neither exclusive nor deleted by
// itself.
func declareArgs(queue string, bits byte, queueType string) []byte {
	dst := append(appendShortString([]byte{0, 0}, queue), bits)
	var table []byte
	if queueType != "" {
		table = append(appendShortString(table, "x-queue-type"), 'S')
		table = binary.BigEndian.AppendUint32(table, uint32(len(queueType)))
		table = append(table, queueType...)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(table)))
	return append(dst, table...)
}

// qos limits how many deliveries of a consumer are unacknowledged.
func (c *amqpConn) qos(prefetch uint16) error {
	args := binary.BigEndian.AppendUint32(nil, 0)
	args = append(binary.BigEndian.AppendUint16(args, prefetch), 0)
	return c.call(basicQos, args, basicQosOK)
}

// consume subscribes to a queue.
func (c *amqpConn) consume(queue string, noAck bool) error {
	args := appendShortString([]byte{0, 0}, queue)
	args = appendShortString(args, "") // the broker names the consumer
	var bits byte
	if noAck {
		bits = 1 << 1
	}
	return c.call(basicConsume, append(args, bits, 0, 0, 0, 0), basicConsumeOK)
}
