// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/parley-ipc/parley/hub"
)

// TestLoad runs testdata/*.txtar: parts file, env and flags are the sources, part want is every
// value that differs from the default, or all faults. UPDATE=1 writes what came out.
func TestLoad(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := outcome(Load(sources(t, a)))
			at := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
			if at < 0 {
				t.Fatal("no part want")
			}
			if os.Getenv("UPDATE") != "" {
				a.Files[at].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[at].Data), got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// sources reads the parts of a case. The file is named as it is in faults: parley.yaml.
func sources(t *testing.T, a *txtar.Archive) Sources {
	t.Helper()
	var s Sources
	for _, f := range a.Files {
		lines := strings.FieldsFunc(string(f.Data), func(r rune) bool { return r == '\n' })
		switch f.Name {
		case "file":
			s.File = filepath.Join(t.TempDir(), "parley.yaml")
			if err := os.WriteFile(s.File, f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		case "env":
			s.Environ = lines
		case "flags":
			for _, line := range lines {
				path, value, _ := strings.Cut(line, "=")
				s.Flags = append(s.Flags, Setting{Path: path, Value: value, Origin: "--" + path})
			}
		}
	}
	return s
}

// outcome prints the values that differ from the defaults, or the faults without the directory.
func outcome(o hub.Options, err error) string {
	if faults, ok := errors.AsType[Faults](err); ok {
		for i := range faults {
			faults[i].Where = filepath.Base(faults[i].Where)
		}
		return faults.Error() + "\n"
	}
	if err != nil {
		return err.Error()
	}
	defaults := hub.Defaults()
	var b strings.Builder
	for _, path := range Keys() {
		is := at(reflect.ValueOf(o), path)
		if was := at(reflect.ValueOf(defaults), path); is != was {
			fmt.Fprintf(&b, "%s = %s\n", path, is)
		}
	}
	return b.String()
}

func at(v reflect.Value, path string) string {
	v, err := find(v, strings.Split(path, "."))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v.Interface())
}

func TestLoadWithoutSourcesGivesTheDefaults(t *testing.T) {
	t.Parallel()
	o, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprintf("%+v", hub.Defaults()), fmt.Sprintf("%+v", o)); diff != "" {
		t.Error(diff)
	}
}

func TestLoadNamesAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "absent.yaml")
	_, err := Load(Sources{File: path})
	if want := path + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

func TestLoadRefusesALargeFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(path, make([]byte, maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Sources{File: path}); err == nil {
		t.Error("a file above the limit was read")
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		text string
		want int64
	}{
		{"0", 0},
		{"-1", -1},
		{"512B", 512},
		{"64KiB", 64 << 10},
		{"16 MiB", 16 << 20},
		{"2GiB", 2 << 30},
		{"1TiB", 1 << 40},
		{"5kB", 5000},
		{"1GB", 1e9},
	}
	for _, tc := range testCases {
		if got, err := parseSize(tc.text); err != nil || got != tc.want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", tc.text, got, err, tc.want)
		}
	}
	for _, bad := range []string{
		"", "64", "KiB", "-5B", "1.5GiB", "1PiB", "1kib", "9999999TiB", "0x10B", "1KiBB",
	} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", bad, got)
		}
	}
}

func TestExplainNamesEachOrigin(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f.yaml")
	text := "name: north\nlimits: {message_bytes: 16777216B}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	values, err := Explain(Sources{
		File: file, Environ: []string{"PARLEY_DRAIN=1500ms"},
		Flags: []Setting{{Path: "sync", Value: "off", Origin: "--sync"}},
	})
	if err != nil || len(values) != len(Keys()) {
		t.Fatalf("%d values of %d, %v", len(values), len(Keys()), err)
	}
	got := map[string]Value{}
	for _, v := range values {
		got[v.Key] = v
	}
	for _, want := range []Value{
		{"name", "north", file + ":1:7"},
		{"limits.message_bytes", "16MiB", file + ":2:25"},
		{"drain", "1.5s", "PARLEY_DRAIN"},
		{"sync", "off", "--sync"},
		{"doors.amqp.listen", hub.Defaults().Doors.AMQP.Listen, "default"},
	} {
		if got[want.Key] != want {
			t.Errorf("got %v, want %v", got[want.Key], want)
		}
	}
	if _, err := Explain(Sources{Environ: []string{"PARLEY_X=1"}}); err == nil {
		t.Error("a fault was not reported")
	}
}

func TestSizesAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{-1, 0, 1, 1023, 1024, 1 << 20, 3 << 29, 1 << 40, 1 << 50, 1<<40 + 1} {
		if got, err := parseSize(formatSize(n)); err != nil || got != n {
			t.Errorf("%d is written %s and read %d, %v", n, formatSize(n), got, err)
		}
	}
}

// every holds one field of each kind that options may have.
type every struct {
	Text       string
	Yes        bool
	Small      int8
	Count      uint16
	Share      float64
	Wait       time.Duration
	RoomBytes  int
	HTTPPort   int
	hidden     int
	Skipped    int `yaml:"-"`
	Renamed    int `yaml:"other,omitempty"`
	Nested     struct{ Deep struct{ Key string } }
	Names      []string
	ByName     map[string]struct{ Key int }
	Password   fakeSecret
	Unreadable chan int
}

// fakeSecret has the methods of a secret.
type fakeSecret struct{ value string }

func (s *fakeSecret) UnmarshalText(b []byte) error { s.value = string(b); return nil }
func (s *fakeSecret) Reveal() string               { return s.value }

func decodeInto(t *testing.T, v any, text string) Faults {
	t.Helper()
	l := newLoader()
	d := decoder{loader: l, file: "f"}
	d.document([]byte(text), reflect.ValueOf(v).Elem())
	return l.faults
}

