// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/contract"
)

const routesIDL = `
enum Size { SMALL = 1, LARGE = 2 }
struct Find {
  1: required string id (api.path = "id")
  2: optional i64 limit
  3: optional list<Size> sizes (api.query = "size")
  4: optional string token (api.header = "X-Token", api.cookie = "token", api.none)
  5: optional bool deep (api.query)
  6: optional double least (api.query = "least")
  7: optional map<string, i32> more (api.query = "more")
  8: optional string internal (api.none)
}
struct Change { 1: string id (api.path = "id"), 2: string text, 3: i32 n (api.body = "count") }
struct Upload { 1: string name (api.path = "name"), 2: binary data (api.raw_body) }
struct Form { 1: string a (api.form = "a"), 2: list<i32> b (api.form = "b") }
struct Found {
  1: i32 status (api.http_code), 2: string tag (api.header = "X-Tag"), 3: string text (api.body = "Text")
  4: i32 hidden (api.none), 5: i64 n
}
struct Blob { 1: binary data (api.raw_body), 2: string kind (api.header = "Content-Type") }
service s {
  void send(1: Form form) (api.post = "/send")
  Found find(1: Find req) (api.get = "/things/:id", api.head = "/things/:id")
  string change(1: Change req) (api.put = "/things/:id")
  string add(1: string what, 2: i32 n) (api.post = "things")
  Blob upload(1: Upload req) (api.post = "/files/*name", api.any = "/any/:name/x")
  void form(1: Form req) (api.post = "/form")
  void plain(1: string x)
  void special() (api.get = "/things/special")
}
`

func operations(tb testing.TB, idl string) *contract.Operations {
	tb.Helper()
	return entry(tb, "/", "a", idl, nil).Contract.Operations("s")
}

// TestRoutes: a request finds its method by HTTP method and path, or learns which methods the path has.
func TestRoutes(t *testing.T) {
	t.Parallel()
	o := operations(t, routesIDL)
	for _, c := range []struct {
		verb, path, method string
		parameters         []string
		allow              []string
	}{
		{"GET", "/things/7", "find", []string{"7"}, nil},
		{"HEAD", "/things/7", "find", []string{"7"}, nil},
		{"PUT", "/things/a%2Fb%20c", "change", []string{"a/b c"}, nil},
		{"POST", "/things", "add", nil, nil},
		{"GET", "/things/special", "special", nil, nil},
		{"PUT", "/things/special", "change", []string{"special"}, nil},
		{"POST", "/files/a/b/c.txt", "upload", []string{"a/b/c.txt"}, nil},
		{"PATCH", "/any/n/x", "upload", []string{"n"}, nil},
		{"DELETE", "/things/7", "", nil, []string{"GET", "HEAD", "PUT"}},
		{"GET", "/things", "", nil, []string{"POST"}},
		{"GET", "/things/", "", nil, nil},
		{"GET", "/things/7/8", "", nil, nil},
		{"GET", "/none", "", nil, nil},
		{"GET", "", "", nil, nil},
		{"GET", "/things/%zz", "", nil, nil},
		{"GET", "/" + strings.Repeat("a/", 1000), "", nil, nil},
	} {
		r, parameters, allow := o.Route(c.verb, c.path)
		name := ""
		if r != nil {
			name = r.Method.Name
		}
		if name != c.method || !slices.Equal(parameters, c.parameters) || !slices.Equal(allow, c.allow) {
			t.Errorf("%s %.50s: %q %q %q", c.verb, c.path, name, parameters, allow)
		}
	}
	var paths []string
	for _, r := range o.AllRoutes() {
		paths = append(paths, r.Verb+" "+r.Path)
	}
	want := []string{
		" /any/{name}/x", "POST /files/{name}", "POST /form", "POST /send", "POST /things", "GET /things/special",
		"GET /things/{id}", "HEAD /things/{id}", "PUT /things/{id}",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("all routes: %q", paths)
	}
}

