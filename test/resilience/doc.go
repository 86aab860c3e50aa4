// SPDX-License-Identifier: Apache-2.0

// Package resilience puts real servers behind a real hub and makes them fail: killed,
// slow, hanging, answering errors, draining. Callers of every protocol drive the
// service at the same time, each with the library that its users have.
//
// Basics: each test starts a hub and some processes of resilience/server, attaches
// them to a service by REST, and lets the callers of all doors loop. The rows are
// those of docs/resilience.md; internal/endpoint has them in fake time, with the
// figures. Here it is shown that they hold through sockets, processes and doors.
//
// The wall clock of a hub is set by answering in the kernel's place (seccomp_unotify(2)), which needs
// Linux and nothing else on the machine to notice.
//
// Caveats: figures have room for a machine with other work to do.
package resilience
