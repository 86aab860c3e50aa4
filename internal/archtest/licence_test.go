// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// spdx is the first line of every .go file, followed by an empty one.
const spdx = "// SPDX-License-Identifier: Apache-2.0"

// TestLicenceLine wants the licence where a file is read alone.
func TestLicenceLine(t *testing.T) {
	t.Parallel()
	for _, src := range sources(t) {
		if !bytes.HasPrefix(src.text, []byte(spdx+"\n\n")) {
			t.Errorf("%s: the first line is not %q with an empty line after it", src.path, spdx)
		}
	}
}

// TestDependencyLicences allows Apache-2.0, MIT, BSD-2-Clause, BSD-3-Clause, ISC and MPL-2.0 in
// every module that links outside code. tools/ is left out: its programs are run, never linked.
// Modules that are in the graph but were never downloaded are in no build.
func TestDependencyLicences(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{".", "test", "bench"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", "all")
		cmd.Dir = filepath.Join(root, dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -m all in %s: %v", dir, err)
		}
		list := json.NewDecoder(bytes.NewReader(out))
		for {
			var mod struct {
				Path, Dir string
				Main      bool
				Replace   *struct{ Path string }
			}
			if err := list.Decode(&mod); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			local := mod.Replace != nil && mod.Path == module
			if mod.Main || mod.Dir == "" || local {
				continue
			}
			if name := licence(t, mod.Dir); name == "" {
				t.Errorf("%s: %s has no licence of the list", dir, mod.Path)
			}
		}
	}
}

// licence names the licence of the module in dir, empty if it is none of those allowed. The phrases
// are the ones that tell the texts apart.
func licence(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.ToUpper(file.Name())
		if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") || file.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Join(strings.Fields(string(text)), " ")
		if strings.Contains(words, "All advertising materials") {
			continue // BSD-4-Clause
		}
		for _, known := range []struct{ name, phrase string }{
			{"Apache-2.0", "Apache License Version 2.0"},
			{"MPL-2.0", "Mozilla Public License Version 2.0"},
			{"MPL-2.0", "Mozilla Public License, version 2.0"},
			{"BSD", "Redistribution and use in source and binary forms"},
			{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
			{"ISC", "Permission to use, copy, modify, and/or distribute this software"},
			{"ISC", "Permission to use, copy, modify, and distribute this software"},
		} {
			if strings.Contains(words, known.phrase) {
				return known.name
			}
		}
	}
	return ""
}
