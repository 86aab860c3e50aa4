// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/parley-ipc/parley"

// Wish is what a passenger asks for.
type Wish struct {
	Passenger string `json:"passenger"`
	From      int    `json:"from"` // km
	To        int    `json:"to"`   // km
}

// Offer is what a driver answers to a wish.
type Offer struct {
	Driver  string `json:"driver"`
	Minutes int    `json:"minutes"` // until the driver is there
}

// Ride is a wish that a driver has taken.
type Ride struct {
	Wish
	Offer

	ID string `json:"id"`
}

// Bill is the price of a ride.
type Bill struct {
	Ride  string `json:"ride"`
	Cents int    `json:"cents"`
}

// Distance and Fare are what the town's fare office takes and answers. It is somebody else's service:
// whether it speaks AMQP, STOMP or HTTP cannot be seen from here.
type (
	Distance struct {
		Km int `json:"km"`
	}
	Fare struct {
		Cents int `json:"cents"`
	}
)

// Stretch and Way are what the town's road takes and answers. Its server speaks Thrift, and town.thrift
// is its contract: the hub turns what is sent here into Thrift, and the answer back.
type (
	Stretch struct {
		At int `json:"at"`
		To int `json:"to"`
	}
	Way struct {
		Km      int `json:"km"`
		Minutes int `json:"minutes"`
	}
)

// The contracts: each is declared once, and used by those who ask and those who answer.
//
//nolint:gochecknoglobals // values that nobody changes
var (
	requestRide  = parley.NewOp[Wish, Ride]("trip.Request")
	requestBill  = parley.NewOp[Ride, Bill]("trip.Bill")
	askFare      = parley.NewOp[Distance, Fare]("fare.Price")
	askRoad      = parley.NewOp[Stretch, Way]("road.Between")
	offerRide    = parley.NewOp[Wish, Offer]("driver.Offer")
	rideFinished = parley.NewTopic[Ride]("ride.finished")
)

// assignRide is the operation of one driver, whose queue has the driver's name.
func assignRide(driver string) parley.Op[Ride, struct{}] {
	return parley.NewOp[Ride, struct{}]("driver." + driver + "/Assign")
}
