// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/json"
	"net/url"
	"testing"
)

// FuzzContract makes a contract of any text, describes its services, and lets any request come by any
// path: the description is JSON and the same twice, and what is made of a request is JSON or a fault.
func FuzzContract(f *testing.F) {
	const idl = `struct R { 1: string id (api.path = "id"), 2: list<i64> n (api.query = "n"), 3: binary b (api.raw_body) }
struct A { 1: i32 s (api.http_code), 2: string h (api.header = "X"), 3: binary b (api.raw_body), 4: double d = 1e5 }
service s { A f(1: R r) (api.get = "/a/:id", api.any = "/b/*id") void g(1: map<string, R> m) (api.put = "/c") }`
	f.Add(idl, "GET", "/a/x%2F", "n=1&n=2", `{"s":200,"h":"x","b":"AA=="}`)
	f.Add(idl, "PUT", "/c", "", `{"m":{"k":{"id":"x"}}}`)
	f.Add(idl, "POST", "/b/a/b", "n=x", "\x00")
	f.Add("const map<i32, string> M = {1: 'x'} struct S { 1: map<i32, string> m = M } service s { S f() }",
		"", "", "", "")
	f.Fuzz(func(t *testing.T, idl, verb, path, query, body string) {
		s := Source{Files: map[string]string{"a.thrift": idl}}
		c, services, err := s.Load("a")
		if err != nil {
			return
		}
		for _, service := range services {
			o := c.Operations(service)
			document, err := o.OpenAPI(service, "/v1/services/"+service)
			if err != nil {
				continue
			}
			again, err := o.document(service, "/v1/services/"+service)
			if err != nil || !json.Valid(document) || !bytes.Equal(document, again) {
				t.Fatalf("%v: %s", err, document)
			}
			r, parameters, _ := o.Route(verb, path)
			if r == nil {
				continue
			}
			values, _ := url.ParseQuery(query)
			q := Request{
				Verb: verb, Parameters: parameters, Query: values, Body: []byte(body),
				Header: func(string) []string { return []string{query} },
				Cookie: func(string) []string { return nil },
			}
			args, err := r.Arguments(&q)
			if err == nil && !json.Valid(args) && !bytes.Equal(args, q.Body) {
				t.Fatalf("%s of %s %s?%s %q", args, verb, path, query, body)
			}
			_ = CheckArguments(r.Method, args, false)
			if a, err := r.Answer([]byte(body)); err == nil && !a.Raw && !json.Valid(a.Body) {
				t.Fatalf("%s of the result %q", a.Body, body)
			}
		}
	})
}
