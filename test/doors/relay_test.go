// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3/frame"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/hub"
)

// A relay is one connection of Spring's StompBrokerRelayMessageHandler, which has one of the
// application's own ("system") and one for each WebSocket session of a user. Its frames are written
// as Spring's encoder writes them; it never asks for receipts by itself.
type relay struct {
	conn   net.Conn
	frames chan *frame.Frame // all but heart-beats; closed at the end
	beats  atomic.Int64      // heart-beats of the hub
}

// newRelay connects and logs in without a host, as Spring does unless it is told a virtual host.
func newRelay(t *testing.T, d dialer, heartBeat string) *relay {
	t.Helper()
	r := &relay{conn: d.dial(t), frames: make(chan *frame.Frame, 64)}
	leave, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(r.frames)
		reader := frame.NewReader(r.conn)
		for {
			switch f, err := reader.Read(); {
			case err != nil:
				return
			case f == nil:
				r.beats.Add(1)
			default:
				select {
				case r.frames <- f:
				case <-leave:
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(leave)
		r.conn.Close()
		<-ended
	})
	r.write(t, "CONNECT\naccept-version:1.1,1.2\nlogin:guest\npasscode:guest\nheart-beat:%s\n\n\x00", heartBeat)
	f := r.next(t)
	h := f.Header
	if f.Command != frame.CONNECTED || h.Get("version") != "1.2" || h.Get("heart-beat") != heartBeat ||
		h.Get("session") == "" {
		t.Fatalf("CONNECT is answered by %s %v", f.Command, h)
	}
	return r
}

func (r *relay) write(t *testing.T, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(r.conn, format, args...); err != nil {
		t.Fatal(err)
	}
}

// subscribe forwards a user's SUBSCRIBE, with the receipt that the user's client asks for, or the
// application's own, without one.
func (r *relay) subscribe(t *testing.T, id, destination, receipt string) {
	t.Helper()
	if receipt == "" {
		r.write(t, "SUBSCRIBE\nid:%s\ndestination:%s\n\n\x00", id, destination)
		return
	}
	r.write(t, "SUBSCRIBE\nid:%s\ndestination:%s\nreceipt:%s\n\n\x00", id, destination, receipt)
	if f := r.next(t); f.Command != frame.RECEIPT || f.Header.Get("receipt-id") != receipt {
		t.Fatalf("SUBSCRIBE is answered by %s %v", f.Command, f.Header)
	}
}

const relayType = "application/json;charset=UTF-8"

func (r *relay) send(t *testing.T, destination, body string) {
	t.Helper()
	r.write(t, "SEND\ndestination:%s\ncontent-type:%s\ncontent-length:%d\n\n%s\x00",
		destination, relayType, len(body), body)
}

// next returns the next frame.
func (r *relay) next(t *testing.T) *frame.Frame {
	t.Helper()
	return r.within(t, wait)
}

// within returns the next frame, if it comes in time.
func (r *relay) within(t *testing.T, wait time.Duration) *frame.Frame {
	t.Helper()
	select {
	case f, ok := <-r.frames:
		if !ok {
			t.Fatal("the hub has closed the connection")
		}
		return f
	case <-time.After(wait):
		t.Fatal("nothing comes")
	}
	return nil
}

// gets wants a MESSAGE as Spring maps it to a session: by its subscription.
func (r *relay) gets(t *testing.T, subscription, destination, body string) {
	t.Helper()
	f := r.next(t)
	h := f.Header
	if f.Command != frame.MESSAGE || h.Get("subscription") != subscription ||
		h.Get("destination") != destination || h.Get("message-id") == "" ||
		h.Get("content-type") != relayType || string(f.Body) != body {
		t.Fatalf("%s %v %q, want %q from %s for %s", f.Command, h, f.Body, body, destination, subscription)
	}
}

// relayed starts a hub with the doors of a relay and of another application.
func relayed(t *testing.T) (*hub.Hub, dialer) {
	t.Helper()
	h := start(t, func(o *hub.Options) { o.Doors.STOMP.Listen, o.Doors.AMQP.Listen = free, free })
	return h, dialer{h.Addr("stomp").String(), nil}
}

// The application's own subscriptions, where more than one of its processes share their users.
const (
	unresolved = "/topic/unresolved-user-destination"
	registry   = "/topic/simp-user-registry"
)

// TestSpringRelay: an application behind Spring's relay, with users who have a session or two. What
// is meant for a user reaches all sessions of that user and no other; a topic reaches everybody.
func TestSpringRelay(t *testing.T) {
	t.Parallel()
	h, d := relayed(t)
	system := newRelay(t, d, "10000,10000")
	system.subscribe(t, "0", unresolved, "")
	system.subscribe(t, "1", registry, "")
	system.send(t, registry, `{"id":"node-1"}`) // Spring tells itself, too
	system.gets(t, "1", registry, `{"id":"node-1"}`)

	sessions := map[string]*relay{}
	for _, session := range []string{"alice-1", "alice-2", "bob-1"} {
		r := newRelay(t, d, "10000,10000")
		// A user subscribes to /user/queue/notices and /user/exchange/amq.direct/news.
		r.subscribe(t, "sub-0", "/queue/notices-user"+session, "r0")
		r.subscribe(t, "sub-1", "/exchange/amq.direct/news-user"+session, "r1")
		r.subscribe(t, "sub-2", "/topic/prices.*", "r2")
		sessions[session] = r
	}
	for _, session := range []string{"alice-1", "alice-2"} { // convertAndSendToUser("alice", …)
		system.send(t, "/queue/notices-user"+session, `"for alice"`)
		system.send(t, "/exchange/amq.direct/news-user"+session, `"news"`)
	}
	for _, session := range []string{"alice-1", "alice-2"} {
		sessions[session].gets(t, "sub-0", "/queue/notices-user"+session, `"for alice"`)
		sessions[session].gets(t, "sub-1", "/exchange/amq.direct/news-user"+session, `"news"`)
	}
	sessions["bob-1"].send(t, "/topic/prices.stock", `{"price":"5 €"}`)
	for _, r := range sessions { // for bob it is the first message
		r.gets(t, "sub-2", "/topic/prices.stock", `{"price":"5 €"}`)
	}
	system.send(t, unresolved, `"to carol"`)
	system.gets(t, "0", unresolved, `"to carol"`)
	fromAMQP(t, h, sessions)
	leaves(t, h, system, sessions)
}

// fromAMQP: another application reaches a session and a topic.
func fromAMQP(t *testing.T, h *hub.Hub, sessions map[string]*relay) {
	t.Helper()
	ch := channel(t, h)
	publish := func(exchange, key string) {
		t.Helper()
		err := ch.PublishWithContext(t.Context(), exchange, key, false, false, amqp.Publishing{
			ContentType: relayType, Body: []byte(`"amqp"`),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	publish("amq.direct", "news-useralice-1")
	sessions["alice-1"].gets(t, "sub-1", "/exchange/amq.direct/news-useralice-1", `"amqp"`)
	publish("amq.topic", "prices.oil")
	for _, r := range sessions {
		r.gets(t, "sub-2", "/topic/prices.oil", `"amqp"`)
	}
}

// leaves: the relay writes DISCONNECT without a receipt and closes at once. What belonged to the
// session is gone, and nobody else notices.
func leaves(t *testing.T, h *hub.Hub, system *relay, sessions map[string]*relay) {
	t.Helper()
	gone := sessions["alice-2"]
	gone.send(t, "/topic/prices.last", `"bye"`)
	gone.write(t, "DISCONNECT\n\n\x00")
	gone.conn.Close()
	delete(sessions, "alice-2")
	for _, r := range sessions {
		r.gets(t, "sub-2", "/topic/prices.last", `"bye"`)
	}
	ch := channel(t, h)
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	for end := time.Now().Add(wait); ; {
		// Until the session's queue is gone, the message reaches it.
		err := ch.PublishWithContext(t.Context(), "amq.direct", "news-useralice-2", true, false,
			amqp.Publishing{Body: []byte("anybody?")})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-returns:
		case <-time.After(50 * time.Millisecond):
			if time.Now().Before(end) {
				continue
			}
			t.Fatal("the queue of a session that has left is still bound")
		}
		break
	}
	system.send(t, "/exchange/amq.direct/news-useralice-1", `"still here"`)
	sessions["alice-1"].gets(t, "sub-1", "/exchange/amq.direct/news-useralice-1", `"still here"`)
}

// channel opens an AMQP channel for the rest of the test.
func channel(t *testing.T, h *hub.Hub) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + h.Addr("amqp").String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// TestSpringRelayHeartBeats: Spring writes a line break when it has written nothing for the interval,
// and gives a connection up on which it has read nothing for three. Both sides stay, and a relay
// that falls silent is closed.
func TestSpringRelayHeartBeats(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		interval time.Duration
		rounds   int
	}{
		{time.Second, 3},
		{10 * time.Second, 3}, // Spring's default
	}
	for _, tc := range testCases {
		t.Run(tc.interval.String(), func(t *testing.T) {
			t.Parallel()
			if tc.interval > time.Second && testing.Short() {
				t.Skip("three intervals of 10 s; run without -short")
			}
			_, d := relayed(t)
			ms := tc.interval.Milliseconds()
			r := newRelay(t, d, fmt.Sprintf("%d,%d", ms, ms))
			r.subscribe(t, "0", registry, "")
			idle := time.NewTicker(tc.interval)
			defer idle.Stop()
			for round := range tc.rounds {
				before := r.beats.Load()
				<-idle.C
				if r.beats.Load() == before {
					t.Errorf("no heart-beat in interval %d", round)
				}
				r.write(t, "\n")
			}
			r.send(t, registry, `"here"`)
			r.gets(t, "0", registry, `"here"`)
			silent := time.Now()
			f := r.within(t, 4*tc.interval)
			if f.Command != frame.ERROR || !strings.HasPrefix(f.Header.Get("message"), "Heart-beat") {
				t.Fatalf("silence is answered by %s %v", f.Command, f.Header)
			}
			if after := time.Since(silent); after < 2*tc.interval || after > 3*tc.interval {
				t.Errorf("closed after %v of silence", after)
			}
		})
	}
}

// TestSpringRelayRestart: when the hub stops, Spring gets an ERROR on each connection; it connects
// again every 5 s until that works, and subscribes again by itself.
func TestSpringRelayRestart(t *testing.T) {
	t.Parallel()
	h, d := relayed(t)
	system, user := newRelay(t, d, "10000,10000"), newRelay(t, d, "10000,10000")
	system.subscribe(t, "0", registry, "")
	user.subscribe(t, "sub-0", "/topic/prices.*", "r0")
	if err := h.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*relay{system, user} {
		if f := r.next(t); f.Command != frame.ERROR {
			t.Errorf("a hub that stops says %s %v", f.Command, f.Header)
		}
		if f, open := <-r.frames; open {
			t.Errorf("%s comes behind the ERROR", f.Command)
		}
	}
	if conn, err := d.tryDial(); err == nil {
		conn.Close()
		t.Error("a hub that has stopped accepts")
	} else if !errors.As(err, new(*net.OpError)) {
		t.Error(err)
	}
	start(t, func(o *hub.Options) { o.Doors.STOMP.Listen = d.address })
	system, user = newRelay(t, d, "10000,10000"), newRelay(t, d, "10000,10000")
	system.subscribe(t, "0", registry, "")
	user.subscribe(t, "sub-0", "/topic/prices.*", "r0")
	system.send(t, "/topic/prices.oil", `"again"`)
	user.gets(t, "sub-0", "/topic/prices.oil", `"again"`)
}
