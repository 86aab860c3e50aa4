// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/parley-ipc/parley/hub"
)

// everyIDL has every type, and fields in every place of a request and of an answer.
const everyIDL = `
/** How large something is. */
enum Size { SMALL = 1, /** Not small. */ LARGE = 2 }
typedef list<Size> Sizes
union Pick { 1: i32 number, 2: string word, 3: Every every }
struct Point { 1: required i32 x = 3, 2: i32 y }
/** All there is. */
struct Every {
  1: bool truth, 2: i8 tiny, 3: i16 small, 4: i32 normal = 7, 5: i64 large, 6: double real, 7: required string text
  8: binary octets, 9: uuid id, 10: Size size = Size.LARGE, 11: Sizes sizes, 12: set<string> words
  13: map<string, i64> counts, 14: map<i32, Point> points, 15: map<Point, string> named, 16: optional Every next
  17: optional Pick pick, 18: map<Size, bool> has, 19: i64 exact (api.js_conv)
}
/** Nobody has it. */
exception Gone { 1: required string what } (parley.status = "410")
exception Odd { 1: i32 why }
struct Find {
  1: required string id (api.path = "id"), 2: i32 limit (api.query = "limit"), 3: Sizes sizes (api.query = "size")
  4: string token (api.header = "X-Token"), 5: map<string, i32> more (api.query = "more"), 6: string who (api.cookie = "who")
}
struct Found { 1: string tag (api.header = "X-Tag"), 2: Every every (api.body = "all"), 3: i32 unseen (api.none) }
struct Upload { 1: string name (api.path = "name"), 2: binary data (api.raw_body) }
struct Change { 1: required string key (api.path = "key"), 2: required string text, 3: i32 n (api.body = "count") }
struct Form { 1: string a (api.form = "a"), 2: i32 b (api.form = "b") }

/** Shows every type. */
service every {
  /** Gives it back.
   *  All of it. */
  Every echo(1: Every every, 2: i32 times) throws (1: Gone gone, 2: Odd odd) (parley.idempotent, parley.timeout = "5s")
  void nothing()
  oneway void forget(1: string what)
  Pick choose(1: Pick pick)
  list<map<string, set<i16>>> nested(1: list<list<binary>> in)
  Found find(1: Find find) (api.get = "/things/:id")
  string change(1: Change change) (api.put = "/things/:key", api.patch = "/things/:key")
  string upload(1: Upload upload) (api.post = "/files/*name")
  void form(1: Form form) (api.post = "/forms")
}
`

// sample makes a value that a schema takes; depth ends what holds itself.
func sample(s *openapi3.Schema, depth int) any {
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == nil:
		return "anything"
	case s.Type.Is("object") && s.AdditionalProperties.Schema != nil:
		key := "7"
		if names := s.PropertyNames; names != nil && len(names.Value.Enum) > 0 {
			key = fmt.Sprint(names.Value.Enum[0])
		}
		return map[string]any{key: sample(s.AdditionalProperties.Schema.Value, depth+1)}
	case s.Type.Is("object"):
		out := map[string]any{}
		for name, member := range s.Properties {
			holdsItself := depth > 3 && member.Ref != "" && !member.Value.Type.Is("string")
			if holdsItself || s.MaxProps != nil && len(out) == int(*s.MaxProps) ||
				s.MaxProps != nil && name == "every" {
				continue
			}
			out[name] = sample(member.Value, depth+1)
		}
		return out
	case s.Type.Is("array") && len(s.PrefixItems) > 0:
		var out []any
		for _, item := range s.PrefixItems {
			out = append(out, sample(item.Value, depth+1))
		}
		return out
	case s.Type.Is("array"):
		return []any{sample(s.Items.Value, depth+1)}
	case s.Type.Is("integer"):
		return 7
	case s.Type.Is("number"):
		return 1.5
	case s.Type.Is("boolean"):
		return true
	case s.Pattern != "":
		return "9007199254740993"
	case s.Format == "uuid":
		return "00112233-4455-6677-8899-aabbccddeeff"
	case s.ContentEncoding == "base64":
		return "AP8="
	}
	return "text"
}

