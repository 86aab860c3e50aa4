// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// stopWait is how long a process may take to end after SIGTERM, unless it is another broker.
	stopWait = 15 * time.Second
	// maxLogBytes bounds the output kept of one process.
	maxLogBytes = 16 << 10
)

// A Process is a child that ends with its test.
type Process struct {
	cmd  *exec.Cmd
	out  *tail
	done chan struct{}
	err  error // of Wait, valid after done
	// stopWait is how long it may take to end after SIGTERM.
	stopWait time.Duration
}

// Run starts cmd in a process group of its own, keeps the end of its output and
// stops it when the test is over. A failed test logs the output.
func Run(tb testing.TB, name string, cmd *exec.Cmd) *Process {
	tb.Helper()
	out := &tail{}
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	// A group of its own: scripts that exec and fork end as one.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A grandchild that keeps the pipe must not hold up Wait.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", name, err)
	}
	p := &Process{cmd: cmd, out: out, done: make(chan struct{}), stopWait: stopWait}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		p.Stop(tb)
		if tb.Failed() {
			tb.Logf("end of the output of %s:\n%s", name, p.Output())
		}
	})
	return p
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode returns what the process ended with, -1 for a signal; it is valid after Done.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Output returns the end of what the process wrote.
func (p *Process) Output() string { return p.out.String() }

// Panic returns the first line of output that says that the program went wrong, or "".
func (p *Process) Panic() string {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return p.out.crash
}

// Lines returns how many lines of the end of the output hold text.
func (p *Process) Lines(text string) int {
	n := 0
	for line := range strings.Lines(p.Output()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// Stop asks the process to end and kills its group when it does not.
func (p *Process) Stop(tb testing.TB) {
	tb.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(-p.Pid(), syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(p.stopWait):
		tb.Errorf("pid %d did not end within %v of SIGTERM", p.Pid(), p.stopWait)
		p.Kill()
	}
}

// Kill ends the process as kill -9 does and waits until it is gone.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
	<-p.done
}

// tail keeps the last maxLogBytes written to it.
type tail struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	line  []byte // the beginning of the line that is being written
	crash string
}

// maxLineBytes is how much of a line is looked at.
const maxLineBytes = 200

// watch looks for the lines with which the runtime of Go ends a program.
func (t *tail) watch(b []byte) {
	for _, c := range b {
		if c != '\n' {
			if len(t.line) < maxLineBytes {
				t.line = append(t.line, c)
			}
			continue
		}
		line := string(t.line)
		for _, begin := range [...]string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
			if t.crash == "" && strings.HasPrefix(line, begin) {
				t.crash = line
			}
		}
		t.line = t.line[:0]
	}
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	t.watch(b)
	if over := t.buf.Len() - maxLogBytes; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// FreeAddr returns a loopback address that nobody listened on a moment ago. Its port is not one that
// the system gives to outgoing connections, which could take it before it is used.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	const lowest, highest, tries = 10_000, 32_767, 100
	for range tries {
		addr := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest))
		if l, err := net.Listen("tcp", addr); err == nil {
			defer l.Close()
			return addr
		}
	}
	tb.Fatal("no free port")
	return ""
}

// Accepts polls addr until a connection is accepted, the process ends or the
// time is over.
func Accepts(p *Process, addr string, wait time.Duration) error {
	return Poll(wait, func() error {
		select {
		case <-p.Done():
			return fmt.Errorf("%w before it listened on %s", errEnded, addr)
		default:
		}
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// errEnded stops a poll at once.
var errEnded = errors.New("process ended")

// Poll calls try until it returns nil; it is for conditions outside this
// process, which nothing can signal.
func Poll(wait time.Duration, try func() error) error {
	const pause = 20 * time.Millisecond
	end := time.Now().Add(wait)
	for {
		err := try()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %w", wait, err)
		}
		time.Sleep(pause)
	}
}

// cleanEnv is this process's environment without what configures a hub.
func cleanEnv(add ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PARLEY_") {
			env = append(env, kv)
		}
	}
	return append(env, add...)
}
