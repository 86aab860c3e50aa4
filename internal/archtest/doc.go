// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the rules of the house as tests: which package may import which, how long
// a function and a file may be, that everything exported is documented, that the architecture page
// names what exists, and what the module may depend on.
//
// The basics are two lists. imports.txt is the import lattice; ratchet.txt names what exceeds a
// size today and may only shrink. Both are read by the tests beside them, which parse the source
// and build nothing, so that they answer in well under a second.
//
// Caveat: neither list is ever changed to make a build pass. A change of the lattice is a commit of
// its own with its reason; a line of the ratchet list needs its reason in the commit body.
package archtest
