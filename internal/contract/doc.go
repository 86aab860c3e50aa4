// SPDX-License-Identifier: Apache-2.0

// Package contract is what a service promises: its Thrift IDL, read into descriptors, what a next
// version of it would break, what its methods look like as JSON and over HTTP, and which services of
// the hub it is about.
//
//	Load        fs.FS and a name      ->  *Program: every definition, resolved, with position,
//	                                      documentation and annotations
//	Compare     two programs          ->  []Change: what callers would notice
//	New         *Program              ->  *Contract: its services, each method compiled (plan.go)
//	Transcoder  method and body       ->  the body in another form: JSON into any protocol of Thrift
//	                                      (encode.go), back (decode.go), one protocol into another
//	                                      (convert.go)
//	Source      texts of files        ->  *Contract: what is pushed and kept
//	Registry    virtual host, service ->  *Operations: its methods, in one atomic load
//	Route       HTTP method and path  ->  *Method, its arguments and answer (route.go, request.go)
//	OpenAPI     *Operations           ->  the description of a service (openapi.go, schema.go)
//
// The grammar is that of Apache's compiler (compiler/cpp/src/thrift, thrifty.yy and thriftl.ll), not
// that of its prose. A file is scanned (scanner.go), parsed into descriptors whose references are
// still names (parser.go and beside it), and resolved when everything that it includes is
// (resolve.go, constant.go). A Program is not changed after Load and may be read by many goroutines.
//
// An IDL may come from a stranger: every file lies below the fs.FS that Load is given, and Limits
// bounds files, bytes, depths and the size that constants and types have when they are written out.
package contract
