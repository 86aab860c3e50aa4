// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

const (
	// EnvPrefix starts every variable that sets a key.
	EnvPrefix = "PARLEY_"
	// CLIPrefix starts the command line's own variables, which are no keys.
	CLIPrefix = "PARLEY_CLI_"
	levels    = "__"
)

// EnvName returns the variable that sets the key at a path.
func EnvName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", levels))
}

// environment sets what PARLEY_ variables say, in the order of their names.
func (l *loader) environment(environ []string, root reflect.Value) {
	keys := Keys()
	known := make(map[string]string, len(keys))
	for _, path := range keys {
		known[EnvName(path)] = path
	}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || strings.HasPrefix(name, CLIPrefix) {
			continue
		}
		path, ok := known[name]
		switch {
		case ok:
			l.set(root, Setting{Path: path, Value: value, Origin: name})
		case isKey(root, name):
			l.fault(name, "takes more than one value; it needs the file")
		default:
			l.fault(name, "unknown variable%s", suggestVariable(name, known))
		}
	}
}

// isKey reports whether a variable names a key, if not one that a single value sets.
func isKey(root reflect.Value, name string) bool {
	path := strings.ToLower(strings.TrimPrefix(name, EnvPrefix))
	_, err := find(root, strings.Split(path, levels))
	return err == nil
}

// suggestVariable compares what comes behind the prefix, which is near to everything.
func suggestVariable(name string, known map[string]string) string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, strings.TrimPrefix(k, EnvPrefix))
	}
	slices.Sort(names)
	if n := Nearest(strings.TrimPrefix(name, EnvPrefix), names); n != "" {
		return fmt.Sprintf("; did you mean %q?", EnvPrefix+n)
	}
	return ""
}