// TestRouteArguments: fields come from where their annotations say, and what is made of them is what the
// method takes.
func TestRouteArguments(t *testing.T) {
	t.Parallel()
	o := operations(t, routesIDL)
	for _, c := range []struct {
		verb, target, body string
		header             http.Header
		form               url.Values
		lenient            bool
		want, fault        string
	}{
		{verb: "GET", target: "/things/7", want: `{"req":{"id":"7"}}`},
		{
			verb: "GET", target: "/things/7?limit=9007199254740993&size=LARGE&size=1&deep=1&least=1.5&more=%7B%22a%22:1%7D",
			header: http.Header{"X-Token": {"s"}},
			want: `{"req":{"id":"7","limit":9007199254740993,"sizes":["LARGE",1],"token":"s","deep":true,` +
				`"least":1.5,"more":{"a":1}}}`,
		},
		{
			verb: "GET", target: "/things/7?internal=x&token=q", header: http.Header{"Cookie": {"token=c"}},
			want: `{"req":{"id":"7","token":"c"}}`,
		},
		{verb: "GET", target: "/things/7?limit=x", fault: "/limit"},
		{verb: "GET", target: "/things/7?size=SMALL&size=HUGE", fault: "/req/sizes/1"},
		{verb: "GET", target: "/things/7?least=1e999", fault: "/least"},
		{verb: "GET", target: "/things/7?more=%7B", fault: "/more"},
		{verb: "GET", target: "/things/7?deep=maybe", fault: "/deep"},
		{verb: "GET", target: "/things/%FF", fault: "/id"},
		{
			verb: "PUT", target: "/things/a%20b", body: `{"text":"x\u0041","count":3}`,
			want: `{"req":{"id":"a b","text":"x\u0041","n":3}}`,
		},
		{verb: "PUT", target: "/things/7", body: `{"id":"8"}`, fault: "/id"},
		{verb: "PUT", target: "/things/7", body: `{"n":8}`, fault: "/n"},
		{verb: "PUT", target: "/things/7", body: `{"id":"8","z":1}`, lenient: true, want: `{"req":{"id":"7"}}`},
		{verb: "PUT", target: "/things/7", body: `[1]`, fault: "object"},
		{verb: "PUT", target: "/things/7", body: `null`, fault: "object"},
		{verb: "PUT", target: "/things/7", body: `{"text":"x"`, fault: "object"},
		{verb: "PUT", target: "/things/7", body: `{"text":}`, fault: "object"},
		{verb: "PUT", target: "/things/7", body: `{"text":"x",}`, fault: "object"},
		{verb: "PUT", target: "/things/7", body: `{"text":"x"} {}`, fault: "object"},
		{verb: "PUT", target: "/things/7", body: `{"text":"x","text":"y"}`, fault: "/text: a second time"},
		{verb: "PUT", target: "/things/7", body: `{"text":"x","\u0074ext":"y"}`, fault: "/text: a second time"},
		{verb: "PUT", target: "/things/7", body: `{"z":1,"y":2}`, fault: "/y: no such field"},
		{verb: "PUT", target: "/things/7", want: `{"req":{"id":"7"}}`},
		{verb: "POST", target: "/things", body: `{"what":"x","n":1}`, want: `{"what":"x","n":1}`},
		{
			verb: "POST", target: "/files/a/b.bin", body: "\x00\xff",
			want: `{"req":{"name":"a/b.bin","data":"AP8="}}`,
		},
		{
			verb: "POST", target: "/form", form: url.Values{"a": {"x"}, "b": {"1", "2"}},
			want: `{"req":{"a":"x","b":[1,2]}}`,
		},
		{verb: "POST", target: "/form", form: url.Values{"b": {"1", "x"}}, fault: "/b/1"},
		{verb: "POST", target: "/form", body: `{"b":[1]}`, want: `{"req":{"b":[1]}}`},
		{verb: "POST", target: "/form", body: `{"req":{"b":[1]}}`, want: `{"req":{"b":[1]}}`},
		{verb: "PUT", target: "/things/7", body: `{"req":{"text":"x"}}`, fault: "/req"},
		{verb: "POST", target: "/send", body: `{"form":{"b":[1]}}`, want: `{"form":{"b":[1]}}`},
		{verb: "POST", target: "/send", body: `{"b":[1]}`, want: `{"form":{"b":[1]}}`},
	} {
		at, err := url.Parse("http://h" + c.target)
		if err != nil {
			t.Fatal(err)
		}
		r, parameters, _ := o.Route(c.verb, at.EscapedPath())
		if r == nil {
			t.Fatalf("no route %s %s", c.verb, c.target)
		}
		q := contract.Request{
			Verb: c.verb, Parameters: parameters, Query: at.Query(), Form: c.form, Body: []byte(c.body),
			Header: c.header.Values, Lenient: c.lenient,
			Cookie: func(name string) (values []string) {
				for _, cookie := range (&http.Request{Header: c.header}).CookiesNamed(name) {
					values = append(values, cookie.Value)
				}
				return values
			},
		}
		got, err := r.Arguments(&q)
		if err == nil {
			err = contract.CheckArguments(r.Method, got, false)
		}
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s %s %s: %s %v, want a fault at %s", c.verb, c.target, c.body, got, err, c.fault)
			}
		case err != nil || string(got) != c.want:
			t.Errorf("%s %s %s: %s %v, want %s", c.verb, c.target, c.body, got, err, c.want)
		}
	}
}

