// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// hostile is one line of testdata/hostile.txt.
type hostile struct{ name, message, octets string }

// hostileCases reads testdata/hostile.txt.
func hostileCases(tb testing.TB) []hostile {
	tb.Helper()
	data, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		tb.Fatal(err)
	}
	var cases []hostile
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			tb.Fatalf("line %q has %d fields", line, len(fields))
		}
		cases = append(cases, hostile{fields[0], fields[1], octetsOf(tb, fields[2])})
	}
	return cases
}

// octetsOf reads Go strings, each with an optional count behind it.
func octetsOf(tb testing.TB, text string) string {
	tb.Helper()
	var b strings.Builder
	for text != "" {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			tb.Fatalf("%q: %v", text, err)
		}
		part, err := strconv.Unquote(quoted)
		if err != nil {
			tb.Fatalf("%q: %v", text, err)
		}
		count, rest, _ := strings.Cut(text[len(quoted):], " ")
		n := 1
		if count != "" {
			if n, err = strconv.Atoi(strings.TrimPrefix(count, "x")); err != nil {
				tb.Fatalf("%q: %v", text, err)
			}
		}
		b.WriteString(strings.Repeat(part, n))
		text = rest
	}
	return b.String()
}

// TestSecHostile: rows S1 to S4 of the catalogue each end in the error that they name. What the
// decoder cannot tell (S3: a command that is none) comes out as an unknown command.
func TestSecHostile(t *testing.T) {
	t.Parallel()
	for _, tc := range hostileCases(t) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			frames, err := readAll(bytes.NewReader([]byte(tc.octets)), V12, Limits{})
			var e *Error
			if !errors.As(err, &e) {
				if len(frames) == 0 || frames[len(frames)-1].Command != Unknown {
					t.Fatalf("%d frames, ended with %v", len(frames), err)
				}
				return
			}
			if e.Message() != tc.message {
				t.Errorf("message %q (%s), want %q", e.Message(), e.Detail(), tc.message)
			}
		})
	}
}
