// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/netip"
	"net/url"
	"strings"
)

// LoopbackHost reports whether the Host of a request, with its port or without, is a name of this
// machine. A page of another site can find its way to a loopback address, but only under a name of
// its own (DNS rebinding).
func LoopbackHost(host string) bool {
	if at := strings.LastIndexByte(host, ':'); at >= 0 {
		if name := host[:at]; !strings.Contains(name, ":") || strings.HasSuffix(name, "]") {
			host = name
		}
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Page is what an HTTP request says of the page that sent it. What is no browser says nothing.
type Page struct {
	// Host is the host that was asked, with its port if it has one.
	Host string
	// Origins are the values of the header Origin, Site that of Sec-Fetch-Site.
	Origins []string
	Site    string
}

// Foreign reports whether it is a page of another origin than the host's, and of none of those that
// are allowed (security.md, H1). That counts whatever the request's method: a browser adds
// credentials by itself, and a GET may consume messages.
func (p Page) Foreign(allowed map[string]bool) bool {
	switch len(p.Origins) {
	case 0:
		switch p.Site {
		case "", "none", "same-origin":
			return false
		}
		return true
	case 1:
		if allowed[p.Origins[0]] {
			return false
		}
		origin, err := url.Parse(p.Origins[0])
		// "null" has no host.
		return err != nil || origin.Host == "" || !strings.EqualFold(origin.Host, p.Host)
	}
	return true
}
