// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on every Linux that Go
// runs on.
const clockTick = time.Second / 100

// identity is a process that cannot be mistaken for a later one with the same id.
type identity struct {
	pid     int
	started uint64 // clock ticks after boot
}

// procStat is what is needed of /proc/PID/stat.
type procStat struct {
	parent  int
	state   byte
	cpu     time.Duration // user and system time of all threads
	started uint64
}

// parseStat reads a line of /proc/PID/stat (proc(5)). The name in brackets may hold anything,
// so fields are counted from its last bracket.
func parseStat(line []byte) (procStat, error) {
	at := bytes.LastIndexByte(line, ')')
	if at < 0 {
		return procStat{}, errors.New("stat without a name")
	}
	fields := bytes.Fields(line[at+1:])
	const stateAt, parentAt, userAt, systemAt, startedAt = 0, 1, 11, 12, 19
	if len(fields) <= startedAt {
		return procStat{}, fmt.Errorf("stat of %d fields", len(fields))
	}
	var numbers [4]uint64
	for i, f := range [...]int{parentAt, userAt, systemAt, startedAt} {
		n, err := strconv.ParseUint(string(fields[f]), 10, 64)
		if err != nil {
			return procStat{}, fmt.Errorf("stat: %w", err)
		}
		numbers[i] = n
	}
	return procStat{
		parent:  int(numbers[0]),
		state:   fields[stateAt][0],
		cpu:     time.Duration(numbers[1]+numbers[2]) * clockTick,
		started: numbers[3],
	}, nil
}

func readStat(pid int) (procStat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(line)
}

// parseMemory finds a size in kilobytes, like "VmHWM:", in /proc/PID/status.
func parseMemory(status []byte, field string) (uint64, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte(field))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return 0, fmt.Errorf("malformed %s %q", field, rest)
		}
		n, err := strconv.ParseUint(string(fields[0]), 10, 64)
		return n << 10, err
	}
	return 0, fmt.Errorf("no %s", field)
}

func readMemory(pid int, field string) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseMemory(status, field)
}

// treeOf returns a process and everything below it.
func treeOf(root int) ([]identity, error) {
	top, err := readStat(root)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", root, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]identity{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		if s, err := readStat(pid); err == nil { // it may have ended meanwhile
			children[s.parent] = append(children[s.parent], identity{pid, s.started})
		}
	}
	tree := []identity{{root, top.started}}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].pid]...)
	}
	return tree, nil
}

// living returns those that still run; a zombie does not.
func living(tree []identity) []identity {
	var left []identity
	for _, id := range tree {
		s, err := readStat(id.pid)
		if err == nil && s.started == id.started && s.state != 'Z' && s.state != 'X' {
			left = append(left, id)
		}
	}
	return left
}
