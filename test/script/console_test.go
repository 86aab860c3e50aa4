// SPDX-License-Identifier: Apache-2.0

package script

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse("text\n```console\n$ one \\\n> two\nout\n\n$ three\n```\n```go\n$ no\n```\n" +
		"```console\n$ four\nmore\n```\n")
	want := []Command{
		{Line: 3, Text: "one \\\ntwo", Output: []string{"out", ""}},
		{Line: 7, Text: "three"},
		{Line: 13, Text: "four", Output: []string{"more"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := Parse("```console\noutput\n```"); err == nil {
		t.Error("output without a command is accepted")
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		shown, got []string
		want       bool
	}{
		{nil, nil, true},
		{nil, []string{""}, true},
		{nil, []string{"x"}, false},
		{[]string{"x"}, nil, false},
		{[]string{"a", "b"}, []string{"a", "b", ""}, true},
		{[]string{"a", "b"}, []string{"b", "a"}, false},
		{[]string{"..."}, nil, true},
		{[]string{"a", "...", "z"}, []string{"a", "b", "c", "z"}, true},
		{[]string{"a", "...", "z"}, []string{"a", "b", "c"}, false},
		{[]string{"id ... done"}, []string{"id 42 done"}, true},
		{[]string{"id ..."}, []string{"id 42"}, true},
		{[]string{"id ... and ..."}, []string{"id 1 and 2"}, true},
		{[]string{"id ... done"}, []string{"id done"}, false},
	}
	for _, tc := range testCases {
		if got := Match(tc.shown, tc.got); got != tc.want {
			t.Errorf("Match(%q, %q) = %t", tc.shown, tc.got, got)
		}
	}
}
