// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/contract"
)

// auditPairs are the compiler's own cases, test/audit of the corpus: test.thrift and what is held
// against it here. auditLines is how much is said of all pairs at least.
const auditPairs, auditLines = 46, 360

// audit is what a comparison says, in the compiler's two classes.
type audit struct{ Failures, Warnings []string }

// TestAuditSaysTheSame compares Compare with `thrift --audit`, on its own cases in both directions
// and on pairs of ours.
func TestAuditSaysTheSame(t *testing.T) {
	t.Parallel()
	thrift := compiler(t)
	dir, _ := corpus(t)
	base := filepath.Join(dir, "test/audit")
	changed, err := filepath.Glob(filepath.Join(base, "*.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	pairs, lines := 0, 0
	for _, name := range changed {
		if name = filepath.Base(name); name == "test.thrift" {
			continue
		}
		pairs++
		lines += auditPair(t, thrift, base, [2]string{"test.thrift", name})
		lines += auditPair(t, thrift, base, [2]string{name, "test.thrift"})
	}
	if pairs != auditPairs {
		t.Errorf("%d cases in %s, want %d", pairs, base, auditPairs)
	}
	own := t.TempDir()
	for _, p := range ownPairs() {
		for name, text := range map[string]string{"old.thrift": p[0], "new.thrift": p[1]} {
			if err := os.WriteFile(filepath.Join(own, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		lines += auditPair(t, thrift, own, [2]string{"old.thrift", "new.thrift"})
		lines += auditPair(t, thrift, own, [2]string{"new.thrift", "old.thrift"})
	}
	if lines < auditLines {
		t.Errorf("%d lines are compared, expected %d", lines, auditLines)
	}
}

// ownPairs are changes that the compiler's cases do not have.
func ownPairs() [][2]string {
	return [][2]string{
		{"struct A {}", "struct A {} struct B { 1: required i32 x }"},
		{"struct A { 1: string s, 2: byte b }", "struct A { 1: string s, 2: i8 b }"},
		{
			"struct A { 1: list<i32> a, 2: map<i32, set<i8>> b, 3: list<i32> c, 4: i32 d }",
			"struct A { 1: list<i64> a, 2: map<i32, set<i16>> b, 3: set<i32> c, 4: list<i32> d }",
		},
		{
			"struct A { 1: i32 a, 3: i32 c, 5: i32 e }",
			"struct A { 2: i32 b, 3: i32 c, 4: required i32 d, 6: required i32 f }",
		},
		{
			"enum E { X = 1, Y = 2 } enum F { Z } struct S { 1: E e = E.X, 2: i32 n = E.X }",
			"enum E { X = 2, Y = 3 } struct S { 1: E e = E.Y, 2: i32 n = E.Y }",
		},
		{
			"service S { void a(1: i32 x) i32 b() oneway void c() void d() } service T extends S {}",
			"service S { void a(1: i64 x, 2: i32 y) i64 b() void c() } service T {}",
		},
		{
			"exception X { 1: string s } exception Y {} service S { void a() throws (1: X x) }",
			"exception X { 1: i32 s } service S { void a() throws (1: X x, 2: X y) }",
		},
		{
			"const i32 A = 1 const i32 B = 2 const list<i32> C = [1, 2] const map<i32,i32> D = {1: 2, 3: 4}",
			"const i64 A = 1 const i32 B = 3 const list<i32> C = [2, 1] const map<i32,i32> D = {3: 4, 1: 2}",
		},
		{"namespace go a namespace py b struct S {}", "namespace go c struct S {}"},
		{"union U { 1: i32 a, 2: string b = 'x' }", "union U { 1: i32 a = 3, 2: string c }"},
		{"typedef i32 T struct S { 1: T t, 2: i32 i }", "typedef i32 T struct S { 1: i32 t, 2: T i }"},
		{
			"struct S { 1: required i32 a, 2: i32 b, 3: optional i32 c = 1 }",
			"struct S { 1: i32 a, 2: optional i32 b = 2, 3: required i32 c }",
		},
	}
}

// auditPair compares what both say of a pair of files, the old one first, and returns how much it is.
func auditPair(t *testing.T, thrift, dir string, pair [2]string) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), thrift, "--audit", filepath.Join(dir, pair[0]),
		filepath.Join(dir, pair[1]))
	out, err := cmd.CombinedOutput()
	code := exitCode(t, err)
	want := parseAudit(string(out))
	var programs [2]*contract.Program
	for i, name := range pair {
		if programs[i], err = contract.Load(os.DirFS(dir), name, contract.Options{}); err != nil {
			t.Errorf("%v: %v; the compiler: %s", pair, err, out)
			return 0
		}
	}
	got := audit{}
	changes := contract.Compare(programs[0], programs[1])
	for _, c := range changes {
		if c.Breaking {
			got.Failures = append(got.Failures, c.Text)
		} else {
			got.Warnings = append(got.Warnings, c.Text)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%v (-compiler +ours):\n%s", pair, d)
	}
	// The compiler ends with 2 when something breaks.
	if breaks := len(contract.Breaks(changes)) > 0; breaks != (code != 0) {
		t.Errorf("%v: breaks %v, the compiler ends with %d", pair, breaks, code)
	}
	return len(want.Failures) + len(want.Warnings)
}

func parseAudit(out string) (a audit) {
	line := regexp.MustCompile(`^\[Thrift Audit (Failure|Warning):[^\]]*\] (.*)$`)
	for text := range strings.SplitSeq(out, "\n") {
		m := line.FindStringSubmatch(text)
		switch {
		case m == nil:
		case m[1] == "Failure":
			a.Failures = append(a.Failures, strings.TrimSpace(m[2]))
		default:
			a.Warnings = append(a.Warnings, strings.TrimSpace(m[2]))
		}
	}
	return a
}
