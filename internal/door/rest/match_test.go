// SPDX-License-Identifier: Apache-2.0

package rest

import "testing"

func TestMatch(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		first      string
		ours, more bool
	}{
		{"", false, true},
		{"G", false, true},
		{"GET ", true, false},
		{"GET / HTTP/1.1", true, false},
		{"GETS", false, false},
		{"P", false, true},
		{"PATCH ", true, false},
		{"PRI * HTTP/2.0\r", false, true},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true, false},
		{"PRI /", false, false},
		{"CONNECT", false, true},
		{"CONNECT ", true, false},
		{"CONNECT\n", false, false},
		{"AMQP", false, false},
		{"get /", false, false},
	}
	for _, tc := range testCases {
		if ours, more := Match([]byte(tc.first)); ours != tc.ours || more != tc.more {
			t.Errorf("%q: got %t %t, want %+v", tc.first, ours, more, tc)
		}
	}
}