// TestRouteAnswers: fields of a result go where their annotations say.
func TestRouteAnswers(t *testing.T) {
	t.Parallel()
	o := operations(t, routesIDL)
	find, _, _ := o.Route("GET", "/things/7")
	a, err := find.Answer([]byte(`{"n":5,"status":203,"tag":"a\"b","text":"x","hidden":1}`))
	if err != nil || a.Status != 203 || string(a.Body) != `{"Text":"x","n":5}` || a.Raw ||
		!slices.Equal(a.Headers, [][2]string{{"X-Tag", `a"b`}}) {
		t.Errorf("%+v %s %v", a, a.Body, err)
	}
	if a, err = find.Answer([]byte(`{}`)); err != nil || a.Status != 0 || string(a.Body) != `{}` {
		t.Errorf("%+v %s %v", a, a.Body, err)
	}
	upload, _, _ := o.Route("POST", "/files/x")
	a, err = upload.Answer([]byte(`{"data":"AP8=","kind":"image/png"}`))
	if err != nil || string(a.Body) != "\x00\xff" || !a.Raw ||
		!slices.Equal(a.Headers, [][2]string{{"Content-Type", "image/png"}}) {
		t.Errorf("%+v %q %v", a, a.Body, err)
	}
	if a, err = find.Answer([]byte(`{"status":null,"tag":null}`)); err != nil || a.Status != 0 || a.Headers != nil {
		t.Errorf("%+v %v", a, err)
	}
	for _, bad := range []string{`[]`, `null`, ``, `{"status":99}`, `{"status":"x"}`} {
		if a, err := find.Answer([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, a)
		}
	}
	if _, err := upload.Answer([]byte(`{"data":"!"}`)); err == nil {
		t.Error("no base64")
	}
	o = operations(t, `struct R { 1: i64 n (api.cookie = "count"), 2: string text (api.cookie) }
service s { R f() (api.get = "/f") }`)
	f, _, _ := o.Route("GET", "/f")
	a, err = f.Answer([]byte(`{"n":"5","text":"x"}`))
	if err != nil || string(a.Body) != `{}` || !slices.Equal(a.Cookies, [][2]string{{"count", "5"}, {"text", "x"}}) {
		t.Errorf("%+v %q %v", a, a.Body, err)
	}
	o = operations(t, routesIDL)
	if put, _, _ := o.Route("PUT", "/things/7"); put.Outputs != nil {
		t.Error("a string goes somewhere")
	}
}

// TestRouteFaults: paths that cannot be, and those that are another method's, are faults with their
// place.
func TestRouteFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ idl, want string }{
		{`void f() (api.get = "/a//b")`, `1:`},
		{`void f() (api.get = "/a/*x/b")`, "behind the rest"},
		{`void f() (api.get = "/:")`, "without a name"},
		{`void f() (api.get = "/:a/:a")`, "two of one name"},
		{`void f() (api.get = "/{a}")`, "signs"},
		{`void f() (api.get = "` + strings.Repeat("/a", 33) + `")`, "too many"},
		{`void f() (api.get = "/` + strings.Repeat("a", 1100) + `")`, "too long"},
		{`void f() (api.get = "/openapi.json")`, "the hub's own"},
		{`void f() (api.post = "/:x/gather")`, "the hub's own"},
		{`void f() (api.put = "/instances/:x")`, "the hub's own"},
		{`void f() (api.post = "/g") void g()`, "where the method g is called"},
		{`void f() (api.get = "/a/:x") void g() (api.get = "/a/:y")`, "that of the method f too"},
		{`void f(1: i32 x (api.raw_body))`, ""},
		{`void f(1: i32 x (api.raw_body)) (api.post = "/a")`, "not string or binary"},
		{`void f(1: string x (api.raw_body), 2: string y (api.raw_body)) (api.post = "/a")`, "two fields"},
	} {
		s := contract.Source{Files: map[string]string{"a.thrift": "service s {" + c.idl + "}"}}
		_, _, err := s.Load("a")
		if (err == nil) != (c.want == "") || err != nil &&
			(!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "a.thrift:1:")) {
			t.Errorf("%.80s: %v", c.idl, err)
		}
	}
}
