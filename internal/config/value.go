// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// field is one key of a struct.
type field struct {
	name  string
	index int
}

// fields returns the keys of a struct type: yaml tags, or names in snake case.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || tag == "-" {
			continue
		}
		if tag == "" {
			tag = snake(f.Name)
		}
		out = append(out, field{name: tag, index: i})
	}
	return out
}

func names(list []field) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].name
	}
	return out
}

// snake turns MessageBytes into message_bytes and AMQPPort into amqp_port.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 {
			next := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(runes[i-1]) || next {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// leaves calls fn with the path of every single value below a struct type.
func leaves(t reflect.Type, prefix string, fn func(path string)) {
	for _, f := range fields(t) {
		ft := t.Field(f.index).Type
		switch {
		case isScalar(ft):
			fn(prefix + f.name)
		case ft.Kind() == reflect.Struct:
			leaves(ft, prefix+f.name+".", fn)
		}
	}
}

// isScalar reports whether values of t are written as one word.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return true
	}
	switch t.Kind() { //nolint:exhaustive // the rest is not
	case reflect.String, reflect.Bool, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

// find returns the value at a path of struct keys.
func find(v reflect.Value, path []string) (reflect.Value, error) {
	for i, name := range path {
		if v.Kind() != reflect.Struct || isScalar(v.Type()) {
			return v, fmt.Errorf("%q has no keys below it", strings.Join(path[:i], "."))
		}
		list := fields(v.Type())
		at := -1
		for _, f := range list {
			if f.name == name {
				at = f.index
			}
		}
		if at < 0 {
			return v, fmt.Errorf("unknown key %q%s", strings.Join(path[:i+1], "."),
				suggest(name, names(list)))
		}
		v = v.Field(at)
	}
	return v, nil
}

// secret is what internal/auth's Secret is to this package.
type secret interface {
	encoding.TextUnmarshaler
	Reveal() string
}

// setScalar sets a single value from its text. name is the key's, whose end tells sizes.
func setScalar(v reflect.Value, name, text string) error {
	if v.CanAddr() {
		switch p := v.Addr().Interface().(type) {
		case secret:
			revealed, err := reveal(text)
			if err != nil {
				return err
			}
			return p.UnmarshalText([]byte(revealed))
		case encoding.TextUnmarshaler:
			return p.UnmarshalText([]byte(text))
		}
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := parseDuration(text)
		if err == nil {
			v.SetInt(int64(d))
		}
		return err
	}
	switch v.Kind() { //nolint:exhaustive // the rest is refused
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		switch text {
		case "true", "false":
			v.SetBool(text == "true")
			return nil
		}
		return fmt.Errorf("%q is not true or false", text)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return setInt(v, name, text)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0 up to %d bits", text, v.Type().Bits())
		}
		v.SetUint(n)
		return nil
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(n)
		return nil
	}
	return fmt.Errorf("a %s cannot be written as one word; it needs the file", v.Kind())
}

func setInt(v reflect.Value, name, text string) error {
	parse, what := parseWhole, "a whole number"
	if strings.HasSuffix(name, "_bytes") {
		parse, what = parseSize, "a size with its unit (64KiB, 16MiB, 512B)"
	}
	n, err := parse(text)
	if err != nil {
		return fmt.Errorf("%q is not %s", text, what)
	}
	if v.OverflowInt(n) {
		return fmt.Errorf("%q is too large", text)
	}
	v.SetInt(n)
	return nil
}

func parseWhole(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

// parseDuration is time.ParseDuration; a bare number is refused there, but for 0.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time with its unit (250ms, 10s, 5m)", text)
	}
	return d, nil
}

var errSize = errors.New("no size")

// parseSize reads a size; -1 is no limit, as the options have it.
func parseSize(text string) (int64, error) {
	if text == "0" || text == "-1" {
		return strconv.ParseInt(text, 10, 64)
	}
	digits := strings.TrimRight(text, "BKMGTikmgt")
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 {
		return 0, errSize
	}
	unit := int64(0)
	switch text[len(digits):] {
	case "B":
		unit = 1
	case "KiB":
		unit = 1 << 10
	case "MiB":
		unit = 1 << 20
	case "GiB":
		unit = 1 << 30
	case "TiB":
		unit = 1 << 40
	case "kB", "KB":
		unit = 1e3
	case "MB":
		unit = 1e6
	case "GB":
		unit = 1e9
	case "TB":
		unit = 1e12
	}
	if unit == 0 || n > math.MaxInt64/unit {
		return 0, errSize
	}
	return n * unit, nil
}

// format is the reverse of setScalar.
func format(v reflect.Value, name string) string {
	if strings.HasSuffix(name, "_bytes") && v.CanInt() {
		return formatSize(v.Int())
	}
	return fmt.Sprint(v.Interface())
}

func formatSize(n int64) string {
	if n <= 0 {
		return strconv.FormatInt(n, 10)
	}
	unit := 0
	for n%1024 == 0 && unit < 4 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit]
}

// reveal reads what a secret's text points to. The secret itself is in no error.
func reveal(text string) (string, error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		data, err := readFile(path)
		if err != nil {
			return "", fmt.Errorf("secret file %s: %w", path, err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
	}
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("secret: no variable %s in the environment", name)
		}
		return value, nil
	}
	return "", errors.New("a secret is file:/path or env:NAME")
}
