// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
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
	// options and values are what the hub runs with.
	options hub.Options
	values  []config.Value
}

// newReloader remembers what the hub started with.
func newReloader(h *hub.Hub, s config.Sources, logger *slog.Logger) (*reloader, error) {
	r := &reloader{hub: h, logger: logger, sources: s}
	var err error
	if r.options, err = config.Load(s); err != nil {
		return nil, err
	}
	r.values, err = config.Explain(s)
	return r, err
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
	var waits []string
	for i, v := range next.values { // the keys are the same, in the same order
		if v.Value != r.values[i].Value && v.Key != memoryKey {
			waits = append(waits, v.Key)
		}
	}
	if !reflect.DeepEqual(next.options.Users, r.options.Users) {
		waits = append(waits, "users")
	}
	if !reflect.DeepEqual(next.options.Contracts, r.options.Contracts) {
		waits = append(waits, "contracts")
	}
	if n := next.options.Limits.MemoryBytes; n != r.options.Limits.MemoryBytes {
		r.options.Limits.MemoryBytes = n
		r.hub.SetMemoryBytes(n)
	}
	r.logger.Info("configuration reloaded", "need_restart", waits)
}
