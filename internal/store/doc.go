// SPDX-License-Identifier: Apache-2.0

// Package store implements the heart's Log on one machine.
//
// # Basics
//
// [Memory] keeps records in memory: for tests, for `parley serve --dev`, and for a hub without a
// data directory. It promises order and exactly-once application; what it holds ends with the
// process, so a confirm says that the queues have the message, no more.
package store
