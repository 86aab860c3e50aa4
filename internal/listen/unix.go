// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// socketMode lets only the hub's own user connect.
	socketMode = 0o600
	// probeTimeout bounds the question whether somebody listens on a socket.
	probeTimeout = time.Second
)

// ErrInUse says that another process listens on a socket, or that its path is something else.
var ErrInUse = errors.New("socket path is in use")

// openUnix listens on a socket with mode 0600. What an earlier hub left behind is removed, but
// only a socket, and only where nobody listens.
func openUnix(ctx context.Context, path string) (net.Listener, error) {
	if path == "" || strings.HasPrefix(path, "@") || strings.HasPrefix(path, "\x00") {
		// An abstract socket has no mode: every user of the machine could connect.
		return nil, fmt.Errorf("listen: %q is no path", path)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	config := net.ListenConfig{Control: restrictSocket}
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil { // where restrictSocket has no effect
		listener.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// restrictSocket gives the socket its mode before it is bound, so that there is no moment when
// others could connect. Linux takes the mode of the path from it; elsewhere it may be refused.
func restrictSocket(_, _ string, raw syscall.RawConn) error {
	if err := raw.Control(chmodDescriptor); err != nil {
		return fmt.Errorf("restrict socket: %w", err)
	}
	return nil
}

// removeStale removes a socket that nobody listens on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: %s is no socket", ErrInUse, path)
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("%w: somebody listens on %s", ErrInUse, path)
	case errors.Is(err, syscall.ECONNREFUSED):
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}
