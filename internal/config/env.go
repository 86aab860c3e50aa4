// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
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
		if !ok {
			l.fault(name, "unknown variable%s", suggest(name, slices.Sorted(maps.Keys(known))))
			continue
		}
		l.set(root, Setting{Path: path, Value: value, Origin: name})
	}
}
