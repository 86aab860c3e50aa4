// SPDX-License-Identifier: Apache-2.0

// Package endpoint is what the hub calls: for each service a [Pool] of members, which is one
// consumer of the service's queue.
//
// The basics: an [Instance] is a server as somebody registered it, a member one of its addresses.
// The pool gives credits (free slots of members that are well), picks a member for each attempt,
// tries again where that is safe and the budget allows it, leaves out who answers badly, and opens
// a breaker when nobody answers well. A [Kind] speaks the members' protocol, and reports what an
// attempt came to as an [Outcome]; its class alone decides what counts as what.
//
// Caveats: a pick takes no lock, so two callers may pick by the same numbers. The limits of the
// whole pool are exact, those of one member are exceeded by a call or two when many pick at once.
// Times are monotonic: a jump of the wall clock moves nothing.
package endpoint
