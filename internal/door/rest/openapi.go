// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// openAPIVersion is that of the document (OpenAPI Specification 3.1.1).
const openAPIVersion = "3.1.1"

// anyMethods are those that a route of any method is described by.
func anyMethods() []string { return []string{"DELETE", "GET", "PATCH", "POST", "PUT"} }

// openAPI makes the document that describes the door, from the table of routes. It is the same octets
// for the same table.
func (d *Door) openAPI() ([]byte, error) {
	known := operations()
	paths := jsonObject{}
	for _, r := range d.table() {
		methods := []string{r.method}
		if r.method == "" {
			methods = anyMethods()
		}
		for _, method := range methods {
			o := known[r.method+" "+r.pattern]
			if r.method == "" {
				o.id += strings.ToUpper(method[:1]) + strings.ToLower(method[1:])
			}
			d.describe(paths, method, r.pattern, &o)
		}
	}
	for pattern := range d.publicRoutes() {
		method, path, _ := strings.Cut(pattern, " ")
		o := known[pattern]
		d.describe(paths, method, path, &o)
		item, _ := paths[pathOf(path)].(jsonObject)
		servers := []any{jsonObject{"url": "/"}}
		if alsoBelow(path) {
			servers = append(servers, jsonObject{"url": "/v1"})
		}
		item["servers"] = servers
		if operation, ok := item[strings.ToLower(method)].(jsonObject); ok && o.id != idThrift &&
			o.id != idThriftDefault {
			operation["security"] = []any{}
		}
	}
	components := newSchemas().components()
	components["CloudEvent"] = eventSchema()
	maps.Copy(components, pushSchemas())
	return json.Marshal(jsonObject{
		"openapi": openAPIVersion,
		"info": jsonObject{
			"title": "parley", "version": "1",
			"description": "Send, lease, publish, subscribe, call, ask and gather over HTTP. Errors" +
				" are problems (RFC 9457); match on their code. What was sent or asked for with an" +
				" Idempotency-Key (1 to 255 printable characters) happens once, for a day.",
			"license": jsonObject{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []any{
			jsonObject{"url": "/v1", "description": "The virtual host /"},
			jsonObject{
				"url": "/v1/vhosts/{vhost}", "description": "Another virtual host",
				"variables": jsonObject{"vhost": jsonObject{"default": "%2F"}},
			},
		},
		"security": []any{jsonObject{"basic": []any{}}, jsonObject{}},
		"paths":    paths,
		"webhooks": webhooks(),
		"components": jsonObject{
			"schemas":         components,
			"securitySchemes": jsonObject{"basic": jsonObject{"type": "http", "scheme": "basic"}},
		},
	})
}

// pathOf writes a pattern of the mux as a path of OpenAPI.
func pathOf(pattern string) string {
	return strings.NewReplacer("...}", "}", "{$}", "").Replace(pattern)
}

// describe adds an operation to the paths.
func (d *Door) describe(paths jsonObject, method, pattern string, o *operation) {
	path := pathOf(pattern)
	item, _ := paths[path].(jsonObject)
	if item == nil {
		item = jsonObject{}
		if list := pathParameters(path); len(list) > 0 {
			item["parameters"] = list
		}
		paths[path] = item
	}
	out := jsonObject{
		"operationId": o.id, "summary": o.summary, "tags": []string{o.tag},
		"responses": d.responses(o),
	}
	texts := parameterTexts()
	list := make([]any, 0, len(o.query)+len(o.headers))
	for _, name := range o.query {
		name, required := strings.CutSuffix(name, "!")
		list = append(list, parameterOf("query", name, texts, required))
	}
	for _, name := range o.headers {
		list = append(list, parameterOf("header", name, texts, false))
	}
	if len(list) > 0 {
		out["parameters"] = list
	}
	if o.takes != nil && method != http.MethodGet && method != http.MethodDelete {
		out["requestBody"] = jsonObject{"required": o.takes.need, "content": mediaTypes(o.takes)}
	}
	item[strings.ToLower(method)] = out
}

// pathParameters returns the parameters that a path has in it.
func pathParameters(path string) (list []any) {
	texts := parameterTexts()
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			list = append(list, parameterOf("path", strings.TrimSuffix(name, "}"), texts, true))
		}
	}
	return list
}

