// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"testing"
)

const sample = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Trace Context, "Traceparent Header".
func TestParse(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, in, want string // want "": refused
	}{
		{"sampled", sample, sample},
		{"not sampled", sample[:53] + "00", sample[:53] + "00"},
		{"random", sample[:53] + "03", sample[:53] + "03"},
		{"unknown flags are not passed on", sample[:53] + "ff", sample[:53] + "03"},
		{"later version", "01" + sample[2:], sample},
		{"later version with more", "cc" + sample[2:] + "-what-comes", sample},
		{"later version, more without dash", "cc" + sample[2:] + ".what", ""},
		{"version 00 with more", sample + "-more", ""},
		{"version ff", "ff" + sample[2:], ""},
		{"version no hex", "0g" + sample[2:], ""},
		{"empty", "", ""},
		{"short", sample[:54], ""},
		{"upper case", strings.ToUpper(sample), ""},
		{"zero trace", "00-" + strings.Repeat("0", 32) + sample[35:], ""},
		{"zero span", sample[:36] + strings.Repeat("0", 16) + "-01", ""},
		{"dash missing 1", strings.Replace(sample, "00-0", "0000", 1), ""},
		{"dash missing 2", sample[:35] + "0" + sample[36:], ""},
		{"dash missing 3", sample[:52] + "0" + sample[53:], ""},
		{"bad digit in trace", sample[:10] + "x" + sample[11:], ""},
		{"bad digit in span", sample[:40] + "x" + sample[41:], ""},
		{"bad digit in flags", sample[:54] + "x", ""},
		{"not ASCII", sample[:10] + "ä" + sample[12:], ""},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, ok := Parse(tc.in)
			if ok != (tc.want != "") || got.String() != tc.want {
				t.Errorf("Parse(%q) = %q, %v, want %q", tc.in, got, ok, tc.want)
			}
			fromBytes, okBytes := Parse([]byte(tc.in))
			if fromBytes != got || okBytes != ok {
				t.Errorf("bytes give %v, %v, a string %v, %v", fromBytes, okBytes, got, ok)
			}
		})
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	c, ok := Parse(sample)
	if !ok || c.Trace.String() != "0af7651916cd43dd8448eb211c80319c" ||
		c.Span.String() != "b7ad6b7169203331" || !c.Sampled() {
		t.Errorf("parsed %v, %v, sampled %v", c.Trace, c.Span, c.Sampled())
	}
	child := c.Child()
	if child.Trace != c.Trace || child.Span == c.Span || child.Flags != c.Flags || !child.Valid() {
		t.Errorf("child of %v is %v", c, child)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	seen := map[Context]bool{}
	for i := range 100 {
		c := New(i%2 == 0)
		if !c.Valid() || seen[c] || c.Sampled() != (i%2 == 0) {
			t.Fatalf("New = %v, sampled %v", c, c.Sampled())
		}
		seen[c] = true
		if back, ok := Parse(c.String()); !ok || back != c {
			t.Fatalf("%v comes back as %v", c, back)
		}
	}
	if got := (Context{}).String(); got != "" {
		t.Errorf("no context is shown as %q", got)
	}
}

func TestNoAllocation(t *testing.T) {
	in, out := []byte(sample), make([]byte, 0, Size)
	got := testing.AllocsPerRun(100, func() {
		c, ok := Parse(in)
		if !ok {
			t.Fatal("refused")
		}
		out = c.Child().Append(out[:0])
	})
	if got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// What is accepted is written back to something that means the same.
func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("cc" + sample[2:] + "-more")
	f.Add(strings.ToUpper(sample))
	f.Fuzz(func(t *testing.T, in string) {
		c, ok := Parse(in)
		if !ok {
			if c != (Context{}) {
				t.Fatalf("a refused traceparent gives %v", c)
			}
			return
		}
		out := c.Append(nil)
		back, ok := Parse(out)
		if !ok || back != c || len(out) != Size || in[3:53] != string(out[3:53]) {
			t.Fatalf("%q comes back as %q", in, out)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := []byte(sample)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Parse(in); !ok {
			b.Fatal("refused")
		}
	}
}
