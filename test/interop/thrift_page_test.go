// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// thriftPage has the tables of a full run between marks.
const thriftPage = "docs/thrift.md"

// A thriftTable counts runs by client, whose rows there are, and by server, whose columns.
type thriftTable struct {
	mu            sync.Mutex
	rows, columns []string
	cells         map[[2]string]thriftCell
}

// A thriftCell counts runs that were planned, that are done, and that went as they should.
type thriftCell struct{ planned, done, passed int }

// plan adds a run that is to be. Rows and columns come in the order in which they are planned.
func (a *thriftTable) plan(row, column string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.rows, row) {
		a.rows = append(a.rows, row)
	}
	if !slices.Contains(a.columns, column) {
		a.columns = append(a.columns, column)
	}
	if a.cells == nil {
		a.cells = map[[2]string]thriftCell{}
	}
	cell := a.cells[[2]string{row, column}]
	cell.planned++
	a.cells[[2]string{row, column}] = cell
}

// done counts a planned run, and whether it went as it should.
func (a *thriftTable) done(row, column string, passed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cell := a.cells[[2]string{row, column}]
	cell.done++
	if passed {
		cell.passed++
	}
	a.cells[[2]string{row, column}] = cell
}

// sum adds all cells.
func (a *thriftTable) sum() thriftCell {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sum thriftCell
	for _, c := range a.cells {
		sum.planned, sum.done, sum.passed = sum.planned+c.planned, sum.done+c.done, sum.passed+c.passed
	}
	return sum
}

// whole reports whether all that was planned is done, which -run may prevent.
func (a *thriftTable) whole() bool {
	sum := a.sum()
	return sum.done == sum.planned
}

// String says how many runs passed.
func (a *thriftTable) String() string {
	sum := a.sum()
	return fmt.Sprintf("%d of %d runs", sum.passed, sum.done)
}

// markdown returns the table: how many runs passed of how many.
func (a *thriftTable) markdown() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "| client | %s |\n|---%s|\n", strings.Join(a.columns, " | "),
		strings.Repeat("|---", len(a.columns)))
	for _, row := range a.rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, column := range a.columns {
			text := ""
			if c, ok := a.cells[[2]string{row, column}]; ok {
				text = fmt.Sprintf("%d of %d", c.passed, c.planned)
			}
			fmt.Fprintf(&b, " %s |", text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// writeThriftPage puts tables into the page, each at the place of its name.
func writeThriftPage(t *testing.T, tables map[string]*thriftTable) {
	t.Helper()
	file := filepath.Join(harness.Root(t), thriftPage)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, table := range tables {
		begin := "<!-- " + name + ": written by make interop-full -->\n"
		end := "<!-- end of " + name + " -->\n"
		before, rest, ok := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s has no place for the table %s", thriftPage, name)
		}
		text = before + begin + table.markdown() + end + after
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // documentation
		t.Fatal(err)
	}
}
