// SPDX-License-Identifier: Apache-2.0

//go:build unix

package hub

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// site is a directory with pages, beside a file that nobody may read.
func site(t *testing.T) *pages {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "site")
	for name, text := range map[string]string{
		"secret.txt": "secret", "site/index.html": "<p>first page", "site/app.js": "run()",
		"site/.env": "secret", "site/.git/config": "secret", "site/data/list.txt": "list",
		"site/sub/index.html": "<p>second page",
	} {
		file := filepath.Join(top, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": "../secret.txt", "in": "app.js"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := newPages(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPages: the files of the directory are there, and nothing else.
func TestPages(t *testing.T) {
	t.Parallel()
	p := site(t)
	testCases := []struct {
		path   string
		status int
		want   string
	}{
		{"/", 200, "<p>first page"},
		{"/app.js", 200, "run()"},
		{"/in", 200, "run()"},
		{"/sub/", 200, "<p>second page"},
		{"/sub", http.StatusMovedPermanently, ""},
		{"/data/list.txt", 200, "list"},
		{"/data/", 404, ""},
		{"/nothing", 404, ""},
		{"/.env", 404, ""},
		{"/.git/config", 404, ""},
		{"/out", 404, ""},
		{"/pipe", 404, ""},
		{"/../secret.txt", 404, ""},
		{"/data/../../secret.txt", 404, ""},
		{"/..%2fsecret.txt", 404, ""},
		{"/app.js%00", 404, ""},
	}
	for _, tc := range testCases {
		t.Run(tc.path, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			request.URL.Path = strings.NewReplacer("%2f", "/", "%00", "\x00").Replace(tc.path)
			answer := httptest.NewRecorder()
			p.ServeHTTP(answer, request)
			body := answer.Body.String()
			if answer.Code != tc.status || strings.Contains(body, "secret") ||
				tc.want != "" && body != tc.want {
				t.Errorf("%d %q", answer.Code, body)
			}
			if tc.path == "/app.js" {
				for name, want := range map[string]string{
					"Content-Type":           "text/javascript; charset=utf-8",
					"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache",
				} {
					if got := answer.Header().Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
			}
		})
	}
}

// slowReader is a client that takes nothing until it is released.
type slowReader struct {
	*httptest.ResponseRecorder

	began   chan<- struct{}
	release <-chan struct{}
}

// Write implements io.Writer.
func (s slowReader) Write(b []byte) (int, error) {
	s.began <- struct{}{}
	<-s.release
	return s.ResponseRecorder.Write(b)
}

// TestPagesAtOnce: clients that take their file slowly hold a bounded number of files open; who comes
// then waits, as long as there is somebody to wait for.
func TestPagesAtOnce(t *testing.T) {
	t.Parallel()
	p := site(t)
	began, release := make(chan struct{}), make(chan struct{})
	var clients sync.WaitGroup
	get := func(ctx context.Context, w http.ResponseWriter) {
		p.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/app.js", nil))
	}
	for range pagesAtOnce {
		clients.Go(func() { get(t.Context(), slowReader{httptest.NewRecorder(), began, release}) })
	}
	for range pagesAtOnce {
		<-began
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	early := httptest.NewRecorder()
	get(gone, early)
	if early.Body.Len() > 0 {
		t.Errorf("more than %d files are sent at a time", pagesAtOnce)
	}
	late := httptest.NewRecorder()
	clients.Go(func() { get(t.Context(), late) })
	close(release)
	clients.Wait()
	if late.Body.String() != "run()" {
		t.Errorf("who waited gets %d %q", late.Code, late.Body)
	}
}

// TestPagesMissing: a directory that is not there keeps the door closed.
func TestPagesMissing(t *testing.T) {
	t.Parallel()
	o := doors()
	o.Doors.WebSTOMP.Static = filepath.Join(t.TempDir(), "none")
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "door webstomp: static: ") {
		t.Errorf("started with %v", err)
	}
}
