// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestMain checks that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cellWait bounds a cell: what has not happened by then does not happen.
const cellWait = 20 * time.Second

// A style is a column of the matrix.
type style struct {
	name string
	run  func(*cell)
}

func styles() []style {
	return []style{
		{"call", (*cell).call},
		{"send", (*cell).send},
		{"request", (*cell).request},
		{"publish", (*cell).publish},
		{"gather", (*cell).gather},
	}
}

// TestMatrix runs every cell and prints the table.
func TestMatrix(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	worker := harness.BuildHelper(t, "crash/worker")
	results := &table{cells: map[string]bool{}}
	t.Cleanup(func() { results.print(t) })
	for _, client := range peers.Clients() {
		for _, service := range peers.Services() {
			for _, style := range styles() {
				name := client.Name + "-" + service.Name + "-" + style.name
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					t.Cleanup(func() { results.note(name, !t.Failed()) })
					c := newCell(t, hub, client, service, strings.ToLower(name))
					c.worker = worker
					style.run(c)
				})
			}
		}
	}
}

// table collects what the cells showed.
type table struct {
	mu    sync.Mutex
	cells map[string]bool
}

func (r *table) note(name string, passed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cells[name] = passed
}

// print writes the table and fails when a cell is missing from it.
func (r *table) print(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s%-9s", "client", "service")
	for _, s := range styles() {
		fmt.Fprintf(&b, "%-9s", s.name)
	}
	passed, ran := 0, 0
	for _, client := range peers.Clients() {
		for _, service := range peers.Services() {
			fmt.Fprintf(&b, "\n%-8s%-9s", client.Name, service.Name)
			for _, s := range styles() {
				word := "-"
				if ok, found := r.cells[client.Name+"-"+service.Name+"-"+s.name]; found {
					ran++
					word = "FAIL"
					if ok {
						passed++
						word = "ok"
					}
				}
				fmt.Fprintf(&b, "%-9s", word)
			}
		}
	}
	fmt.Fprintf(&b, "\n%d of %d cells pass", passed, ran)
	_, _ = fmt.Fprintln(os.Stdout, b.String())
	// A run of single cells (-run 'TestMatrix/…') is no whole table.
	all := len(peers.Clients()) * len(peers.Services()) * len(styles())
	if ran < all && !strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		t.Errorf("%d of %d cells are missing", all-ran, all)
	}
}
