// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"

	"github.com/parley-ipc/parley/internal/broker"
)

// parameterBody is a parameter in JSON, as requests and definitions have it; a global one has
// neither virtual host nor component.
type parameterBody struct {
	VHost     string          `json:"vhost"`
	Component string          `json:"component"`
	Name      string          `json:"name"`
	Value     json.RawMessage `json:"value"`
}

func (b *parameterBody) parameter() (broker.Parameter, error) {
	if b.Value == nil {
		return broker.Parameter{}, badRequest("parameter '%s': value is required", b.Name)
	}
	return broker.Parameter{Component: b.Component, Name: b.Name, Value: b.Value}, nil
}

func showParameter(vhost string, p *broker.Parameter) object {
	return object{
		"vhost": vhost, "component": p.Component, "name": p.Name,
		"value": json.RawMessage(p.Value),
	}
}

func listParameters(v *visit) error {
	var rows []row
	for _, vh := range v.scope() {
		for _, p := range vh.Parameters(v.name("component")) {
			rows = append(rows, row{p.Name, func() object { return showParameter(vh.Name(), &p) }})
		}
	}
	return v.list(rows)
}

func getParameter(v *visit) error {
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	for _, p := range vh.Parameters(v.name("component")) {
		if p.Name == v.name("name") {
			return v.ok(showParameter(vh.Name(), &p))
		}
	}
	return errNotFound
}

func putParameter(v *visit) error {
	var body parameterBody
	if err := v.read(&body); err != nil {
		return err
	}
	body.Component, body.Name = v.name("component"), v.name("name")
	p, err := body.parameter()
	if err != nil {
		return err
	}
	if err := v.mayParameter(p.Component); err != nil {
		return err
	}
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	created, err := vh.SetParameter(p)
	if err != nil {
		return plain(err)
	}
	return v.made(created)
}

// mayParameter keeps what only administrators set, or what asks for more than the right to make
// policies where it has a route of its own, out of the hands of those who have that right alone.
func (v *visit) mayParameter(component string) error {
	if administrator.allows(&v.user) {
		return nil
	}
	switch component {
	case "operator_policy", "vhost-limits", "vhost-metadata", "contract", "service-instance":
		return notAuthorised(administrator.refusal())
	}
	return nil
}

func deleteParameter(v *visit) error {
	if err := v.mayParameter(v.name("component")); err != nil {
		return err
	}
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	if err := vh.DeleteParameter(v.name("component"), v.name("name")); err != nil {
		return plain(err)
	}
	return v.noContent()
}

func showGlobal(p *broker.Parameter) object {
	return object{"name": p.Name, "value": json.RawMessage(p.Value)}
}

func listGlobals(v *visit) error {
	all := v.console.options.Broker.GlobalParameters()
	rows := make([]row, len(all))
	for i, p := range all {
		rows[i] = row{p.Name, func() object { return showGlobal(&p) }}
	}
	return v.list(rows)
}

func getGlobal(v *visit) error {
	for _, p := range v.console.options.Broker.GlobalParameters() {
		if p.Name == v.name("name") {
			return v.ok(showGlobal(&p))
		}
	}
	return errNotFound
}

func putGlobal(v *visit) error {
	var body parameterBody
	if err := v.read(&body); err != nil {
		return err
	}
	body.Name = v.name("name")
	p, err := body.parameter()
	if err != nil {
		return err
	}
	created, err := v.console.options.Broker.SetGlobalParameter(p.Name, p.Value)
	if err != nil {
		return plain(err)
	}
	return v.made(created)
}

func deleteGlobal(v *visit) error {
	if err := v.console.options.Broker.DeleteGlobalParameter(v.name("name")); err != nil {
		return plain(err)
	}
	return v.noContent()
}
