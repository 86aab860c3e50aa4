// SPDX-License-Identifier: Apache-2.0

// Package crash kills processes with kill -9 and looks at what the others see.
//
// Basics: worker is a service in a process of its own, in any protocol; the
// tests kill it between delivery and acknowledgement. Others kill the hub after it
// confirmed, and start another one on the same data.
//
// Caveats: a dead AMQP or STOMP connection gives its messages back at once; over
// REST it is the end of the lease that does, so those rows take as long as one.
package crash
