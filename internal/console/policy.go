// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"

	"github.com/parley-ipc/parley/internal/broker"
)

// policies are the routes of one kind of policies.
type policies struct{ kind broker.PolicyKind }

func (k policies) list(v *visit) error {
	var rows []row
	for _, vh := range v.scope() {
		for _, p := range vh.Policies(k.kind) {
			rows = append(rows, row{p.Name, func() object { return showPolicy(vh.Name(), &p) }})
		}
	}
	return v.list(rows)
}

func showPolicy(vhost string, p *broker.Policy) object {
	return object{
		"vhost": vhost, "name": p.Name, "pattern": p.Pattern,
		"apply-to": cmp.Or(p.ApplyTo, "all"), "priority": p.Priority, "definition": p.Definition,
	}
}

func (k policies) get(v *visit) error {
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	p, ok := vh.Policy(k.kind, v.name("name"))
	if !ok {
		return errNotFound
	}
	return v.ok(showPolicy(vh.Name(), &p))
}

// policyBody is a policy in JSON, as requests and definitions have it.
type policyBody struct {
	VHost      string     `json:"vhost"`
	Name       string     `json:"name"`
	Pattern    *string    `json:"pattern"`
	ApplyTo    string     `json:"apply-to"`
	Priority   integer    `json:"priority"`
	Definition definition `json:"definition"`
}

// definition keeps numbers as they stand.
type definition map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (d *definition) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return badRequest("definition must be an object")
	}
	*d = members
	return nil
}

func (b *policyBody) policy() (broker.Policy, error) {
	if b.Pattern == nil || b.Definition == nil {
		return broker.Policy{}, badRequest("policy '%s': pattern and definition are required",
			b.Name)
	}
	return broker.Policy{
		Name: b.Name, Pattern: *b.Pattern, ApplyTo: b.ApplyTo, Priority: int(b.Priority),
		Definition: b.Definition,
	}, nil
}

func (k policies) put(v *visit) error {
	var body policyBody
	if err := v.read(&body); err != nil {
		return err
	}
	body.Name = v.name("name")
	p, err := body.policy()
	if err != nil {
		return err
	}
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	created, err := vh.SetPolicy(k.kind, p)
	if err != nil {
		return plain(err)
	}
	return v.made(created)
}

// plain gives a parameter's fault without a code of AMQP, which has no word for it.
func plain(err error) error {
	e, ok := errors.AsType[*broker.Error](err)
	switch {
	case ok && e.Code == broker.CodeNotFound:
		return errNotFound
	case ok && e.Code == broker.CodeBadRequest:
		return badRequest("%s", e.Text)
	}
	return err
}

func (k policies) delete(v *visit) error {
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	if err := vh.DeletePolicy(k.kind, v.name("name")); err != nil {
		return plain(err)
	}
	return v.noContent()
}
