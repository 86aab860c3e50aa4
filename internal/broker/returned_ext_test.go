// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// A message that went back can be accepted by who had it until somebody else has got it
// (rest.md, Leases), and the others keep their order.
func TestAcceptReturned(t *testing.T) {
	t.Parallel()
	const n = 9
	for gone := range n {
		b := newBroker(t)
		c := newClient(t, b, "c")
		c.queue("q")
		c.consume("q", "t", 0)
		var want []string
		for i := range n {
			c.publish("", "q", strconv.Itoa(i))
			if i != gone {
				want = append(want, strconv.Itoa(i))
			}
		}
		got := c.all()
		at, ok := c.Locate(got[gone].tag)
		if !ok {
			t.Fatal("an unsettled delivery has no name")
		}
		if c.AcceptReturned(at) {
			t.Fatal("accepted what had not gone back")
		}
		c.Session.Cancel("t")
		for _, i := range []int{4, 2, 8, 0, 6, 1, 7, 3, 5} {
			c.settle(got[i].tag, broker.Released)
		}
		if _, ok := c.Locate(got[gone].tag); ok {
			t.Fatal("a settled delivery has a name")
		}
		other := newClient(t, b, "other")
		if !other.AcceptReturned(at) || other.AcceptReturned(at) {
			t.Fatalf("message %d: not accepted once", gone)
		}
		other.consume("q", "t", 0)
		if rest := other.take(); !slices.Equal(rest, want) {
			t.Fatalf("without %d: %v", gone, rest)
		}
	}
}

// A message that was delivered again is somebody else's, also after it came back once more.
func TestAcceptReturnedTooLate(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	c.queue("q")
	c.consume("q", "t", 1)
	c.publish("", "q", "x")
	at, _ := c.Locate(c.all()[0].tag)
	c.Recover() // it is delivered again at once
	if c.AcceptReturned(at) {
		t.Error("accepted another's delivery")
	}
	c.Session.Cancel("t")
	c.Recover()
	if c.AcceptReturned(at) {
		t.Error("accepted after another delivery")
	}
	if c.AcceptReturned(broker.Returned{}) {
		t.Error("accepted nothing")
	}
	if _, err := c.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	if c.AcceptReturned(at) {
		t.Error("accepted in a deleted queue")
	}
}
