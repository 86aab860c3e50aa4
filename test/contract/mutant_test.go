// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/parley-ipc/parley/internal/contract"
)

const (
	// mutants is how many files are made; mutantSeed makes the same ones in every run.
	mutants, shortMutants = 600, 150
	mutantSeed            = 25
)

// mutantFiles are files of the corpus that use much of the language.
func mutantFiles() []string {
	return []string{
		"test/v0.16/ThriftTest.thrift", "test/AnnotationTest.thrift", "test/v0.16/ConstantsDemo.thrift",
		"test/EnumTest.thrift", "test/audit/test.thrift", "test/OptionalRequiredTest.thrift",
		"test/DocTest.thrift", "lib/rs/test/thrifts/Ultimate.thrift", "tutorial/tutorial.thrift",
		"lib/netstd/Tests/Thrift.Compile.Tests/CassandraTest.thrift",
	}
}

// judgement is a reason why one takes a file that the other refuses, known by the other's message.
type judgement struct {
	refuses *regexp.Regexp
	why     string
}

// onlyCompiler is what the compiler may refuse alone.
func onlyCompiler() []judgement {
	const keywords = "namespace|cpp_include|include|void|bool|byte|i8|i16|i32|i64|double|string|binary|" +
		"map|list|set|oneway|async|typedef|struct|union|exception|extends|throws|service|enum|const|" +
		"required|optional"
	return []judgement{
		{
			regexp.MustCompile(`last token was '(` + keywords + `)'\)\s*syntax error`),
			"0.17 takes no keyword as the name of a field",
		},
		{regexp.MustCompile(`Cannot use reserved language keyword`), "words of its target languages"},
		{regexp.MustCompile(`Type "uuid" not defined`), "0.17 knows no uuid"},
		{
			regexp.MustCompile(`No enum value or constant found named|Type "\w+" not defined`),
			"its constants cannot use what is defined behind them",
		},
	}
}

// onlyOurs is what is refused here alone.
func onlyOurs() []judgement {
	return []judgement{
		{regexp.MustCompile(`the field id -?\d+ does not fit 16 bits`), "the compiler warns"},
		{regexp.MustCompile(`-?\d+ is outside \w+`), "the compiler checks no ranges"},
		{
			regexp.MustCompile(`expected a value of (type (set|list|map)<|the enum)`),
			"the compiler takes any value for a container and any number for an enum",
		},
		{regexp.MustCompile(`is already defined in this file`), "0.17 checks no names of types"},
		{regexp.MustCompile(`the include ".*" is (not found|no relative path)`), "the compiler warns"},
	}
}

// TestMutantsAreJudgedAlike changes one token of a file and asks both whether they take it.
func TestMutantsAreJudgedAlike(t *testing.T) {
	t.Parallel()
	compile := compiler(t)
	dir, files := corpus(t)
	fsys := fstest.MapFS{}
	for _, file := range files {
		text, err := fs.ReadFile(os.DirFS(dir), file)
		if err != nil {
			t.Fatal(err)
		}
		fsys[file] = &fstest.MapFile{Data: text}
	}
	count := mutants
	if testing.Short() {
		count = shortMutants
	}
	random := rand.New(rand.NewPCG(mutantSeed, 0))
	out := t.TempDir()
	taken, refused := 0, 0
	for range count {
		file := mutantFiles()[random.IntN(len(mutantFiles()))]
		text, place := mutate(random, string(fsys[file].Data))
		mutant := path.Join(path.Dir(file), "mutant.thrift")
		fsys[mutant] = &fstest.MapFile{Data: []byte(text)}
		_, err := contract.Load(fsys, mutant, contract.Options{})
		delete(fsys, mutant)

		source := filepath.Join(out, "mutant.thrift")
		if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		said, theirs := exec.CommandContext(t.Context(), compile, "--gen", "json", "-out", out,
			"-I", filepath.Join(dir, path.Dir(file)), source).CombinedOutput()
		switch code := exitCode(t, theirs); {
		case err == nil && code == 0:
			taken++
		case err != nil && code != 0:
			refused++
		case err != nil && !excused(onlyOurs(), err.Error()):
			t.Errorf("%s, %s: the compiler takes it: %v", file, place, err)
		case err == nil && code > 0 && !excused(onlyCompiler(), string(said)):
			t.Errorf("%s, %s: the compiler refuses it: %s", file, place, said)
		}
	}
	if taken < count/10 || refused < count/10 {
		t.Errorf("both take %d and refuse %d of %d: the mutants say little", taken, refused, count)
	}
	t.Logf("both take %d and refuse %d of %d mutants", taken, refused, count)
}

func excused(reasons []judgement, text string) bool {
	for _, r := range reasons {
		if r.refuses.MatchString(text) {
			return true
		}
	}
	return false
}

// mutate changes one token of an IDL, and shows where.
func mutate(random *rand.Rand, text string) (mutant, place string) {
	parts := regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*|#[^\n]*|"[^"\n]*"|'[^'\n]*'|[A-Za-z_][\w.]*|`+
		`[-+]?[0-9.]+|\s+|.`).FindAllString(text, -1)
	signs := strings.Fields(`{ } ( ) , ; : = < > [ ] & * -3 1 1.5 0x1F true "s" x i32 list map binary void
		struct union exception enum const typedef service extends throws oneway required optional
		xsd_all cpp_type /**/`)
	var tokens []int
	for i, p := range parts {
		if strings.TrimSpace(p) != "" && class(p) != '/' {
			tokens = append(tokens, i)
		}
	}
	at := tokens[random.IntN(len(tokens))]
	sign := signs[random.IntN(len(signs))]
	const ways = 8
	switch random.IntN(ways) {
	case 0:
		parts[at] = ""
	case 1:
		parts[at] += " " + parts[at]
	case 2:
		parts[at] = sign
	case 3:
		parts[at] = sign + " " + parts[at]
	default: // another token of the same class
		for {
			if other := parts[tokens[random.IntN(len(tokens))]]; class(other) == class(parts[at]) {
				parts[at] = other
				break
			}
		}
	}
	const around = 6
	return strings.Join(parts, ""), strings.Join(parts[max(0, at-around):min(len(parts), at+around)], "")
}

// class tells words, numbers, strings, comments and signs apart.
func class(part string) byte {
	switch c := part[0]; {
	case strings.HasPrefix(part, "/*"), strings.HasPrefix(part, "//"), c == '#':
		return '/'
	case c == '"', c == '\'':
		return '"'
	case c >= '0' && c <= '9', len(part) > 1 && (c == '-' || c == '+'):
		return '0'
	case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return 'a'
	}
	return '.'
}
