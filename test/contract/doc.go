// SPDX-License-Identifier: Apache-2.0

// Package contract holds internal/contract against Apache Thrift: its 199 IDL files, which are those
// of the module github.com/apache/thrift and are not copied here, and its compiler.
//
// The compiler is Debian's thrift-compiler 0.17. `thrift --gen json` prints what it has read of a
// file, `thrift --audit` what a file breaks of another. Where it is missing the tests that ask it
// skip; `make interop` installs it.
package contract
