// SPDX-License-Identifier: Apache-2.0

// Package http calls services that speak HTTP: one [endpoint.Kind].
//
// The basics: a message becomes a request. Its headers http-method, http-path and http-query say
// which (POST, its type as path, and none, where they are missing), its other headers go on as they
// are, its body too; the answer's status is the header http-status of the reply. A caller that runs
// the call itself hands head and body over as it has them, and gets the answer's the same way.
//
// Caveats: redirects are passed on, never followed; what belongs to one hop (RFC 9110 §7.6.1) goes no
// further. Of the members' addresses only those are refused that cannot be a service's: link-local,
// multicast and unspecified ones. Loopback and private ones are what administrators register.
package http
