// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a child of this program and the tree below it.
type process struct {
	cmd    *exec.Cmd
	log    string
	began  time.Time
	exited chan struct{}
}

// spawn is how a process is started.
type spawn struct {
	program string
	args    []string
	env     []string // in place of the environment of this program; nil takes that
	dir     string   // working directory, and place of its output
	trace   string   // file of strace's counts, or empty
}

// start runs a program with its output in a file. It gets a process group of its own, so that
// an interrupt at the terminal reaches this program only, which then ends it in order.
func start(s spawn) (*process, error) {
	path := filepath.Join(s.dir, filepath.Base(s.program)+".out")
	out, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own copy
	program, args := s.program, s.args
	if s.trace != "" {
		program, args = straced(s)
	}
	cmd := exec.Command(program, args...) //nolint:noctx // ended by stop, with a grace period
	cmd.Env, cmd.Dir = s.env, s.dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.program, err)
	}
	p := &process{cmd: cmd, log: path, began: began, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // how it ended shows in its output
	}()
	return p, nil
}

// tail returns the end of the process's output.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(lastBytes(text))
}

// stop asks the process to end, then makes it and whatever is left of its tree end.
func (p *process) stop() error {
	select {
	case <-p.exited:
		return nil
	default:
	}
	tree, err := treeOf(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil &&
		!errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %d: %w", p.cmd.Process.Pid, err)
	}
	return p.outlive(tree)
}

// kill makes the process and its tree end at once.
func (p *process) kill() error {
	tree, err := treeOf(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	for _, id := range tree {
		_ = syscall.Kill(id.pid, syscall.SIGKILL) // gone already is as good
	}
	return p.outlive(tree)
}

// outlive waits for a tree that was asked to end and kills what does not: everything after
// stopTimeout, what is left below a process that has ended after orphanTimeout.
func (p *process) outlive(tree []identity) error {
	began, ended := time.Now(), time.Time{}
	for {
		left := living(tree)
		if len(left) == 0 {
			<-p.exited
			return nil
		}
		if ended.IsZero() && left[0] != tree[0] {
			ended = time.Now()
		}
		orphaned := !ended.IsZero() && time.Since(ended) > orphanTimeout
		if orphaned || time.Since(began) > stopTimeout {
			for _, id := range left {
				_ = syscall.Kill(id.pid, syscall.SIGKILL) // gone already is as good
			}
		}
		if time.Since(began) > 2*stopTimeout {
			return fmt.Errorf("processes %v do not end", left)
		}
		time.Sleep(pollInterval)
	}
}

// cpu returns the time that the processes of the tree have used.
func (p *process) cpu() (time.Duration, error) {
	tree, err := treeOf(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, id := range tree {
		if s, err := readStat(id.pid); err == nil && s.started == id.started {
			sum += s.cpu
		}
	}
	return sum, nil
}

// memory sums a field of /proc/PID/status over the tree.
func (p *process) memory(field string) (uint64, error) {
	tree, err := treeOf(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, id := range tree {
		if n, err := readMemory(id.pid, field); err == nil {
			sum += n
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("no memory figures of process %d", p.cmd.Process.Pid)
	}
	return sum, nil
}

// resetPeak writes 5 to clear_refs (proc(5)): VmHWM becomes the present size.
func (p *process) resetPeak() {
	tree, err := treeOf(p.cmd.Process.Pid)
	if err != nil {
		return
	}
	for _, id := range tree {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", id.pid), []byte("5"), 0)
	}
}
