// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	straceProgram = "strace"
	// syncCalls are the system calls by which a program makes its writes durable. Writes to a file
	// that was opened with O_SYNC or O_DSYNC are durable without one of them.
	syncCalls = "fsync,fdatasync,sync_file_range,msync,syncfs,sync"
	// proofCall is made by every program: without it in the counts, strace has traced nothing.
	proofCall = "execve"
	// traceTimeout is how long strace may take for its counts after what it traced has ended.
	traceTimeout = 5 * time.Second
)

// CanTrace returns nil if strace is there and may trace; it wraps ErrMissing if it is not there.
func CanTrace(ctx context.Context) error {
	path, err := exec.LookPath(straceProgram)
	if err != nil {
		return fmt.Errorf("strace (apt-get install strace): %w", ErrMissing)
	}
	text, err := exec.CommandContext(ctx, path, "-o", "/dev/null", "true").CombinedOutput()
	if err != nil {
		return fmt.Errorf("strace: %w: %s", err, lastBytes(text))
	}
	return nil
}

// straced returns how to start a program below strace. With -D strace runs beside the program, which
// keeps its place as a child of this process. With --seccomp-bpf the system calls that are not
// counted do not stop the program, so that it runs at nearly its own speed.
func straced(s spawn) (program string, args []string) {
	own := []string{
		"-D", "-f", "--seccomp-bpf", "-c", "-e", "trace=" + syncCalls + "," + proofCall,
		"-o", s.trace, "--", s.program,
	}
	return straceProgram, slices.Concat(own, s.args)
}

// SyncCounts waits for what strace has counted in a broker that was started with Place.Trace and has
// been stopped: calls by name, failed ones included.
func SyncCounts(ctx context.Context, trace string) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(trace)
		if err != nil {
			return nil, err
		}
		if counts, whole := parseCounts(text); whole {
			return counts, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("strace has left no counts: %s", lastBytes(text))
		}
	}
}

// parseCounts reads the table of strace -c: share, seconds, microseconds a call, calls, errors (or
// nothing), name. It is whole when its last line, the total, is there and the proof is in it.
func parseCounts(table []byte) (counts map[string]uint64, whole bool) {
	counts = map[string]uint64{}
	proven := false
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		if len(f) < 5 {
			continue
		}
		calls, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			continue // a head or a rule
		}
		switch name := f[len(f)-1]; name {
		case "total":
			return counts, proven
		case proofCall:
			proven = true
		default:
			counts[name] = calls
		}
	}
	return counts, false
}
