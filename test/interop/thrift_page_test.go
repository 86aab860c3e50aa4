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

type thriftCell struct{ passed, runs int }

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
	cell.runs++
	a.cells[[2]string{row, column}] = cell
}

// pass counts a planned run as one that went as it should.
func (a *thriftTable) pass(row, column string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cell := a.cells[[2]string{row, column}]
	cell.passed++
	a.cells[[2]string{row, column}] = cell
}

// String says how many runs passed.
func (a *thriftTable) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sum thriftCell
	for _, c := range a.cells {
		sum.passed, sum.runs = sum.passed+c.passed, sum.runs+c.runs
	}
	return fmt.Sprintf("%d of %d runs", sum.passed, sum.runs)
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
				text = fmt.Sprintf("%d of %d", c.passed, c.runs)
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