func parameterOf(in, name string, texts map[string]parameter, required bool) jsonObject {
	p := texts[in+" "+name]
	out := jsonObject{"name": name, "in": in, "description": p.about, "schema": p.schema}
	if required {
		out["required"] = true
	}
	if p.example != nil {
		out["example"] = p.example
	}
	return out
}

// mediaTypes describes a body of each of its types.
func mediaTypes(c *content) jsonObject {
	out := jsonObject{}
	for _, t := range c.types {
		m := jsonObject{}
		switch t {
		case typeCloudEvent:
			m["schema"] = jsonObject{"$ref": "#/components/schemas/CloudEvent"}
		case typeCloudEvents:
			m["schema"] = jsonObject{
				"type": "array", "items": jsonObject{"$ref": "#/components/schemas/CloudEvent"},
			}
		case typeJSON:
			if c.schema != "" {
				m["schema"] = jsonObject{"$ref": "#/components/schemas/" + c.schema}
			}
		}
		if c.example != nil && (t == typeJSON || t == "*/*") {
			m["example"] = c.example
		}
		out[t] = m
	}
	return out
}

// responses describes the answers of an operation: those that are none of its own are problems.
func (d *Door) responses(o *operation) jsonObject {
	out := jsonObject{"default": jsonObject{
		"description": "Any other problem.", "content": problemContent(),
	}}
	texts := parameterTexts()
	for i := range o.answers {
		a := &o.answers[i]
		r := jsonObject{"description": a.about}
		if a.body != nil {
			r["content"] = mediaTypes(a.body)
		}
		if len(a.headers) > 0 {
			r["headers"] = headerObjects(a.headers, texts)
		}
		out[strconv.Itoa(a.status)] = r
	}
	words := map[int][]string{}
	for _, word := range o.problems {
		k := d.problems.kindOf(word)
		words[k.status] = append(words[k.status], "`"+word+"`")
	}
	for status, list := range words {
		slices.Sort(list)
		code := strconv.Itoa(status)
		if _, has := out[code]; !has {
			r := jsonObject{
				"description": "A problem: " + strings.Join(list, ", ") + ".",
				"content":     problemContent(),
			}
			if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
				r["headers"] = headerObjects([]string{"Retry-After", "RateLimit", "RateLimit-Policy"}, texts)
			}
			out[code] = r
		}
	}
	return out
}

func headerObjects(names []string, texts map[string]parameter) jsonObject {
	out := jsonObject{}
	for _, name := range names {
		p := texts["answer "+name]
		out[name] = jsonObject{"description": p.about, "schema": p.schema}
	}
	return out
}

func problemContent() jsonObject {
	return jsonObject{"application/problem+json": jsonObject{
		"schema": jsonObject{"$ref": "#/components/schemas/Problem"},
	}}
}

// tagBytes is how much of a hash is an entity tag.
const tagBytes = 12

// knows reports whether a request's If-None-Match names a tag (RFC 9110 §13.1.2).
func knows(h http.Header, tag string) bool {
	for part := range strings.SplitSeq(strings.Join(h.Values("If-None-Match"), ","), ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// showOpenAPI is GET /openapi.json.
func (d *Door) showOpenAPI(v *visit) error {
	document, err := d.document()
	if err != nil {
		return err
	}
	return v.showDocument(document)
}

// showServiceOpenAPI is GET /services/{svc}/openapi.json: what the contract says of a service.
func (d *Door) showServiceOpenAPI(v *visit) error {
	service := v.path("svc")
	if d.options.Registry == nil || !v.client.conn.Visible("queue", service) {
		return problemf(wordNotFound, "no contract describes the service '%s'", service)
	}
	known := d.options.Registry.Operations(v.client.key.vhost, service)
	if known == nil {
		return problemf(wordNotFound, "no contract describes the service '%s'", service)
	}
	document, err := known.OpenAPI(service, v.base()+"/services/"+url.PathEscape(service))
	if err != nil {
		return err
	}
	return v.showDocument(document)
}

// showDocument answers with a description, unless the client has it.
func (v *visit) showDocument(document []byte) error {
	h := v.w.Header()
	sum := sha256.Sum256(document)
	tag := `"` + hex.EncodeToString(sum[:tagBytes]) + `"`
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache") // to be kept, and asked about by its tag
	if knows(v.r.Header, tag) {
		v.status = http.StatusNotModified
		v.w.WriteHeader(v.status)
		return nil
	}
	h.Set("Content-Type", typeJSON)
	v.status = http.StatusOK
	return v.write(document)
}
