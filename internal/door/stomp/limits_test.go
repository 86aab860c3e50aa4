// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// brokerWith is newBroker with options.
func brokerWith(t *testing.T, o broker.Options) *broker.Broker {
	t.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	o.Clock, o.Log, o.Formats = clock{}, log, []broker.Format{Format{}}
	b := broker.New(o)
	log.Bind(b)
	t.Cleanup(b.Close)
	return b
}

// TestConnectionLimits: a connection too many of the hub or of a virtual host.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limits broker.Limits
		vhost  int64
		body   string
	}{
		"of the hub": {
			broker.Limits{Connections: 1}, -1, "Connection refused: node connection limit reached",
		},
		"of the virtual host": {
			broker.Limits{}, 1, "Connection refused: vhost connection limit reached",
		},
		"of the user": {
			broker.Limits{ConnectionsPerUser: 1}, -1, "Connection refused: user connection limit reached",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokerWith(t, broker.Options{Limits: tc.limits})
			v, _ := b.VirtualHost("/")
			if err := v.SetLimit("max-connections", tc.vhost); err != nil {
				t.Fatal(err)
			}
			h := newHub(t, func(o *Options) { o.Broker = b })
			first := h.rawLogin(t, wire.V12)
			second := h.rawDial(t)
			second.send(rawConnect(wire.V12) + "\n\x00")
			second.refused("Bad CONNECT", tc.body)
			first.done("DISCONNECT")
			h.rawLogin(t, wire.V12)
		})
	}
}

