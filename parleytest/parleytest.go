// SPDX-License-Identifier: Apache-2.0

// Package parleytest runs a parley hub inside a test: in the same process, on free ports, closed
// by the test's cleanup.
//
//	h := parleytest.Hub(t)
//	conn, err := parley.Dial(t.Context(), h.URL())
package parleytest

import (
	"context"
	"testing"

	"github.com/parley-ipc/parley/hub"
)

// Running is a hub that serves until its test ends. Its methods are safe for concurrent use.
type Running struct {
	tb  testing.TB
	hub *hub.Hub
}

// Hub starts a hub with every door on a free port of loopback. Settings may change its options
// before it starts. It fails the test when the hub does not start.
func Hub(tb testing.TB, settings ...func(*hub.Options)) *Running {
	tb.Helper()
	o := hub.Defaults()
	const free = "127.0.0.1:0"
	o.Doors.AMQP.Listen, o.Doors.STOMP.Listen = free, free
	o.Doors.REST.Listen, o.Doors.Management.Listen = free, free
	o.Doors.WebSTOMP.Listen, o.Doors.Line.Listen, o.Doors.Thrift.Listen = free, free, free
	for _, set := range settings {
		set(&o)
	}
	h, err := hub.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	if err := h.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The test's own context has ended by now.
		if err := h.Shutdown(context.WithoutCancel(tb.Context())); err != nil {
			tb.Errorf("hub: %v", err)
		}
	})
	return &Running{tb: tb, hub: h}
}

// Addr returns host:port of a door: amqp, stomp, webstomp, rest or line. It fails the test when the door is closed.
func (r *Running) Addr(door string) string {
	r.tb.Helper()
	a := r.hub.Addr(door)
	if a == nil {
		r.tb.Fatalf("door %q is closed", door)
	}
	return a.String()
}

// URL returns where the SDK dials: parley://guest:guest@host:port.
func (r *Running) URL() string { return "parley://guest:guest@" + r.Addr("amqp") }

// AMQP returns the URL for AMQP 0-9-1 clients: amqp://guest:guest@host:port/.
func (r *Running) AMQP() string { return "amqp://guest:guest@" + r.Addr("amqp") + "/" }

// REST returns the base URL of the REST door: http://host:port.
func (r *Running) REST() string { return "http://" + r.Addr("rest") }
