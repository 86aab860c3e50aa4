// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/hub"
)

// Who looks for a key looks into docs, also for one of a service, a contract or a user.
func TestKeysInDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	var text []byte
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, data...)
	}
	seen := make(map[string]bool)
	everyKey(reflect.TypeFor[hub.Options](), func(name string) { seen[name] = true })
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if !regexp.MustCompile(`\b` + name + `\b`).Match(text) {
			t.Errorf("no page of docs says what the key %q is", name)
		}
	}
}

// everyKey calls fn with the name of every key, those in lists and maps too.
func everyKey(t reflect.Type, fn func(name string)) {
	switch {
	case isScalar(t):
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map, t.Kind() == reflect.Pointer:
		everyKey(t.Elem(), fn)
	case t.Kind() == reflect.Struct:
		for _, f := range fields(t) {
			fn(f.name)
			everyKey(t.Field(f.index).Type, fn)
		}
	}
}
