// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
)

// bodyOf returns the body with a number: of any size, below and above a frame and what is shared, and of
// bytes that no other has.
func bodyOf(number uint64) []byte {
	sizes := []int{0, 100, 65_535, 65_536, 131_063, 131_064, 131_065, 400_000, 1 << 20, 3<<20 + 1}
	random := rand.New(rand.NewPCG(number, 7))
	size := 8 + sizes[random.IntN(len(sizes))]
	body := binary.BigEndian.AppendUint64(make([]byte, 0, size), number)
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], number)
	stream := rand.NewChaCha8(key)
	body = body[:size]
	_, _ = stream.Read(body[8:]) // never fails
	return body
}

// TestLargeBodies: large messages of several publishers, on channels whose frames come by turns, reach
// each queue's consumers whole: those that read slowly, give back, or go away with messages in hand, and
// those that come later. Queues, dead letters and outputs share the memory of a body; built with the tag
// check, memory is spoiled when nobody holds it any more, and here somebody would see it.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) { o.Doors.AMQP.Listen = free })
	const publishers, each = 4, 12
	dial := func(pause time.Duration) *amqp.Channel {
		conn, err := amqp.DialConfig("amqp://guest:guest@"+h.Addr("amqp").String()+"/", amqp.Config{
			Dial: func(_, address string) (net.Conn, error) {
				conn, err := dialer{address, nil}.tryDial()
				return slowConn{conn, pause}, err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	ch := dial(0)
	queues := map[string]amqp.Table{
		"now": nil, "slow": nil, "back": nil,
		"dying": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-message-ttl": 300},
		"dead":  nil,
		"later": nil,
	}
	for name, args := range queues {
		if _, err := ch.QueueDeclare(name, name == "later", false, false, false, args); err != nil {
			t.Fatal(err)
		}
		if name != "dead" {
			if err := ch.QueueBind(name, "", "amq.fanout", false, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var group sync.WaitGroup
	consume := func(name string, auto bool, settle func(n int, d *amqp.Delivery) (done bool, err error)) {
		ch := dial(map[string]time.Duration{"slow": time.Millisecond}[name])
		if err := ch.Qos(5, 0, false); err != nil {
			t.Fatal(err)
		}
		deliveries, err := ch.Consume(name, "", auto, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			seen := make(map[uint64]bool)
			for n := 0; len(seen) < publishers*each; n++ {
				select {
				case d, ok := <-deliveries:
					if !ok {
						t.Errorf("%s: the consumer ended after %d messages", name, len(seen))
						return
					}
					if err := checkBody(d.Body); err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					done, err := settle(n, &d)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					if done {
						seen[binary.BigEndian.Uint64(d.Body)] = true
					}
				case <-time.After(2 * wait):
					t.Errorf("%s: %d messages came", name, len(seen))
					return
				}
			}
		})
	}
	consume("now", true, func(int, *amqp.Delivery) (bool, error) { return true, nil })
	consume("slow", true, func(int, *amqp.Delivery) (bool, error) { return true, nil })
	consume("back", false, func(n int, d *amqp.Delivery) (bool, error) {
		if n%3 == 0 && !d.Redelivered {
			return false, d.Nack(false, true)
		}
		return true, d.Ack(false)
	})
	consume("dead", true, func(int, *amqp.Delivery) (bool, error) { return true, nil })
	gone := dial(0)
	if _, err := gone.Consume("later", "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	publishBodies(t, h, publishers, each)
	if err := gone.Close(); err != nil { // with messages in hand
		t.Error(err)
	}
	consume("later", false, func(_ int, d *amqp.Delivery) (bool, error) { return true, d.Ack(false) })
	group.Wait()
}

// slowConn takes a little at a time, with pauses before it.
type slowConn struct {
	net.Conn

	pause time.Duration
}

func (c slowConn) Read(p []byte) (int, error) {
	if c.pause == 0 {
		return c.Conn.Read(p)
	}
	time.Sleep(c.pause)
	return c.Conn.Read(p[:min(len(p), 32<<10)])
}

// publishBodies lets channels of one connection publish by turns, and waits for the confirms.
func publishBodies(t *testing.T, h *hub.Hub, publishers, each int) {
	t.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + h.Addr("amqp").String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*wait)
	defer cancel()
	var group sync.WaitGroup
	var refused atomic.Int64
	for p := range publishers {
		group.Go(func() {
			ch, err := conn.Channel()
			if err == nil {
				err = ch.Confirm(false)
			}
			for i := range each {
				if err != nil {
					break
				}
				var confirm *amqp.DeferredConfirmation
				confirm, err = ch.PublishWithDeferredConfirmWithContext(ctx, "amq.fanout", "", false, false,
					amqp.Publishing{
						DeliveryMode: uint8(1 + i%2), Body: bodyOf(uint64(p*each + i)),
						MessageId: strconv.Itoa(i),
					})
				if err == nil {
					var ok bool
					if ok, err = confirm.WaitContext(ctx); !ok {
						refused.Add(1)
					}
				}
			}
			if err != nil {
				t.Errorf("publisher %d: %v", p, err)
			}
		})
	}
	group.Wait()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d messages were not confirmed", n)
	}
}

// checkBody compares a body with what has its number.
func checkBody(body []byte) error {
	if len(body) < 8 {
		return fmt.Errorf("a body of %d bytes", len(body))
	}
	number := binary.BigEndian.Uint64(body)
	if !bytes.Equal(body, bodyOf(number)) {
		return fmt.Errorf("the body with the number %#x is not as it was sent", number)
	}
	return nil
}
