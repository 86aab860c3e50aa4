// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestCloseWhileBodyArrives: a channel that the hub closes while a large frame is half received takes no
// memory away from the frame: what others publish meanwhile does not get the rest of it, and the
// connection goes on.
func TestCloseWhileBodyArrives(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p, other := s.open(t), s.open(t)
	p.declare("short", wire.Field{Name: "x-consumer-timeout", Value: int32(60)})
	p.declare("large")
	const size = 2 * broker.LargeBodyBytes
	content := wire.Content{Channel: 1, FrameMax: size, Body: bytes.Repeat([]byte{'p'}, size)}
	raw := content.Append(toQueue("large").AppendFrame(nil, 1))
	for range 10 {
		p.publish(toQueue("short"), wire.Properties{}, "m")
		p.consume(&wire.BasicConsume{Queue: "short"})
		p.deliver()
		p.write(raw[:size/2])
		p.want(1, &wire.ChannelClose{})
		want := string(bytes.Repeat([]byte{'o'}, size))
		for range 4 {
			other.publish(toQueue("large"), wire.Properties{}, want)
		}
		other.call(&wire.BasicQos{}, &wire.BasicQosOk{})
		p.write(raw[size/2:])
		p.send(1, &wire.ChannelCloseOk{})
		p.openChannel(1)
		for range 4 {
			p.call(&wire.BasicGet{Queue: "large", NoAck: true}, &wire.BasicGetOk{})
			if got := p.content().body; got != want {
				t.Fatal("a body is not as it was sent")
			}
		}
		p.call(&wire.BasicGet{Queue: "large", NoAck: true}, &wire.BasicGetEmpty{})
		p.call(&wire.QueuePurge{Queue: "short"}, &wire.QueuePurgeOk{})
	}
}
