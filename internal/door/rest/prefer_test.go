// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"testing"
	"time"
)

// RFC 7240 §2: case, quotes, parameters, repetition, several lines; unknown preferences are
// ignored.
func TestParsePrefer(t *testing.T) {
	t.Parallel()
	second := time.Second
	testCases := []struct {
		lines []string
		want  preferences
	}{
		{nil, preferences{}},
		{[]string{"respond-async"}, preferences{async: true}},
		{
			[]string{"Respond-Async, Wait=10"},
			preferences{async: true, hasWait: true, wait: 10 * second},
		},
		{
			[]string{`wait="5"; x=1 , respond-async; y`},
			preferences{async: true, hasWait: true, wait: 5 * second},
		},
		{[]string{"wait=3, wait=9"}, preferences{hasWait: true, wait: 3 * second}},
		{
			[]string{"wait=1", "respond-async"},
			preferences{async: true, hasWait: true, wait: second},
		},
		{[]string{"return=minimal, wait=-1, ,=, handling=lenient"}, preferences{lenient: true}},
		{[]string{"wait=999999999"}, preferences{hasWait: true, wait: timeoutMax}},
		{[]string{"wait=99999999999999999999"}, preferences{}},
	}
	for _, tc := range testCases {
		if got := parsePrefer(http.Header{"Prefer": tc.lines}); got != tc.want {
			t.Errorf("%q: %+v, want %+v", tc.lines, got, tc.want)
		}
	}
}

// rest.md, Calls: the deadline is the least of what the request says.
func TestTimeoutOf(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		headers []string
		want    time.Duration
		given   bool
	}{
		{nil, 0, false},
		{[]string{"Prefer: wait=7"}, 7 * time.Second, true},
		{[]string{"Prefer: wait=7, respond-async"}, 0, false},
		{[]string{"Parley-Timeout-Ms: 1500"}, 1500 * time.Millisecond, true},
		{
			[]string{"Connect-Timeout-Ms: 20", "Grpc-Timeout: 10m", "Prefer: wait=1"},
			10 * time.Millisecond, true,
		},
		{[]string{"Grpc-Timeout: 99999999H"}, timeoutMax, true},
		{[]string{"Parley-Timeout-Ms: 999999999999"}, timeoutMax, true},
	}
	for _, tc := range testCases {
		r := &http.Request{Header: fields(tc.headers)}
		got, given, err := timeoutOf(r, parsePrefer(r.Header))
		if err != nil || got != tc.want || given != tc.given {
			t.Errorf("%q: %v, %v, %v, want %v", tc.headers, got, given, err, tc.want)
		}
	}
	for _, header := range []string{
		"Parley-Timeout-Ms: 0", "Parley-Timeout-Ms: -5", "Grpc-Timeout: 123456789S",
		"Grpc-Timeout: 5", "Grpc-Timeout: 5X", "Grpc-Timeout: S", "Connect-Timeout-Ms: x",
	} {
		r := &http.Request{Header: fields([]string{header})}
		if _, _, err := timeoutOf(r, preferences{}); err == nil {
			t.Errorf("%s was accepted", header)
		}
	}
}