// TestPermissions: sections 4 and 5, what a user may not do is an ERROR in AMQP's words, and closes.
func TestPermissions(t *testing.T) {
	t.Parallel()
	guest := auth.Guest()
	guest.Grant("/", auth.Permission{
		Configure: "(stomp-subscription-|mine).*",
		Write:     "(stomp-subscription-|mine|amq.default|amq.topic|amq.direct).*",
		Read:      "(stomp-subscription-|mine|amq.topic).*",
	})
	guest.GrantTopic(auth.Topic{VHost: "/", Exchange: "amq.topic"}, auth.TopicPermission{
		Write: "w.*", Read: "r.*",
	})
	users, err := auth.New(auth.Options{Users: []auth.User{guest}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(t, func(o *Options) { o.Broker = brokerWith(t, broker.Options{Access: users}) })
	h.rawLogin(t, wire.V12).done("SEND\ndestination:/queue/mine")
	const refused = "ACCESS_REFUSED - %s access to %s in vhost '/' refused for user 'guest'"
	const topic = "ACCESS_REFUSED - %s access to topic '%s' in exchange 'amq.topic' in vhost '/'" +
		" refused for user 'guest'"
	for frame, body := range map[string]string{
		"SEND\ndestination:/exchange/amq.fanout/k": fmt.Sprintf(refused, "write", "exchange 'amq.fanout'"),
		"SEND\ndestination:/queue/other":           fmt.Sprintf(refused, "configure", "queue 'other'"),
		"SEND\ndestination:/topic/r.1":             fmt.Sprintf(topic, "write", "r.1"),
		"SUBSCRIBE\nid:s\ndestination:/topic/w.1":  fmt.Sprintf(topic, "read", "w.1"),
		"SUBSCRIBE\nid:s\ndestination:/exchange/amq.direct/k": fmt.Sprintf(refused, "read",
			"exchange 'amq.direct'"),
		"SUBSCRIBE\nid:s\ndestination:/topic/r.1\nx-queue-name:other": fmt.Sprintf(refused, "configure",
			"queue 'other'"),
		"SEND\nuser-id:root\ndestination:/queue/mine": "user_id property set to 'root' but" +
			" authenticated user was 'guest'\n",
	} {
		c := h.rawLogin(t, wire.V12)
		c.send(frame + "\n\n\x00")
		c.refused("access_refused", body)
	}
	c := h.rawLogin(t, wire.V12)
	c.done("SUBSCRIBE\nid:s\ndurable:true\ndestination:/topic/r.1")
	c.done("SEND\ndestination:/topic/w.1")
	// What the permission was for, when it is gone: the queue is not deleted.
	guest.Grant("/", auth.Permission{Configure: "", Write: ".*", Read: ".*"})
	if err := users.Put(guest); err != nil {
		t.Fatal(err)
	}
	c.send("UNSUBSCRIBE\nid:s\ndurable:true\n\n\x00")
	name := durableName([]byte("/topic/r.1"), "s")
	c.refused("access_refused", fmt.Sprintf(refused, "configure", "queue '"+name+"'"))
	if _, ok := h.vhostQueue(name); !ok {
		t.Error("the queue is gone")
	}
}

// TestEveryQueueHeader: each header that describes a queue reaches it.
func TestEveryQueueHeader(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	const all = "\nexclusive:false\nauto-delete:False\ndurable:True\nx-queue-type:classic\n" +
		"x-message-ttl:60000\nx-expires:600000\nx-max-length:100\nx-max-length-bytes:1000000\n" +
		"x-max-priority:9\nx-dead-letter-exchange:amq.direct\nx-dead-letter-routing-key:dead"
	want := broker.Table{
		{Name: "x-queue-type", Value: "classic"},
		{Name: "x-message-ttl", Value: int64(60000)},
		{Name: "x-expires", Value: int64(600000)},
		{Name: "x-max-length", Value: int64(100)},
		{Name: "x-max-length-bytes", Value: int64(1000000)},
		{Name: "x-max-priority", Value: int64(9)},
		{Name: "x-dead-letter-exchange", Value: "amq.direct"},
		{Name: "x-dead-letter-routing-key", Value: "dead"},
	}
	c := h.rawLogin(t, wire.V11)
	c.done("SEND\ndestination:/queue/every.sent" + all)
	c.done("SUBSCRIBE\nid:1\ndestination:/queue/every.subscribed" + all)
	c.done("SUBSCRIBE\nid:2\ndestination:/topic/every\nx-queue-name:every.bound" + all)
	for _, name := range []string{"every.sent", "every.subscribed", "every.bound"} {
		q, ok := h.vhostQueue(name)
		if !ok {
			t.Fatalf("no queue %s", name)
		}
		p := q.QueueParams
		if diff := cmp.Diff(want, p.Arguments); diff != "" || !p.Durable || p.AutoDelete || p.Exclusive {
			t.Errorf("%+v (-want +got):\n%s", p, diff)
		}
	}
}

// TestConsumerPriority: x-priority: who has the higher one is served first.
func TestConsumerPriority(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	low, high := h.rawLogin(t, wire.V12), h.rawLogin(t, wire.V12)
	low.done("SUBSCRIBE\nid:low\nx-priority:-1\ndestination:/queue/priority")
	high.done("SUBSCRIBE\nid:high\nx-priority:10\nack:client\nprefetch-count:2\ndestination:/queue/priority")
	low.send("SEND\ndestination:/queue/priority\n\n1\x00SEND\ndestination:/queue/priority\n\n2\x00" +
		"SEND\ndestination:/queue/priority\n\n3\x00")
	high.carries("\n1")
	high.carries("\n2")
	low.carries("\n3")
	low.send("SUBSCRIBE\nid:more\nx-priority:high\ndestination:/queue/priority\n\n\x00")
	low.refused("Invalid header", "\"SUBSCRIBE\" must include a valid \"x-priority\" header\n")
}

// TestRequestLater: an answer waits in a durable queue of the asker's own while the asker
// is gone.
func TestRequestLater(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, v := range versions() {
		service, asker := "/queue/later."+v.String(), "/queue/answers."+v.String()
		c := h.rawLogin(t, v)
		c.done("SUBSCRIBE\nid:a\ndestination:" + asker) // makes the queue
		c.done("SEND\nreply-to:" + asker + "\ncorrelation-id:7\ndestination:" + service)
		c.done("DISCONNECT")
		c.ended()
		s := h.rawLogin(t, v)
		s.done("SUBSCRIBE\nid:s\ndestination:" + service)
		f := s.carries("correlation-id:7\nreply-to:" + asker + "\n\n")
		s.send("SEND\ncorrelation-id:" + headerIn(f, "correlation-id") + "\ndestination:" +
			headerIn(f, "reply-to") + "\nreceipt:r\n\nanswer\x00")
		s.want("RECEIPT\nreceipt-id:r\n\n")
		c = h.rawLogin(t, v)
		c.done("SUBSCRIBE\nid:a\ndestination:" + asker)
		c.carries("correlation-id:7\n\nanswer")
	}
}

// TestTempQueueNames: a reply-to that names no temporary queue.
func TestTempQueueNames(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, name := range []string{"/", "/a/b"} {
		c := h.rawLogin(t, wire.V12)
		c.send("SEND\ndestination:/queue/x\nreply-to:/temp-queue" + name + "\n\n\x00")
		c.refused("Invalid destination", "'"+name+"' is not a valid temp_queue destination\n")
	}
}

// TestQuickClients: clients that connect, send, disconnect and go without having read an
// octet: every message is there, however the frames were cut.
func TestQuickClients(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	const each = 20
	for _, v := range versions() {
		queue := "/queue/quick." + v.String()
		send := "SEND\ndestination:" + queue + "\nreceipt:r\npersistent:true\n\nx\x00\n"
		for range each {
			whole, cut, open := h.rawDial(t), h.rawDial(t), h.rawDial(t)
			whole.send(rawConnect(v) + "\n\x00\n" + send + "DISCONNECT\nreceipt:d\n\n\x00\n")
			for _, octets := range []string{
				rawConnect(v), "\n\x00", "\n", send[:30], send[30:], send, "DISCONNECT\n\n", "\x00",
			} {
				cut.send(octets)
			}
			open.send(rawConnect(v) + "\n\x00\n" + send)
			for _, c := range []*raw{whole, cut, open} {
				_ = c.net.Close()
			}
		}
		c := h.rawLogin(t, v)
		c.done("SUBSCRIBE\nid:s\ndestination:" + queue)
		for n := range 4 * each {
			if f, err := c.tryFrame(); err != nil {
				t.Fatalf("%d of %d messages, then %q, %v", n, 4*each, f, err)
			}
		}
	}
}

// TestLimitsBeforeLogin: 64 KiB of CONNECT are taken, an octet more is not, in each way
// that a frame grows.
func TestLimitsBeforeLogin(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, v := range versions() {
		head := rawConnect(v) + "x:"
		fill := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = 'x'
			}
			return string(b)
		}
		most := wire.BeforeLoginFrameBytes - len(head) - len("\n\n\x00")
		c := h.rawDial(t)
		c.send(head + fill(most) + "\n\n\x00")
		c.connected(v)
		c = h.rawDial(t)
		c.send(head + fill(most+1) + "\n\n\x00")
		c.refused("Frame too large", "frame larger than 65536 bytes\n")
	}
	quick := newHub(t, func(o *Options) { o.LoginTimeout = 50 * time.Millisecond })
	c := quick.rawDial(t)
	c.send("\n\nCONNECT\n")
	c.refused("Login timed out", "no login came in time\n")
}
