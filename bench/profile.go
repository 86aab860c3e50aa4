// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// maxProfileBytes bounds what is taken from the profiled process.
const maxProfileBytes = 64 << 20

// profiler fetches a processor profile of parley while a work is measured.
type profiler struct {
	dir    string // where the profile goes; empty switches it off
	work   string
	addr   string // of net/http/pprof in the broker; empty if it has none
	length time.Duration
	result chan error // of the profile under way; nil before begin
}

// wanted reports whether there is something to profile.
func (p *profiler) wanted() bool { return p.dir != "" && p.addr != "" }

// begin starts the profile and returns at once.
func (p *profiler) begin(ctx context.Context) {
	p.result = make(chan error, 1)
	go func() { p.result <- p.fetch(ctx) }()
}

// end waits for the profile and returns what became of it.
func (p *profiler) end() error {
	if p.result == nil {
		return nil
	}
	if err := <-p.result; err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}

// fetch writes the profile to a file named after the work.
func (p *profiler) fetch(ctx context.Context) error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	seconds := max(1, int(p.length.Seconds())-1)
	ctx, cancel := context.WithTimeout(ctx, p.length+30*time.Second)
	defer cancel()
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.addr, seconds)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProfileBytes))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.dir, "parley-"+p.work+".cpu.pprof"), body, 0o644)
}
