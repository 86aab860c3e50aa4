// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"errors"
	"strings"
	"testing"
)

// JMS 1.1 §3.8.1, and ActiveMQ's prefix.
func TestMatch(t *testing.T) {
	t.Parallel()
	headers := map[string]any{
		"color": "red", "weight": int64(3), "price": 2.5, "ok": true, "text": "12", "empty": "",
		"phone": "12993", "word": "_loose", "quote": "it's", "a b": "x", "max": int64(1) << 62,
		"table": []any{1}, "ü": "ü",
	}
	testCases := map[string]bool{
		"":                                   true,
		"color = 'red'":                      true,
		"color <> 'red'":                     false,
		"color = 'Red'":                      false,
		"'red' = color":                      true,
		"color":                              false, // no condition
		"ok":                                 true,
		"ok = TRUE":                          true,
		"ok <> false":                        true,
		"NOT ok":                             false,
		"not not ok":                         true,
		"weight > 2":                         true,
		"weight > 2.5 AND weight <= 3":       true,
		"weight = 3.0":                       true,
		"weight >= 4 OR color = 'red'":       true,
		"weight BETWEEN 3 AND 4":             true,
		"weight NOT BETWEEN 3 AND 4":         false,
		"weight BETWEEN 4 AND 3":             false,
		"price * 2 + 1 = 6":                  true,
		"1 + 2 * 3 = 7":                      true,
		"(1 + 2) * 3 = 9":                    true,
		"10 - 4 - 3 = 3":                     true,
		"7 / 2 = 3":                          true,
		"7 / 2.0 = 3.5":                      true,
		"1 / 0 > 5":                          true, // an approximate number, as in Java
		"-weight = -3":                       true,
		"- -weight = +3":                     true,
		"weight / 0 = 1":                     false,
		"color IN ('blue', 'red')":           true,
		"color NOT IN ('blue', 'red')":       false,
		"none IN ('blue')":                   false,
		"none NOT IN ('blue')":               false, // unknown
		"weight IN (1, 3)":                   true,
		"none IS NULL":                       true,
		"none IS NOT NULL":                   false,
		"color IS NOT NULL":                  true,
		"table IS NULL":                      true,
		"none = 1 OR none <> 1":              false, // unknown
		"NOT (none = 1)":                     false,
		"none = 1 OR color = 'red'":          true,
		"none = 1 AND color = 'blue'":        false,
		"NOT (none = 1 AND color = 'blue')":  true, // false whatever none is
		"phone LIKE '12%3'":                  true,
		"phone LIKE '12%4'":                  false,
		"phone NOT LIKE '12%3'":              false,
		"phone LIKE '129_3'":                 true,
		"phone LIKE '12_3'":                  false,
		"phone LIKE '%'":                     true,
		"empty LIKE ''":                      true,
		"empty LIKE '%%'":                    true,
		"word LIKE '\\_%' ESCAPE '\\'":       true,
		"phone LIKE '\\_%' ESCAPE '\\'":      false,
		"phone LIKE '%9%9%'":                 true,
		"phone LIKE '%9%9%9%'":               false,
		"quote = 'it''s'":                    true,
		`"a b" = 'x'`:                        true,
		"ü LIKE '_'":                         true,
		"text = 12":                          false,
		"text > 2":                           false,
		"color > 'a'":                        false, // JMS orders numbers only
		"weight = '3'":                       false,
		"convert_string_expressions:text>2":  true,
		"convert_string_expressions:text=12": true,
		"convert_string_expressions:text*2 = 24.0":       true,
		"convert_string_expressions:color > 2":           false,
		"color = 'red' AND weight = 3 OR color = 'blue'": true,
		"1E3 = 1000.":                  true,
		".5 = 0.5":                     true,
		"10L = 10":                     true,
		"max * 4 = 0":                  true, // wraps, as Java's long
		"99999999999999999999 > 1":     true,
		"- 9223372036854775808 < 0":    true,
		"$x IS NULL AND _y IS NULL":    true,
		"color\t=\n'red' and weight=3": true,
	}
	for text, want := range testCases {
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := s.Match(func(name string) (any, bool) { v, ok := headers[name]; return v, ok })
		if got != want || s.String() != text {
			t.Errorf("%s is %t, want %t", text, got, want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	t.Parallel()
	testCases := map[string]int{
		"color =":                      7,
		"= 1":                          0,
		"color = 'red":                 8,
		"color 'red'":                  6,
		"color LIKE 3":                 11,
		"color LIKE 'a' ESCAPE 'ab'":   22,
		"color LIKE 'a' ESCAPE ''":     22,
		"color IN ()":                  10,
		"color IN (1":                  11,
		"color IN (a)":                 10,
		"color NOT 1":                  10,
		"color IS 1":                   9,
		"color BETWEEN 1":              15,
		"(color = 1":                   10,
		"color = 1)":                   9,
		"a ? b":                        2,
		"1e":                           0,
		"AND":                          0,
		strings.Repeat("(", 65) + "ok": 64,
		"1" + strings.Repeat("+1", 65): 129,
		"a LIKE '" + strings.Repeat("x", MaxPattern+1) + "'": 7,
		strings.Repeat("x", MaxBytes+1):                      MaxBytes,
		strings.Repeat("a = 1 AND ", 3) + "b@":               31,
	}
	for text, at := range testCases {
		_, err := Parse(text)
		var e *Error
		if !errors.As(err, &e) || e.At != at {
			t.Errorf("%.30s: %v, want a fault at byte %d", text, err, at)
		}
	}
	for _, text := range []string{
		strings.Repeat("(", MaxDepth) + "ok" + strings.Repeat(")", MaxDepth),
		"1" + strings.Repeat("+1", MaxDepth), strings.Repeat("x", MaxBytes),
		strings.Repeat("NOT ", 1_000) + "ok", strings.Repeat("a AND ", 600) + "a",
	} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%.30s: %v", text, err)
		}
	}
}

// FuzzParse: a selector is read or refused with a place inside of it, and evaluates.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a = 'b' AND (c BETWEEN 1 AND 2.5 OR d IS NOT NULL)", "x LIKE '%a_' ESCAPE '\\'",
		"NOT a IN ('x', 2)", "-1 + 2 * (3 / 4) <> .5e1", "convert_string_expressions:a > 1", `"q""`,
	} {
		f.Add(seed, "12")
	}
	f.Fuzz(func(t *testing.T, text, header string) {
		s, err := Parse(text)
		var e *Error
		switch {
		case err == nil:
			s.Match(func(string) (any, bool) { return header, true })
		case !errors.As(err, &e) || e.At < 0 || e.At > len(text):
			t.Errorf("%q: %v", text, err)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	s, err := Parse("color = 'red' AND weight BETWEEN 1 AND 5 AND note LIKE '%a%b%'")
	if err != nil {
		b.Fatal(err)
	}
	headers := map[string]any{"color": "red", "weight": int64(3), "note": "xxaxxxbxx"}
	header := func(name string) (any, bool) { v, ok := headers[name]; return v, ok }
	b.ReportAllocs()
	for b.Loop() {
		if !s.Match(header) {
			b.Fatal("no match")
		}
	}
}
