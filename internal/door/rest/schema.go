// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/parley-ipc/parley/internal/contract"
)

// schemaType is a component of the OpenAPI document that is made from a Go type.
type schemaType struct {
	name string
	of   reflect.Type
	// taken says that clients send it: then nothing is required but what is named here, and other
	// members are refused. What the hub sends always has the members that are never left out.
	taken    bool
	required []string
}

// schemaTypes lists the components.
func schemaTypes() []schemaType {
	shown := func(name string, v any) schemaType {
		return schemaType{name: name, of: reflect.TypeOf(v)}
	}
	taken := func(name string, v any, required ...string) schemaType {
		return schemaType{name: name, of: reflect.TypeOf(v), taken: true, required: required}
	}
	return []schemaType{
		shown("Binding", bindingBody{}),
		shown("BindingList", page[bindingBody]{}),
		shown("Contract", contractBody{}),
		shown("ContractList", contractList{}),
		shown("ContractMethod", contractCall{}),
		shown("ContractNote", contractNote{}),
		taken("ContractSource", contract.Source{}, "files"),
		shown("Empty", struct{}{}),
		shown("Exchange", exchangeBody{}),
		taken("ExchangeDeclaration", exchangeDeclaration{}),
		shown("ExchangeList", page[exchangeBody]{}),
		shown("GatherReply", gatherReply{}),
		taken("GatherRequest", gatherRequest{}),
		shown("GatherResult", gatherBody{}),
		shown("Health", healthBody{}),
		taken("Instance", Instance{}, "url"),
		taken("InstanceChange", instanceChange{}, "draining"),
		taken("InstanceHealth", InstanceHealth{}),
		shown("InstanceStatus", InstanceStatus{}),
		taken("LeaseBatch", batchRequest{}, "entries"),
		taken("LeaseBatchEntry", batchEntry{}, "lease"),
		taken("LeaseChange", leaseChange{}),
		taken("LeaseNack", leaseNack{}),
		taken("LeaseRequest", leaseRequest{}),
		shown("LeaseResult", batchResult{}),
		shown("LeaseResults", resultsBody[batchResult]{}),
		shown("Leases", leasesBody{}),
		taken("Line", lineEntry{}),
		shown("Links", linksBody{}),
		shown("Message", messageBody{}),
		shown("Problem", problemBody{}),
		taken("Progress", progressBody{}),
		shown("Purged", purgedBody{}),
		shown("Queue", queueBody{}),
		taken("QueueDeclaration", queueDeclaration{}),
		shown("QueueList", page[queueBody]{}),
		shown("Request", requestBody{}),
		shown("Routed", routedBody{}),
		shown("SendResult", lineResult{}),
		shown("SendResults", resultsBody[lineResult]{}),
		shown("Service", ServiceStatus{}),
		shown("Services", servicesBody{}),
	}
}

// resultsBody answers a batch: one result for each entry, in order.
type resultsBody[T any] struct {
	Results []T `json:"results"`
}

// schemas makes JSON Schemas (draft 2020-12) of Go types as encoding/json writes them.
type schemas struct {
	names map[reflect.Type]string
	about map[string]string // of members
}

func newSchemas() schemas {
	s := schemas{names: map[reflect.Type]string{}, about: memberTexts()}
	for _, t := range schemaTypes() {
		s.names[t.of] = t.name
	}
	return s
}

// components returns the schemas of all types.
func (s schemas) components() jsonObject {
	out := jsonObject{}
	for _, t := range schemaTypes() {
		out[t.name] = s.object(t)
	}
	return out
}

// object describes a struct.
func (s schemas) object(t schemaType) jsonObject {
	members, always := jsonObject{}, []string{}
	s.members(t, t.of, members, &always)
	out := jsonObject{"type": "object"}
	if len(members) > 0 {
		out["properties"] = members
	}
	if t.taken {
		out["additionalProperties"] = false
		always = t.required
	}
	if len(always) > 0 {
		out["required"] = always
	}
	return out
}

// members adds the members of a struct, those of embedded ones among them; always gets the names of
// those that are never left out.
func (s schemas) members(t schemaType, of reflect.Type, members jsonObject, always *[]string) {
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.members(t, f.Type, members, always)
			continue
		}
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		schema := s.of(f.Type)
		if text, ok := s.about[t.name+"."+name]; ok {
			schema["description"] = text
		} else if text, ok := s.about[name]; ok {
			schema["description"] = text
		}
		members[name] = schema
		if !strings.Contains(options, "omitempty") && f.Type.Kind() != reflect.Pointer {
			*always = append(*always, name)
		}
	}
}

// of describes a value.
func (s schemas) of(t reflect.Type) jsonObject {
	if name, ok := s.names[t]; ok {
		return jsonObject{"$ref": "#/components/schemas/" + name}
	}
	if t == reflect.TypeFor[json.RawMessage]() {
		return jsonObject{} // any JSON
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return jsonObject{"type": "boolean"}
	case reflect.String:
		return jsonObject{"type": "string"}
	case reflect.Slice:
		return jsonObject{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		out := jsonObject{"type": "object"}
		if t.Elem().Kind() != reflect.Interface {
			out["additionalProperties"] = s.of(t.Elem())
		}
		return out
	case reflect.Struct: // without a name
		members, always := jsonObject{}, []string{}
		s.members(schemaType{of: t}, t, members, &always)
		return jsonObject{"type": "object", "properties": members, "additionalProperties": false}
	case reflect.Float64:
		return jsonObject{"type": "number"}
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return jsonObject{"type": "integer", "minimum": 0}
	case reflect.Int64:
		return jsonObject{"type": "integer", "format": "int64"}
	case reflect.Int:
		return jsonObject{"type": "integer"}
	default:
		return jsonObject{} // any JSON
	}
}

// eventSchema describes an event in JSON (CloudEvents, JSON event format).
func eventSchema() jsonObject {
	text := jsonObject{"type": "string", "minLength": 1}
	return jsonObject{
		"type": "object", "required": requiredAttributes(),
		"properties": jsonObject{
			"specversion": jsonObject{"const": "1.0"}, "id": text, "source": text, "type": text,
			"datacontenttype": jsonObject{"type": "string"}, "data": jsonObject{},
			"data_base64": jsonObject{"type": "string", "contentEncoding": "base64"},
		},
		"description": "CloudEvents 1.0. Other members are attributes: text, booleans or integers.",
	}
}
