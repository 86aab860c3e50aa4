// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
)

const (
	// pagesAtOnce is how many files are sent at a time; who wants another one waits.
	pagesAtOnce = 16
	// pageDescriptors are taken by them: the directory's and the file's.
	pageDescriptors = 2 * pagesAtOnce
)

// pages serves the files of a directory to anybody, so that a page that speaks STOMP can come from
// where /ws is. It lists no directory, follows no link that leads out of its own, and knows no file
// whose path has an element that begins with a dot.
type pages struct {
	files http.Handler
	room  chan struct{}
}

// newPages returns a handler, or why the directory cannot be read.
func newPages(directory string) (*pages, error) {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	return &pages{
		files: http.FileServerFS(pageFiles(directory)), room: make(chan struct{}, pagesAtOnce),
	}, root.Close()
}

// ServeHTTP implements http.Handler.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
	case <-r.Context().Done():
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache") // a new version counts at once
	p.files.ServeHTTP(w, r)
}

// pageFiles is the files below a directory that may be seen. The directory is opened for each, so
// that another one may be put in its place.
type pageFiles string

// Open implements fs.FS.
func (dir pageFiles) Open(name string) (fs.File, error) {
	if hidden(name) {
		return nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(string(dir))
	if err != nil {
		return nil, fs.ErrNotExist
	}
	defer func() { _ = root.Close() }() // it was only read; the file stays open
	info, err := root.Stat(name)
	if err == nil && info.IsDir() {
		// Without a page of its own it would be listed.
		info, err = root.Stat(path.Join(name, "index.html"))
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("no file") // a pipe would be waited for
	}
	if err != nil {
		return nil, fs.ErrNotExist // what leads out of the directory, too
	}
	return root.Open(name)
}

// hidden reports whether an element of a path begins with a dot.
func hidden(name string) bool {
	return name != "." && (strings.HasPrefix(name, ".") || strings.Contains(name, "/."))
}
