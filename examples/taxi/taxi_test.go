// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/parleytest"
)

func connect(t *testing.T, url, name string) *parley.Conn {
	t.Helper()
	c, err := parley.Dial(t.Context(), url, parley.WithName(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// start plays a role until the test ends, and returns when its queue has a consumer.
func start(t *testing.T, url, queue string, args ...string) {
	t.Helper()
	r, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	c := connect(t, url, r.name)
	go func() { ended <- r.play(ctx, c, io.Discard) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%v: %v", args, err)
		}
	})
	for {
		info, err := c.Queue(ctx, queue)
		if err == nil && info.Consumers > 0 {
			return
		}
		if err != nil && !errors.Is(err, parley.CodeNotFound) {
			t.Fatal(err)
		}
	}
}

// travel plays a passenger and returns what is printed.
func travel(t *testing.T, url, name, from, to string) string {
	t.Helper()
	r, err := parse([]string{"passenger", name, from, to})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := r.play(ctx, connect(t, url, name), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheNearestDriverTakesTheRide(t *testing.T) {
	t.Parallel()
	url := parleytest.Hub(t).URL()
	start(t, url, "trip", "trip")
	start(t, url, "driver.bob", "driver", "bob", "3")
	start(t, url, "driver.eve", "driver", "eve", "40")

	want := "ada: bob comes in 4 minutes (ride-1)\nada: arrived at 12\nada: ride-1 costs 13.50\n"
	if got := travel(t, url, "ada", "5", "12"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// Bob is at 12 now.
	want = "joe: eve comes in 22 minutes (ride-2)\njoe: arrived at 28\njoe: ride-2 costs 4.50\n"
	if got := travel(t, url, "joe", "29", "28"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// The price comes from another's service where there is one.
func TestTheFareOfficeIsAsked(t *testing.T) {
	t.Parallel()
	url := parleytest.Hub(t).URL()
	ctx, cancel := context.WithCancel(t.Context())
	s := parley.NewService(connect(t, url, "fare"), parley.ServiceConfig{Name: "fare"})
	askFare.Handle(s, func(_ context.Context, d Distance) (Fare, error) {
		return Fare{Cents: 1 + d.Km}, nil
	})
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()
	start(t, url, "trip", "trip")
	start(t, url, "driver.bob", "driver", "bob", "3")
	if got := travel(t, url, "ada", "5", "12"); !strings.HasSuffix(got, "ride-1 costs 0.08\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestNoDriver(t *testing.T) {
	t.Parallel()
	url := parleytest.Hub(t).URL()
	start(t, url, "trip", "trip")
	_, err := requestRide.Call(t.Context(), connect(t, url, "ada"), Wish{Passenger: "ada"})
	if !errors.Is(err, parley.CodeException) || !strings.Contains(err.Error(), "no driver is free") {
		t.Errorf("err = %v", err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		nil,
		{"pilot"},
		{"driver", "bob"},
		{"driver", "bob", "x"},
		{"passenger", "ada", "1", "y"},
		{"trip", "too", "much"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("taxi %v: no error", args)
		}
	}
}
