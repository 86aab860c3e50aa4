// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/json"
	"testing"
)

// TestUnescape: RFC 8259 §7; half of a surrogate pair stands for nothing.
func TestUnescape(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		want rune
		size int
	}{
		{`\"`, '"', 2},
		{`\\`, '\\', 2},
		{`\/x`, '/', 2},
		{`\b`, '\b', 2},
		{`\f`, '\f', 2},
		{`\n`, '\n', 2},
		{`\r`, '\r', 2},
		{`\t`, '\t', 2},
		{`\u0000`, 0, 6},
		{`\u00e9x`, 'é', 6},
		{`\uFFFF`, 0xffff, 6},
		{`\ud83d\ude00`, '😀', 12},
		{`\uD83D\uDE00\u`, '😀', 12},
		{``, 0, 0},
		{`\`, 0, 0},
		{`x`, 0, 0},
		{`\a`, 0, 0},
		{`\'`, 0, 0},
		{`\U0041`, 0, 0},
		{`\u004`, 0, 0},
		{`\u00g0`, 0, 0},
		{`\ud83d`, 0, 0},
		{`\ud83d\n`, 0, 0},
		{`\ud83d\u0041`, 0, 0},
		{`\ud83d\ud83d`, 0, 0},
		{`\ude00\ud83d`, 0, 0},
		{`\ud83d\ude0`, 0, 0},
	} {
		if got, size := Unescape([]byte(tc.text)); got != tc.want || size != tc.size {
			t.Errorf("%s: %q of %d octets, want %q of %d", tc.text, got, size, tc.want, tc.size)
		}
	}
	for c := range byte(0x80) {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		escape := AppendEscape(nil, c)
		var text string
		if err := json.Unmarshal([]byte(`"`+string(escape)+`"`), &text); err != nil || text != string(rune(c)) {
			t.Errorf("%#x is written %s: %v", c, escape, err)
		}
		if back, size := Unescape(escape); back != rune(c) || size != len(escape) {
			t.Errorf("%s is read as %q", escape, back)
		}
	}
}

// TestParseUUID: the one form, in either case.
func TestParseUUID(t *testing.T) {
	t.Parallel()
	const text = "00112233-4455-6677-8899-aabbccddeeff"
	id, ok := ParseUUID([]byte("00112233-4455-6677-8899-AABBCCDDeeff"))
	if got := string(AppendUUID(nil, &id)); !ok || got != text {
		t.Errorf("%v %s", ok, got)
	}
	for _, bad := range []string{
		"", text[1:], text + "0", "{" + text + "}", "0011223344556677-8899-aabbccddeeff----",
		"00112233-4455-6677-8899-aabbccddeefg", "00112233_4455-6677-8899-aabbccddeeff",
		"001122334-455-6677-8899-aabbccddeeff",
	} {
		if _, ok := ParseUUID([]byte(bad)); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}
