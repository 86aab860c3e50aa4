// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/apache/thrift/lib/go/thrift" // keeps the module, which has the corpus, in go.mod

	"github.com/parley-ipc/parley/internal/contract"
)

// corpusFiles is how many IDL files github.com/apache/thrift v0.25.0 has.
const corpusFiles = 199

// corpus returns the directory of the module and its IDL files.
func corpus(t *testing.T) (dir string, files []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/apache/thrift").Output()
	if err != nil {
		t.Fatalf("where is the module github.com/apache/thrift: %v", err)
	}
	dir = strings.TrimSpace(string(out))
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".thrift" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != corpusFiles {
		t.Fatalf("%d IDL files below %s, want %d", len(files), dir, corpusFiles)
	}
	return dir, files
}

// corpusOptions is the include path that files of the corpus need.
func corpusOptions() contract.Options {
	const rs = "lib/rs/test_recursive/src"
	return contract.Options{IncludePath: []string{
		rs, rs + "/transit", rs + "/transit/light", rs + "/transit/services",
	}}
}

// refused are the files that are wrong on purpose, with what is said of them.
func refused() map[string]string {
	return map[string]string{
		"test/BrokenConstants.thrift": "test/BrokenConstants.thrift:21:20: " +
			`the integer "9876543210987654321" does not fit 64 bits`,
	}
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	dir, files := corpus(t)
	for _, file := range files {
		program, err := contract.Load(os.DirFS(dir), file, corpusOptions())
		if want, bad := refused()[file]; bad {
			if err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", file, err, want)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if program.Path != file {
			t.Errorf("%s has the path %s", file, program.Path)
		}
	}
}

// TestThriftTest looks at what the interoperability tests need of ThriftTest.thrift, with uuid.
func TestThriftTest(t *testing.T) {
	t.Parallel()
	dir, _ := corpus(t)
	program, err := contract.Load(os.DirFS(dir), "test/ThriftTest.thrift", contract.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := program.Service("ThriftTest")
	if s == nil || len(s.Functions) != 23 {
		t.Fatalf("ThriftTest has not 23 functions: %+v", s)
	}
	uuid := s.Function("testUuid")
	if uuid == nil || uuid.Returns.Kind != contract.KindUUID ||
		uuid.Arguments.Fields[0].Type.Kind != contract.KindUUID {
		t.Errorf("testUuid is %+v", uuid)
	}
	if f := s.Function("testOneway"); f == nil || !f.Oneway {
		t.Errorf("testOneway is %+v", f)
	}
	multi := s.Function("testMultiException")
	if len(multi.Throws.Fields) != 2 || multi.Throws.Fields[1].Type.Struct.Name != "Xception2" {
		t.Errorf("testMultiException throws %+v", multi.Throws.Fields)
	}
	if program.Service("SecondService").Function("secondtestString") == nil {
		t.Error("SecondService has no secondtestString")
	}
}

// compiler returns the path of Apache's compiler, or skips.
func compiler(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("thrift")
	switch {
	case err != nil && os.Getenv("TEST_INTEROP") != "":
		t.Fatal(err) // scripts/interop.sh has installed it
	case err != nil:
		t.Skip("no thrift compiler here: apt-get install thrift-compiler, or make interop")
	}
	out, err := exec.CommandContext(t.Context(), path, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "0.17.") {
		t.Skipf("the thrift compiler here is %s, not Debian's 0.17", strings.TrimSpace(string(out)))
	}
	return path
}

// keys returns the paths of the values in which two trees of JSON differ.
func keys(path string, a, b any) []string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return []string{path}
		}
		var out []string
		for k := range a {
			out = append(out, keys(path+"/"+k, a[k], b[k])...)
		}
		for k := range b {
			if _, ok := a[k]; !ok {
				out = append(out, path+"/"+k)
			}
		}
		slices.Sort(out)
		return out
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return []string{path}
		}
		var out []string
		for i := range a {
			out = append(out, keys(path+"/"+name(a[i], i), a[i], b[i])...)
		}
		return out
	}
	if a != b {
		return []string{path}
	}
	return nil
}

// exitCode is that of a program that ran, or a fault of the test.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}
