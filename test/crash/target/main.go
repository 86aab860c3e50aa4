// SPDX-License-Identifier: Apache-2.0

// Command target is a server that webhooks are posted to: it consents to all, and appends a line for
// each post to a file before it answers. What it answers stands in the path: /STATUS, or
// /STATUS/SECONDS for the first post only, with Retry-After.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Post is a line of the file.
type Post struct {
	Body, Attempt string
	At            time.Time
}

type target struct {
	file *os.File

	mu   sync.Mutex
	seen map[string]bool // paths that were posted to
}

func main() {
	listen := flag.String("listen", "", "where")
	file := flag.String("file", "", "to what the posts are appended")
	flag.Parse()
	f, err := os.OpenFile(*file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		t := &target{file: f, seen: map[string]bool{}}
		server := http.Server{Addr: *listen, Handler: t, ReadHeaderTimeout: time.Minute}
		err = server.ListenAndServe()
	}
	slog.Error("target ended", "error", err)
	os.Exit(1)
}

// ServeHTTP answers the handshake and posts.
func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	line, err := json.Marshal(Post{string(body), r.Header.Get("Parley-Attempt"), time.Now()})
	if err == nil {
		_, err = t.file.Write(append(line, '\n'))
	}
	if err != nil {
		slog.Error("not written", "error", err)
		os.Exit(1)
	}
	t.mu.Lock()
	again := t.seen[r.URL.Path]
	t.seen[r.URL.Path] = true
	t.mu.Unlock()
	text, after, once := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	status, err := strconv.Atoi(text)
	switch {
	case err != nil:
		status = http.StatusNotFound
	case once && again:
		status = http.StatusNoContent
	case once:
		w.Header().Set("Retry-After", after)
	}
	w.WriteHeader(status)
}
