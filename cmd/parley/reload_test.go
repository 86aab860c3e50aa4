// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/internal/config"
)

// TestReload: the memory alarm of a running hub follows the file, the rest is named, and a file with a
// fault changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "parley.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name: one\n")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	sources := config.Sources{File: file}
	o, err := config.Load(sources)
	if err != nil {
		t.Fatal(err)
	}
	o.Logger = logger
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Shutdown(t.Context()) })
	r, err := newReloader(h, sources, logger)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, want string }{
		{"name: one\nlimits: {memory_bytes: 1MiB}\n", `msg="publishers are blocked" reason="low on memory"`},
		{"name: one\nlimits: {memory_bytes: lots}\n", `msg="configuration not reloaded"`},
		{"name: two\ndrain: 3s\n", `msg="publishers go on"`},
		{"users: [{name: eve, tags: [management]}]\n", `need_restart="[name users]"`},
		{
			"name: one\norigins: ['http://a']\nservices: {s: {timeout: 1s}}\nwebhooks: {networks: ['::1']}\n",
			`need_restart="[origins services webhooks.networks]"`,
		},
		{"name: one\n", `need_restart=[]`},
	} {
		write(step.text)
		log.Reset()
		r.reload()
		if got := log.String(); !strings.Contains(got, step.want) {
			t.Errorf("after %q the log says\n%swant %s", step.text, got, step.want)
		}
	}
}
