// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The page's examples give the output that it shows (rest.md: curl alone).
func TestPageExamples(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	text, err := os.ReadFile("../../../docs/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(newHub(t).server.URL, "http://")
	script := []string{"exec 2>&1"}
	var want []string
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").
		FindAllStringSubmatch(string(text), -1) {
		for line := range strings.SplitSeq(strings.TrimSpace(block[1]), "\n") {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				script = append(script, command+"; echo") // a message may end without a line break
			} else {
				want = append(want, line)
			}
		}
	}
	c := exec.CommandContext(t.Context(), "sh", "-c",
		strings.ReplaceAll(strings.Join(script, "\n"), "localhost:8080", address))
	c.Dir = t.TempDir()
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if line != "" {
			got = append(got, line)
		}
	}
	if len(want) < 10 || len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), out)
	}
	for i := range want {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(want[i]), "…", "[0-9A-Za-z_-]+")
		if !regexp.MustCompile("^" + pattern + "$").MatchString(got[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}
