// SPDX-License-Identifier: Apache-2.0

// Package harness starts the processes that whole-product tests need: a real
// `parley serve` and Debian's RabbitMQ, which is the oracle of the differential
// runs.
//
// Basics: Build compiles cmd/parley once (the go command's cache makes later
// calls cheap), Start runs it on free loopback ports with an empty data
// directory and returns when every door accepts, StartRabbit does the same for
// the oracle. Everything ends with the test: by pid, first asked, then killed.
//
// Caveats: free ports are found by binding and releasing them, so another
// process may take one in between; Start then tries again a few times. Data
// directories belong to the test and survive Hub.Kill, so that a test can start
// a second hub on what the first one left behind.
package harness
