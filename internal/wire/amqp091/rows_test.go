// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// readRows reads a table of raw bytes: "name | hex | expectation" a line; blanks in the hex and
// lines that begin with # do not count, and *N after a hex octet repeats it N times.
func readRows(tb testing.TB, path string) []row {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.SplitN(line, "|", 3)
		if len(parts) != 3 {
			tb.Fatalf("%s: %q", path, line)
		}
		rows = append(rows, row{
			name:  strings.TrimSpace(parts[0]),
			input: unhex(tb, parts[1]),
			want:  strings.TrimSpace(parts[2]),
		})
	}
	if len(rows) == 0 {
		tb.Fatalf("%s: no rows", path)
	}
	return rows
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	var out []byte
	for word := range strings.FieldsSeq(s) {
		word, times, repeated := strings.Cut(word, "*")
		b, err := hex.DecodeString(word)
		if err != nil {
			tb.Fatalf("%q: %v", word, err)
		}
		n := 1
		if repeated {
			n = 0
			for _, d := range times {
				n = n*10 + int(d-'0')
			}
		}
		for range n {
			out = append(out, b...)
		}
	}
	return out
}