// load reads a description and checks that it is valid.
func load(t *testing.T, data []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// get reads a page of the REST door.
func get(t *testing.T, url string) (status int, body []byte) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

// push gives the hub a contract, JSON.
func push(t *testing.T, at, name string, source any) {
	t.Helper()
	data, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, at+"/v1/contracts/"+name,
		bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode/100 != 2 {
		t.Fatalf("push %s: %d %s", name, res.StatusCode, body)
	}
}

// everyServer implements the service by its description: whatever method is called, it checks the
// arguments, and answers what the description of POST and the method's name says.
type everyServer struct {
	t   *testing.T
	doc *openapi3.T
}

func (s *everyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	item := s.doc.Paths.Value(r.URL.Path)
	if item == nil || item.Post == nil || r.Method != http.MethodPost || r.URL.RawQuery != "" {
		s.t.Errorf("the service got %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusNotImplemented)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	if item.Post.RequestBody != nil {
		var value any
		if err := json.Unmarshal(body, &value); err != nil {
			s.t.Errorf("%s got %q", r.URL.Path, body)
		}
		schema := item.Post.RequestBody.Value.Content["application/json"].Schema.Value
		if err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
			s.t.Errorf("%s got %s: %v", r.URL.Path, body, err)
		}
	}
	answer := item.Post.Responses.Value("200")
	if answer == nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(sample(answer.Value.Content["application/json"].Schema.Value, 0))
}

// request makes the request of an operation by its description alone.
func (d *described) request(t *testing.T, o operation) *http.Request {
	t.Helper()
	path, query := o.path, []string{}
	header := http.Header{}
	for _, p := range o.Parameters {
		schema := p.Value.Schema
		if schema == nil {
			schema = p.Value.Content["application/json"].Schema
		}
		text := fmt.Sprint(sample(schema.Value, 0))
		if list, ok := sample(schema.Value, 0).([]any); ok {
			text = fmt.Sprint(list[0])
		} else if schema.Value.Type.Is("object") {
			data, _ := json.Marshal(sample(schema.Value, 0))
			text = string(data)
		}
		switch p.Value.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", text)
		case "query":
			query = append(query, p.Value.Name+"="+strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").
				Replace(text))
		case "header":
			header.Set(p.Value.Name, text)
		case "cookie":
			header.Add("Cookie", p.Value.Name+"="+text)
		}
	}
	var body io.Reader = http.NoBody
	if o.RequestBody != nil {
		for kind, media := range o.RequestBody.Value.Content {
			header.Set("Content-Type", kind)
			switch kind {
			case "application/json":
				data, err := json.Marshal(sample(media.Schema.Value, 0))
				if err != nil {
					t.Fatal(err)
				}
				body = bytes.NewReader(data)
			case "application/x-www-form-urlencoded":
				body = strings.NewReader("a=x&b=7")
			default:
				header.Set("Content-Type", "application/octet-stream")
				body = strings.NewReader("\x00\xff")
			}
		}
	}
	target := d.at + d.doc.Servers[0].URL + path
	if len(query) > 0 {
		target += "?" + strings.Join(query, "&")
	}
	r, err := http.NewRequestWithContext(t.Context(), o.method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	return r
}

// TestOpenAPIOfContract: what the hub says of a service with a contract is valid, stays the same, and is
// all that a client needs to call every operation, and a server to answer it (rest.md, The description).
func TestOpenAPIOfContract(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) { o.Doors.REST.Listen = free })
	d := &described{at: "http://" + h.Addr("rest").String(), ops: map[string]operation{}}
	push(t, d.at, "every", map[string]any{"files": map[string]string{"every.thrift": everyIDL}})
	status, data := get(t, d.at+"/v1/services/every/openapi.json")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, data)
	}
	d.doc = load(t, data)
	server := httptest.NewServer(&everyServer{t, d.doc})
	t.Cleanup(server.Close)
	attach(t, d.at, "every", server.URL)
	for path, item := range d.doc.Paths.Map() {
		for method, o := range item.Operations() {
			o := operation{o, method, path, item}
			res, err := http.DefaultClient.Do(d.request(t, o))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode/100 != 2 {
				t.Errorf("%s %s: %d %v %s", method, path, res.StatusCode, err, body)
				continue
			}
			d.checkResult(t, o, answer{res.StatusCode, res.Header, body})
		}
	}
	if n := len(d.doc.Paths.Map()); n != 12 {
		t.Errorf("%d paths", n)
	}

	// A restart, or another hub, makes no difference.
	other := start(t, func(o *hub.Options) { o.Doors.REST.Listen = free })
	at := "http://" + other.Addr("rest").String()
	push(t, at, "every", map[string]any{"files": map[string]string{"every.thrift": everyIDL}})
	if _, again := get(t, at+"/v1/services/every/openapi.json"); !bytes.Equal(data, again) {
		t.Errorf("another hub describes it otherwise:\n%s\n%s", data, again)
	}
	if status, _ := get(t, at+"/v1/services/none/openapi.json"); status != http.StatusNotFound {
		t.Errorf("a service without a contract: %d", status)
	}
}

// attach puts a server of a service to the hub.
func attach(t *testing.T, at, service, url string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		at+"/v1/services/"+service+"/instances/one", strings.NewReader(`{"url":"`+url+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("attach: %d", res.StatusCode)
	}
}

// checkResult holds an answer against the description, where 2XX may stand for its status.
func (d *described) checkResult(t *testing.T, o operation, got answer) {
	t.Helper()
	said := o.Responses.Value(strconv.Itoa(got.status))
	if said == nil {
		t.Errorf("%s: status %d is not described", o.OperationID, got.status)
		return
	}
	for name := range said.Value.Headers {
		if got.header.Get(name) == "" {
			t.Errorf("%s: no header %s", o.OperationID, name)
		}
	}
	kind, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
	media := said.Value.Content[kind]
	if media == nil {
		if len(got.body) > 0 {
			t.Errorf("%s: %d of type %q is not described", o.OperationID, got.status, kind)
		}
		return
	}
	var value any
	if err := json.Unmarshal(got.body, &value); err != nil {
		t.Fatalf("%s: %v", o.OperationID, err)
	}
	if err := media.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: %d %s: %v", o.OperationID, got.status, got.body, err)
	}
}

// TestOpenAPIOfThriftTest: Apache's own IDL has a valid description too.
func TestOpenAPIOfThriftTest(t *testing.T) {
	t.Parallel()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/apache/thrift").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "test", "ThriftTest.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, func(o *hub.Options) { o.Doors.REST.Listen = free })
	at := "http://" + h.Addr("rest").String()
	push(t, at, "test", map[string]any{"files": map[string]string{"ThriftTest.thrift": string(text)}})
	for _, service := range []string{"ThriftTest", "SecondService"} {
		status, data := get(t, at+"/v1/services/"+service+"/openapi.json")
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, data)
		}
		doc := load(t, data)
		if service == "ThriftTest" && len(doc.Paths.Map()) != 23 {
			t.Errorf("%d paths", len(doc.Paths.Map()))
		}
	}
}
