// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The part of the document between these lines is the program's; the rest is written by hand.
const (
	beginMark = "<!-- bench: begin, written by make bench -->"
	endMark   = "<!-- bench: end -->"
)

// write puts the tables into the document and everything into the results file.
func (r *report) write(o Options) error {
	results := filepath.Join(o.Root, "bench", "results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(results, o.Machine+".json")
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	doc := filepath.Join(o.Root, "docs", "performance.md")
	old, err := os.ReadFile(doc)
	if err != nil {
		return err
	}
	body := r.markdown() + "\n" + verdictList(r.verdicts())
	fresh, err := replaceMarked(string(old), body)
	if err != nil {
		return fmt.Errorf("%s: %w", doc, err)
	}
	return os.WriteFile(doc, []byte(fresh), 0o644)
}

func verdictList(lines []string) string {
	return "### Gate and aims\n\n- " + strings.Join(lines, "\n- ") + "\n"
}

// replaceMarked puts body between the two marks of a document.
func replaceMarked(doc, body string) (string, error) {
	before, rest, ok := strings.Cut(doc, beginMark)
	if !ok {
		return "", errors.New("no line " + beginMark)
	}
	_, after, ok := strings.Cut(rest, endMark)
	if !ok {
		return "", errors.New("no line " + endMark)
	}
	return before + beginMark + "\n" + body + endMark + after, nil
}
