// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley"
)

const (
	// offerTime is how long drivers may think about a wish.
	offerTime = time.Second

	baseCents  = 300
	centsPerKm = 150
)

// office is the service trip: it finds a driver for each wish and writes the bills.
type office struct{ rides atomic.Int64 }

func newOffice() *office { return &office{} }

func (o *office) run(ctx context.Context, conn *parley.Conn, out io.Writer) error {
	s := parley.NewService(conn, parley.ServiceConfig{Name: "trip"})
	requestRide.Handle(s, func(ctx context.Context, w Wish) (Ride, error) {
		return o.assign(ctx, conn, w)
	})
	requestBill.Handle(s, func(ctx context.Context, r Ride) (Bill, error) {
		return bill(ctx, conn, r)
	})
	fmt.Fprintln(out, "trip: open")
	return s.Run(ctx)
}

// assign asks every driver and gives the ride to the nearest.
func (o *office) assign(ctx context.Context, conn *parley.Conn, w Wish) (Ride, error) {
	var best *Offer
	everyone := parley.Until{All: true, Total: offerTime}
	for reply, err := range offerRide.Gather(ctx, conn, w, everyone) {
		var late *parley.Incomplete
		switch {
		case errors.As(err, &late), errors.Is(err, parley.CodeException):
			continue // one driver is asleep or has said no; the others will do
		case errors.Is(err, parley.CodeNoInstance), errors.Is(err, parley.CodeNoService):
			return Ride{}, noDriver()
		case err != nil:
			return Ride{}, err
		}
		if best == nil || reply.Value.Minutes < best.Minutes {
			best = &reply.Value
		}
	}
	if best == nil {
		return Ride{}, noDriver()
	}
	ride := Ride{ID: fmt.Sprintf("ride-%d", o.rides.Add(1)), Wish: w, Offer: *best}
	// The driver gets it even if the line drops now: it waits in the driver's own queue.
	return ride, assignRide(best.Driver).Send(ctx, conn, ride)
}

// bill asks how long the road is, and the fare office for the price, on the connection that this call
// came in on. The town may have none of them, or they may be closed now: then the office's own tables
// will do.
func bill(ctx context.Context, conn *parley.Conn, r Ride) (Bill, error) {
	way, err := askRoad.Call(ctx, conn, Stretch{At: r.From, To: r.To})
	switch {
	case isClosed(err):
		way.Km = distance(r.From, r.To)
	case err != nil:
		return Bill{}, err
	}
	fare, err := askFare.Call(ctx, conn, Distance{Km: way.Km})
	if isClosed(err) {
		fare, err = Fare{Cents: baseCents + centsPerKm*way.Km}, nil
	}
	return Bill{Ride: r.ID, Cents: fare.Cents}, err
}

// isClosed reports whether a service is not there.
func isClosed(err error) bool {
	return errors.Is(err, parley.CodeNoService) || errors.Is(err, parley.CodeNoInstance)
}

func noDriver() error {
	return &parley.Error{Code: parley.CodeException, Message: "no driver is free"}
}

func distance(a, b int) int { return max(a-b, b-a) }
