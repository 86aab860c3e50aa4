// SPDX-License-Identifier: Apache-2.0

// Command reverseproxy passes HTTP requests to one service by Go's httputil.ReverseProxy: what a Go
// program has without any other.
//
//	reverseproxy LISTEN UPSTREAM
package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reverseproxy:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments, want an address and another", len(args))
	}
	target := &url.URL{Scheme: "http", Host: args[1]}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 1_024, DisableCompression: true,
		},
	}
	server := &http.Server{Addr: args[0], Handler: proxy, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}
