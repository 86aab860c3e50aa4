// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"strings"
)

// Position is a place in an IDL file. Lines and columns begin at 1; a column counts bytes, as the go
// command does.
type Position struct {
	File         string
	Line, Column int
}

// String is file:line:column, or the file alone when there is no line.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error is one fault of an IDL file.
type Error struct {
	Pos Position
	// Text says what is wrong, or what was expected and what stands there.
	Text string
}

// Error is the place and the text.
func (e *Error) Error() string { return e.Pos.String() + ": " + e.Text }

// Errors are the faults of a set of files, at most maxErrors, in the order in which they were found.
type Errors []*Error

// Error is a line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, fault := range e {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// maxErrors bounds how many faults Load reports: the first ones say it.
const maxErrors = 20

// Warning is what Apache's compiler warns of, or would take in silence, and is taken here too.
type Warning struct {
	Pos  Position
	Text string
}

// String is the place and the text.
func (w Warning) String() string { return w.Pos.String() + ": " + w.Text }
