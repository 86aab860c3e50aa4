// SPDX-License-Identifier: Apache-2.0

// Package contract is what a service promises: its Thrift IDL, read into descriptors, what a next
// version of it would break, what its methods look like as JSON and over HTTP, and which services of
// the hub it is about.
//
//	Load        fs.FS and a name      ->  *Program: every definition, resolved, with position,
//	                                      documentation and annotations
//	Compare     two programs          ->  []Change: what callers would notice
//	New         *Program              ->  *Contract: its services, each method compiled
//	Transcoder  method and body       ->  the body in another form: JSON into any protocol of Thrift,
//	                                      back, one protocol into another
//	Source      texts of files        ->  *Contract: what is pushed and kept
//	Registry    virtual host, service ->  *Operations: its methods, in one atomic load
//	Route       HTTP method and path  ->  *Method, its arguments and answer
//	OpenAPI     *Operations           ->  the description of a service
//
// # Files
//
// An IDL goes through them in this order, and then a body:
//
//	the language    position token scanner doctext      text to words
//	                type value descriptor               what a file says
//	                parser parse_definition parse_field words to descriptors, whose references are names
//	                resolve constant                    names to what they mean
//	                options load                        a file and all that it includes
//	two versions    compare compare_struct
//	a contract      contract plan table standby method  descriptors compiled for the work below
//	bodies          transcode convert_error             what all conversions share
//	                json octets unique                  reading JSON; base64 and uuids; keys that are equal
//	                encode encode_list encode_struct    JSON into Thrift
//	                decode decode_list                  Thrift into JSON
//	                convert                             one protocol of Thrift into another
//	                arguments                           a check alone
//	HTTP            route route_field request           annotated paths, and what fields are there
//	                schema openapi                      the description of a service
//	a hub's         source registry                     what is pushed and kept, and looked up
//
// The grammar is that of Apache's compiler (compiler/cpp/src/thrift, thrifty.yy and thriftl.ll), not
// that of its prose. A file is resolved when everything that it includes is. A Program is not changed
// after Load and may be read by many goroutines.
//
// An IDL may come from a stranger: every file lies below the fs.FS that Load is given, and Limits
// bounds files, bytes, depths and the size that constants and types have when they are written out.
package contract
