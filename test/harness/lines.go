// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"io"
	"iter"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// lineWait is how long a process may take to print what a test waits for.
const lineWait = 30 * time.Second

// Lines is a process whose standard output is read line by line.
type Lines struct {
	*Process

	lines chan string
}

// RunLines is Run for a process that says what it does on standard output. Its
// standard input stays open until the test ends.
func RunLines(tb testing.TB, name string, cmd *exec.Cmd) *Lines {
	tb.Helper()
	if _, err := cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout = w
	const room = 256 // lines that a test has not read yet
	out := &Lines{lines: make(chan string, room)}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(out.lines)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			out.lines <- lines.Text()
		}
	})
	out.Process = Run(tb, name, cmd)
	wg.Go(func() {
		<-out.Done()
		_ = w.Close()
	})
	tb.Cleanup(func() {
		out.Kill()
		wg.Wait()
	})
	return out
}

// Line waits for the next line; it fails the test when none comes.
func (l *Lines) Line(tb testing.TB) string {
	tb.Helper()
	select {
	case line, ok := <-l.lines:
		if ok {
			return line
		}
		tb.Fatalf("pid %d ended: %s", l.Pid(), l.Output())
	case <-time.After(lineWait):
		tb.Fatalf("pid %d says nothing: %s", l.Pid(), l.Output())
	}
	return ""
}

// All returns the lines until the process ends; it fails the test when it falls silent.
func (l *Lines) All(tb testing.TB) iter.Seq[string] {
	tb.Helper()
	return func(yield func(string) bool) {
		for {
			select {
			case line, ok := <-l.lines:
				if !ok {
					<-l.Done()
					return
				}
				if !yield(line) {
					return
				}
			case <-time.After(lineWait):
				tb.Fatalf("pid %d says nothing: %s", l.Pid(), l.Output())
			}
		}
	}
}
