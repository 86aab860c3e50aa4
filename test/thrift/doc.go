// SPDX-License-Identifier: Apache-2.0

// Package thrift holds the hub's own codec of Apache Thrift against the Go library of Apache: what one
// writes the other reads, every type in every protocol and transport, both ways. Where there is one
// way to write a value, both write the same octets.
package thrift
