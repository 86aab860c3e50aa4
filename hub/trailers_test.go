// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTrailers: fields behind bodies go through, from clients of HTTP/1.1 and HTTP/2 to services of
// either, and back (RFC 9110 §6.5), but not those that a header may not be either.
func TestTrailers(t *testing.T) {
	t.Parallel()
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_ = http.NewResponseController(w).Flush() // a length would leave no room for trailers
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"Set-Cookie", "a=b")
		w.Header().Set(http.TrailerPrefix+"X-Te", r.Header.Get("Te")+r.Trailer.Get("Cookie"))
	})
	one, two := httptest.NewServer(service), httptest.NewUnstartedServer(service)
	two.Config.Protocols = new(http.Protocols)
	two.Config.Protocols.SetUnencryptedHTTP2(true)
	two.Start()
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	o := doors()
	o.Services = map[string]Service{
		"one": {Members: map[string]Instance{"a": {URL: one.URL}}},
		"two": {Members: map[string]Instance{"a": {URL: strings.Replace(two.URL, "http", "h2c", 1)}}},
	}
	h := start(t, o)
	for _, major := range []int{1, 2} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(major == 1)
		transport.Protocols.SetUnencryptedHTTP2(major == 2)
		defer transport.CloseIdleConnections()
		client := http.Client{Transport: transport}
		for service := range o.Services {
			for _, name := range []string{"X-Sum", "Cookie"} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+
					h.Addr("rest").String()+"/v1/services/"+service+"/x", io.MultiReader(strings.NewReader("hi")))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Te", "trailers")
				r.Trailer = http.Header{name: {"0"}}
				answer, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				want := "0"
				if name == "Cookie" { // it is nobody's but the hub's
					want = ""
				}
				if err != nil || string(body) != "hi" || answer.ProtoMajor != major ||
					answer.Trailer.Get("Grpc-Status") != want || answer.Trailer.Get("Set-Cookie") != "" ||
					answer.Trailer.Get("X-Te") != "trailers" {
					t.Errorf("HTTP/%d to %s: %q, %v, %v", major, service, body, answer.Trailer, err)
				}
			}
		}
	}
}
