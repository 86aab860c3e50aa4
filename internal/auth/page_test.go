// SPDX-License-Identifier: Apache-2.0

package auth

import "testing"

func TestSecH1LoopbackHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost:8080": true, "localhost.": true, "a.localhost:1": true,
		"127.0.0.1": true, "127.8.9.1:80": true, "[::1]": true, "[::1]:80": true, "::1": true,
		"[::ffff:127.0.0.1]:80": true,
		"":                      false, ":80": false, "localhost.evil.example": false, "evil.example:80": false,
		"127.0.0.1.evil.example": false, "192.0.2.1:80": false, "[2001:db8::1]:80": false,
		"notlocalhost": false, "127.0.0.1:80:90": false, "2130706433": false,
	} {
		if got := LoopbackHost(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

func TestSecH1ForeignPage(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{"https://app.example": true}
	testCases := []struct {
		name    string
		page    Page
		foreign bool
	}{
		{"no browser", Page{"hub:80", nil, ""}, false},
		{"typed in", Page{"hub:80", nil, "none"}, false},
		{"own, without Origin", Page{"hub:80", nil, "same-origin"}, false},
		{"same site", Page{"hub:80", nil, "same-site"}, true},
		{"cross site", Page{"hub:80", nil, "cross-site"}, true},
		{"own", Page{"hub:80", []string{"http://HUB:80"}, ""}, false},
		{"another port", Page{"hub:80", []string{"http://hub:81"}, "same-site"}, true},
		{"allowed", Page{"hub:80", []string{"https://app.example"}, "cross-site"}, false},
		{"not encrypted", Page{"hub:80", []string{"http://app.example"}, "cross-site"}, true},
		{"begins like it", Page{"hub:80", []string{"https://app.example.evil"}, ""}, true},
		{"null", Page{"hub:80", []string{"null"}, ""}, true},
		{"null of no host", Page{"", []string{"null"}, ""}, true},
		{"empty", Page{"", []string{""}, ""}, true},
		{"two", Page{"hub:80", []string{"https://app.example", "http://hub:80"}, ""}, true},
	}
	for _, tc := range testCases {
		if got := tc.page.Foreign(allowed); got != tc.foreign {
			t.Errorf("%s: foreign %v", tc.name, got)
		}
	}
}
