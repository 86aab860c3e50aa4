// SPDX-License-Identifier: Apache-2.0

// Package security sends hostile input to a real hub while a canary, a publisher and a consumer of
// persistent messages, goes on beside it. An attack passes when it gets the protocol's own error,
// ends the attacker alone, and leaves no trace: the canary loses nothing and stays quick, memory,
// descriptors and goroutines return, and the log shows neither a panic nor a secret.
//
// The exact texts of every row are in the tests of the doors; here each class of attack is driven
// in numbers against the whole product.
package security
