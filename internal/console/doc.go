// SPDX-License-Identifier: Apache-2.0

// Package console is the management door: the HTTP API of RabbitMQ's management plugin, so that
// the tools which speak it (rabbitmqadmin, recovery of amqp091-go, autoscalers, nagios plug-ins)
// find what they ask for.
//
// The basics: table in route.go is the list of routes, each with the role that it takes; a request
// that matches no row is answered 404, so nothing can be reached without a role. [Console.Handler]
// finds out who calls (HTTP Basic), holds the role and the virtual host against the row, and calls
// its handler with a [visit]. What a handler does to exchanges, queues and messages goes through a
// broker.Session of that user, so permissions are the heart's to check.
//
// Caveats:
//   - There is no web page yet: "/" says so and names /api/.
//   - Connections that the API opens in the heart for the length of a request are not listed.
//   - The JSON names, error texts and status codes are RabbitMQ's; what the hub does not have
//     (file descriptors, Erlang, mirrors) is left out, not made up.
package console
