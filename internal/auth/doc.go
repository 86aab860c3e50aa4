// SPDX-License-Identifier: Apache-2.0

// Package auth knows who may come in and what they may do there: users, passwords and
// permissions, for every door alike.
//
// The basics: a [Store] holds users. A door calls [Store.Login] with what the client gave and
// with the address of the peer; every operation of the heart calls [Store.Allowed]. Permissions
// are RabbitMQ's: for each virtual host three patterns (configure, write, read) over names of
// exchanges and queues, and for topic exchanges two more (write, read) over routing keys.
//
// Without configuration there is one user, guest with the password guest: an administrator with
// all permissions on "/", and refused from anywhere but this machine.
//
// Caveats:
//   - A pattern matches the whole name, where RabbitMQ looks for it anywhere in the name.
//     [Unanchored] turns one of RabbitMQ's into one of ours that allows exactly as much; what
//     imports definitions uses it. Look-ahead and back references do not exist.
//   - Every reason for a refused login matches [ErrRefused], and a client is told no more than
//     that. Which one it was is for the log.
//   - What is not understood is refused: an unknown address is not this machine, an unknown
//     hash is no password, a user without a password cannot log in with one.
package auth
