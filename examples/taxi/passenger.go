// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/parley-ipc/parley"
)

// passenger takes one ride and pays for it.
type passenger struct {
	name     string
	from, to int // km
}

func (p passenger) run(ctx context.Context, conn *parley.Conn, out io.Writer) error {
	// A group of one: what happens is kept from here on, also while nobody reads.
	group := parley.From{Group: p.name}
	if err := rideFinished.Follow(ctx, conn, group); err != nil {
		return err
	}
	ride, err := requestRide.Call(ctx, conn, Wish{Passenger: p.name, From: p.from, To: p.to})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s comes in %d minutes (%s)\n", p.name, ride.Driver, ride.Minutes, ride.ID)
	for event, err := range rideFinished.Events(ctx, conn, group) {
		if err != nil {
			return err
		}
		if event.Value.ID == ride.ID {
			break
		}
	}
	fmt.Fprintf(out, "%s: arrived at %d\n", p.name, ride.To)

	// The bill can wait; its ID is all there is to keep, and any process can fetch it.
	pending, err := requestBill.Start(ctx, conn, ride)
	if err != nil {
		return err
	}
	bill, err := parley.Resume[Bill](conn, pending.ID).Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s costs %d.%02d\n", p.name, bill.Ride, bill.Cents/100, bill.Cents%100)
	return nil
}
