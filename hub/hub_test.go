// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// doors returns options with the listeners on free ports.
func doors() Options {
	o := Defaults()
	for _, d := range o.Doors.all() {
		d.door.Listen = "127.0.0.1:0"
	}
	o.Drain = time.Second
	return o
}

// TestStart: a hub that has started accepts at every door, and at none once it is shut down.
func TestStart(t *testing.T) {
	t.Parallel()
	h, err := New(doors())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addresses := make(map[string]string)
	for _, door := range []string{"amqp", "stomp", "rest", "management"} {
		addresses[door] = h.Addr(door).String()
	}
	for range 2 { // it is repeatable
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for door, address := range addresses {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			t.Errorf("door %s accepts after the shutdown", door)
		}
	}
	if h.Ready() {
		t.Error("ready after the shutdown")
	}
}

// TestMetricsPages: the metrics are at three doors, without a login and without names.
func TestMetricsPages(t *testing.T) {
	t.Parallel()
	h, err := New(doors())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, door := range []string{"rest", "management", "prometheus"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			"http://"+h.Addr(door).String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK ||
			!strings.Contains(string(page), "\nrabbitmq_queue_messages_ready 0\n") ||
			!strings.Contains(string(page), `door="`) {
			t.Errorf("door %s: %v %s %s", door, err, res.Status, page)
		}
	}
}

// TestStartFails: when one door cannot be opened none is.
func TestStartFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := doors()
	o.Doors.REST.Listen = taken.Addr().String() // the last one
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil {
		t.Fatal("started on an address that is in use")
	}
	if c, err := net.Dial("tcp", h.Addr("amqp").String()); err == nil {
		c.Close()
		t.Error("the AMQP door accepts")
	}
}

// TestStartAndShutdown: a hub may be shut down, and asked, while it starts.
func TestStartAndShutdown(t *testing.T) {
	t.Parallel()
	for range 20 {
		h, err := New(doors())
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if err := h.Start(t.Context()); err != nil && !errors.Is(err, errStopped) {
				t.Errorf("start: %v", err)
			}
		})
		all.Go(func() { h.Addr("amqp") })
		all.Go(func() {
			if err := h.Shutdown(t.Context()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
		all.Wait()
		if h.Ready() {
			t.Fatal("ready after the shutdown")
		}
	}
}
