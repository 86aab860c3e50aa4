// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/parley-ipc/parley"
)

const (
	minutesPerKm = 2
	// drivingTime is how long a kilometre takes in this town.
	drivingTime = 10 * time.Millisecond
)

// driver is one taxi.
type driver struct {
	name string

	mu   sync.Mutex
	at   int // km
	busy bool
}

func (d *driver) run(ctx context.Context, conn *parley.Conn, out io.Writer) error {
	s := parley.NewService(conn, parley.ServiceConfig{Name: "driver", Instance: d.name})
	offerRide.Handle(s, d.offer)
	assignRide(d.name).Handle(s, func(ctx context.Context, r Ride) (struct{}, error) {
		fmt.Fprintf(out, "%s: %s for %s, %d to %d\n", d.name, r.ID, r.Passenger, r.From, r.To)
		if err := d.drive(ctx, r); err != nil {
			return struct{}{}, err // the ride comes again, to this driver
		}
		return struct{}{}, rideFinished.Publish(ctx, conn, r)
	}, parley.Concurrency(1)) // one ride at a time
	fmt.Fprintf(out, "%s: waiting at %d\n", d.name, d.at)
	return s.Run(ctx)
}

// offer says how soon the driver can be there.
func (d *driver) offer(_ context.Context, w Wish) (Offer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy {
		return Offer{}, errors.New("busy")
	}
	return Offer{Driver: d.name, Minutes: minutesPerKm * distance(d.at, w.From)}, nil
}

func (d *driver) drive(ctx context.Context, r Ride) error {
	d.mu.Lock()
	d.busy = true
	km := distance(d.at, r.From) + distance(r.From, r.To)
	d.mu.Unlock()
	arrived := time.NewTimer(time.Duration(km) * drivingTime)
	defer arrived.Stop()
	var err error
	select {
	case <-arrived.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
	if err == nil {
		d.at = r.To
	}
	return err
}
