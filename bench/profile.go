// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/bench/internal/peer"
)

// maxProfileBytes bounds what is taken from the profiled process.
const maxProfileBytes = 64 << 20

// profiledLines is how many functions the document shows.
const profiledLines = 12

// profiler fetches a processor profile of parley while a work is measured.
type profiler struct {
	file   string // where the profile goes; empty switches it off
	addr   string // of net/http/pprof in the broker; empty if it has none
	length time.Duration
	result chan error // of the profile under way; nil before begin
}

// profilePath names the profile of a work; it is empty without a directory.
func profilePath(dir, work string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "parley-"+work+".cpu.pprof")
}

// explain does one more run of parley at each work that asks for it, with a profile, and puts the
// functions that cost most into the report. It does so only for the document.
func (e *engine) explain(ctx context.Context, peers []peer.Peer, rep *report) error {
	i := slices.IndexFunc(peers, func(p peer.Peer) bool { return p.Name() == peer.Parley })
	if i < 0 || !e.opts.Write {
		return nil
	}
	for _, w := range e.opts.Works {
		if !w.explain {
			continue
		}
		text, err := e.profile(ctx, w, peers[i])
		if err != nil {
			return fmt.Errorf("profile of %s: %w", w.name, err)
		}
		rep.Profiles[w.name] = text
	}
	return nil
}

// profile returns the functions that cost parley most at a work.
func (e *engine) profile(ctx context.Context, w work, p peer.Peer) (string, error) {
	profiled := *e
	profiled.opts.Profile = e.dir
	r := Run{Work: w.name, Peer: peer.Parley}
	e.say("profiling %s", w.name)
	if err := profiled.one(ctx, w, p, &r); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-top",
		"-nodecount="+strconv.Itoa(profiledLines), profilePath(e.dir, w.name))
	cmd.Dir = e.opts.Root
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	return topOf(string(text)), nil
}

// topOf cuts the table out of what pprof -top prints and shortens the names of this module.
func topOf(text string) string {
	at := strings.Index(text, "      flat")
	if at < 0 {
		return ""
	}
	return strings.ReplaceAll(text[at:], "github.com/parley-ipc/parley/", "")
}

// wanted reports whether there is something to profile.
func (p *profiler) wanted() bool { return p.file != "" && p.addr != "" }

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

// fetch writes the profile to its file.
func (p *profiler) fetch(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(p.file), 0o755); err != nil {
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
	return os.WriteFile(p.file, body, 0o644)
}
