// SPDX-License-Identifier: Apache-2.0

// Package rest is the HTTP door: it turns requests into operations of the heart and back, so that
// curl, a browser or any HTTP client can send, lease and answer, call, ask for an answer later,
// publish, subscribe and gather.
//
// # Basics
//
// [New] takes the heart and what the hub decides (who may log in, when it is ready) and returns a
// [Door]. Its Handler stands on any mux; Server wraps one in an http.Server with the limits of
// security.md, and Serve runs it on a listener until a context ends. Routes, bodies and
// headers are described in docs/rest.md; every error is application/problem+json with a code word
// that is the same through every door.
//
// HTTP has no conversation, so requests of one user in one virtual host share a connection of the
// heart; sessions are kept between requests. A lease keeps its session until it is settled, and a
// stream has a connection of its own.
//
// # Caveats
//
// A message is kept with the properties as this door writes them ([Format]). Header names come out
// of HTTP in lower case. A declaration cannot be exclusive: there is no connection that it could
// belong to.
package rest
