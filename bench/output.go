// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Each work has its part of the document, between two lines of its own; the rest is written by
// hand.
func beginMark(work string) string {
	return "<!-- bench " + work + ": begin, written by make bench -->"
}

func endMark(work string) string { return "<!-- bench " + work + ": end -->" }

// results is the file of a machine: of each work what the newest call that measured it has found.
type results struct {
	Parts map[string]*report `json:"parts"`
}

// write puts the tables of the works that were measured into the document, and what they are made of
// into the results file. What other calls have written there stays.
func (r *report) write(o Options) error {
	dir := filepath.Join(o.Root, "bench", "results")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := r.writeResults(filepath.Join(dir, o.Machine+".json")); err != nil {
		return err
	}
	return r.writeDocument(filepath.Join(o.Root, "docs", "performance.md"))
}

func (r *report) writeResults(path string) error {
	var all results
	old, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(old, &all); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if all.Parts == nil {
		all.Parts = map[string]*report{}
	}
	for _, w := range r.works {
		if r.measured(w) {
			all.Parts[w.name] = r.part(w)
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func (r *report) writeDocument(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	doc := string(old)
	for _, w := range r.works {
		if !r.measured(w) {
			continue
		}
		if doc, err = replaceMarked(doc, w.name, r.section(w)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, []byte(doc), 0o644)
}

// replaceMarked puts body between the two marks of a work.
func replaceMarked(doc, work, body string) (string, error) {
	before, rest, ok := strings.Cut(doc, beginMark(work))
	if !ok {
		return "", errors.New("no line " + beginMark(work))
	}
	_, after, ok := strings.Cut(rest, endMark(work))
	if !ok {
		return "", errors.New("no line " + endMark(work))
	}
	return before + beginMark(work) + "\n" + body + endMark(work) + after, nil
}
