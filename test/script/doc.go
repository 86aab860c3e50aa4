// SPDX-License-Identifier: Apache-2.0

// Package script runs the commands that the documentation shows and compares what
// they print with what it shows.
//
// Basics: a fenced block of kind `console` holds lines `$ command`, each followed
// by its output. `...` stands for any text, on a line of its own for any lines.
// The commands run in a shell, in a directory with bin/parley, against a real
// `parley serve --demo`; the output of `make run` is compared with what that hub
// printed. A command that ends in ` &` runs on beside the ones after it.
//
// Caveats: the documentation shows default ports, the test's hub has free ones:
// addresses are translated both ways. A command whose program is not installed
// is skipped, and says so; under `make interop`, which installs them, it fails.
package script
