// SPDX-License-Identifier: Apache-2.0

// Command taxi is a taxi company of three kinds of processes that talk through a parley hub: it
// shows every style of the SDK where an application would use it.
//
//	passenger --call-----> trip           a ride, please: trip.Request
//	trip      --gather---> every driver   how soon can you be there? driver.Offer
//	trip      --send-----> one driver     the ride is yours: driver.NAME/Assign
//	driver    --publish--> who follows    ride.finished
//	passenger --request--> trip           the bill, fetched later: trip.Bill
//	trip      --call-----> road           how far is it? road.Between, if there is such a service
//	trip      --call-----> fare           what does it cost? fare.Price, likewise
//
// Run a hub, then each of these in a terminal of its own. `make run` is one that has road and fare too:
// a server of Thrift, whose contract is town.thrift, and a worker that speaks HTTP.
//
//	go run ./examples/taxi trip
//	go run ./examples/taxi driver bob 3
//	go run ./examples/taxi driver eve 40
//	go run ./examples/taxi passenger ada 5 12
//
// Places are kilometres along the only road of the town. PARLEY_CLI_URL names another hub.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/parley-ipc/parley"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "taxi:", err)
		os.Exit(1) //nolint:gocritic // stop only gives the signals back
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	role, err := parse(args)
	if err != nil {
		return err
	}
	url := os.Getenv("PARLEY_CLI_URL")
	if url == "" {
		url = parley.DefaultURL
	}
	conn, err := parley.Dial(ctx, url, parley.WithName(role.name))
	if err != nil {
		return err
	}
	defer conn.Close()
	return role.play(ctx, conn, out)
}

// role is one process of the company.
type role struct {
	name string
	play func(ctx context.Context, conn *parley.Conn, out io.Writer) error
}

func parse(args []string) (role, error) {
	word := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	place := func(i int) (km int, err error) {
		if km, err = strconv.Atoi(word(i)); err != nil {
			err = fmt.Errorf("%q is no place: a whole number of kilometres is", word(i))
		}
		return km, err
	}
	switch {
	case word(0) == "trip" && len(args) == 1:
		return role{"trip", newOffice().run}, nil
	case word(0) == "driver" && len(args) == 3:
		at, err := place(2)
		d := &driver{name: word(1), at: at}
		return role{d.name, d.run}, err
	case word(0) == "passenger" && len(args) == 4:
		from, err := place(2)
		if err != nil {
			return role{}, err
		}
		to, err := place(3)
		p := passenger{name: word(1), from: from, to: to}
		return role{p.name, p.run}, err
	}
	return role{}, fmt.Errorf("usage: taxi trip | driver NAME PLACE | passenger NAME FROM TO")
}