func TestDecodeEveryKind(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := every{hidden: 7}
	faults := decodeInto(t, &e, `
text: 'on: "x"'
yes: true
small: -128
count: 65535
share: 0.25
wait: 1m30s
room_bytes: 4KiB
http_port: 80
other: 5
nested: {deep: {key: off}}
names: [a, "b c", 7]
by_name:
  x: {key: 1}
  y.z:
    key: 2
password: file:`+secret+`
`)
	if faults != nil {
		t.Fatal(faults)
	}
	want := every{
		Text: `on: "x"`, Yes: true, Small: -128, Count: 65535, Share: 0.25, Wait: 90 * time.Second,
		RoomBytes: 4096, HTTPPort: 80, hidden: 7, Renamed: 5, Names: []string{"a", "b c", "7"},
		ByName:   map[string]struct{ Key int }{"x": {1}, "y.z": {2}},
		Password: fakeSecret{"sesame"},
	}
	want.Nested.Deep.Key = "off"
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got  %+v\nwant %+v", e, want)
	}
}

func TestDecodeFaults(t *testing.T) {
	t.Parallel()
	testCases := []struct{ name, text, want string }{
		{"wrong kind", "yes: [1]", `f:1:6: yes takes one value, not a list`},
		{"list wanted", "names: a", `f:1:8: names takes a list, not a single value`},
		{"keys wanted", "nested: 5", `f:1:9: nested takes keys, not a single value`},
		{"not a mapping", "- 1", `f:1:1: the file takes keys, not a list`},
		{"out of range", "small: 128", `f:1:8: small: "128" is too large`},
		{"negative", "count: -1", `f:1:8: count: "-1" is not a whole number from 0 up to 16 bits`},
		{"bare duration", "wait: 5", `f:1:7: wait: "5" is not a time with its unit (250ms, 10s, 5m)`},
		{
			"bare size", "room_bytes: 4096",
			`f:1:13: room_bytes: "4096" is not a size with its unit (64KiB, 16MiB, 512B)`,
		},
		{"yes is no bool", "yes: yes", `f:1:6: yes: "yes" is not true or false`},
		{"not a number", "share: .nan", `f:1:8: share: ".nan" is not a number`},
		{"twice", "text: a\nother: 1\ntext: b", `f:3:1: "text" stands here twice`},
		{"hidden field", "hidden: 1", `f:1:1: unknown key "hidden"`},
		{"skipped field", "skipped: 1", `f:1:1: unknown key "skipped"`},
		{"swapped letters", "tetx: a", `f:1:1: unknown key "tetx"; did you mean "text"?`},
		{"below", "nested: {deep: {kye: a}}", `f:1:17: unknown key "nested.deep.kye"; did you mean "key"?`},
		{"in a map", "by_name: {x: {key: a}}", `f:1:20: by_name.x.key: "a" is not a whole number`},
		{"alias", "text: &a b\nother: *a", "f:1:7: text takes one value, not a reference\n" +
			"f:2:8: other takes one value, not a reference"},
		{"tag", "text: !!str 5", "f:1:7: text takes one value, not a tagged value"},
		{"second document", "text: a\n---\ntext: b", "f:3:1: a second document; a configuration is one"},
		{"open secret", "password: sesame", "f:1:11: password: a secret is file:/path or env:NAME"},
		{
			"secret that is not there", "password: env:PARLEY_NO_SUCH_VARIABLE",
			"f:1:11: password: secret: no variable PARLEY_NO_SUCH_VARIABLE in the environment",
		},
		{"impossible", "unreadable: 1", "f:1:13: unreadable cannot be set here"},
		{
			"all at once", "yes: 1\nsmal: 1\nwait: soon",
			"f:1:6: yes: \"1\" is not true or false\n" +
				"f:2:1: unknown key \"smal\"; did you mean \"small\"?\n" +
				"f:3:7: wait: \"soon\" is not a time with its unit (250ms, 10s, 5m)",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := decodeInto(t, &every{}, tc.text).Error(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// A file of any bytes gives options or faults, never a crash.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e every
		for _, fault := range decodeInto(t, &e, string(data)) {
			if !strings.HasPrefix(fault.Where, "f") || fault.Message == "" {
				t.Errorf("fault %+v", fault)
			}
		}
	})
}

// TestServices: what stands under services reaches the options of the packages that it is for.
func TestServices(t *testing.T) {
	t.Parallel()
	a, err := txtar.ParseFile("testdata/services.txtar")
	if err != nil {
		t.Fatal(err)
	}
	o, err := Load(sources(t, a))
	if err != nil {
		t.Fatal(err)
	}
	shop, bare, calculator := o.Services["shop"], o.Services["bare"], o.Services["calculator"]
	b := shop.Members["b"]
	switch {
	case len(o.Services) != 3 || len(bare.Members) != 0:
		t.Errorf("services %+v", o.Services)
	case shop.Timeout != 5*time.Second || shop.Pool.InFlight != 64 ||
		shop.Pool.Health.Path != "/healthz" || shop.Pool.Health.Interval != 2*time.Second ||
		shop.Pool.Breaker.Percent != -1 || shop.HTTP.Idle != 30*time.Second:
		t.Errorf("shop %+v", shop)
	case shop.Members["a"].URL != "http://127.0.0.1:9000/base", b.Weight != 50, !b.Health.TCP:
		t.Errorf("members %+v", shop.Members)
	case calculator.Protocol != "thrift" || calculator.Format != "json" ||
		calculator.Members["a"].Health.Method != "ping" || calculator.Thrift.Protocol != "compact" ||
		calculator.Thrift.Transport != "header" || calculator.Thrift.Conns != 8 ||
		len(calculator.Thrift.Oneway) != 1:
		t.Errorf("calculator %+v", calculator)
	}
}
