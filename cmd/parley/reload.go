// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/internal/config"
)

// memoryKey is what can change while the hub runs.
const memoryKey = "limits.memory_bytes"

// reloader reads the configuration again at SIGHUP.
type reloader struct {
	hub     *hub.Hub
	logger  *slog.Logger
	sources config.Sources
	// options are what the hub runs with.
	options hub.Options
}

// newReloader remembers what the hub started with.
func newReloader(h *hub.Hub, s config.Sources, logger *slog.Logger) (*reloader, error) {
	o, err := config.Load(s)
	return &reloader{hub: h, logger: logger, sources: s, options: o}, err
}

// hangups yields a value at each SIGHUP until stop is called.
func hangups() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// attend reloads at each hangup until the context ends. Its error is that of a disk that failed: what
// it holds now decides at the next start.
func (r *reloader) attend(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.hub.Failed():
			return err
		case <-hangup:
			r.reload()
		}
	}
}

// reload applies what can change live and says what waits for a restart. A configuration with a fault
// changes nothing.
func (r *reloader) reload() {
	next, err := newReloader(r.hub, r.sources, r.logger)
	if err != nil {
		r.logger.Error("configuration not reloaded", "error", err)
		return
	}
	waits := slices.DeleteFunc(config.Changed(r.options, next.options), func(key string) bool {
		return key == memoryKey
	})
	if n := next.options.Limits.MemoryBytes; n != r.options.Limits.MemoryBytes {
		r.options.Limits.MemoryBytes = n
		r.hub.SetMemoryBytes(n)
	}
	r.logger.Info("configuration reloaded", "need_restart", waits)
}
