// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"encoding/json"
	"iter"
	"regexp"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// section is a list in definitions.
type section struct {
	name string
	each iter.Seq[object]
}

// getDefinitions exports everything, or what is in one virtual host, so that postDefinitions makes
// the same elsewhere, RabbitMQ included.
func getDefinitions(v *visit) error {
	vhosts := v.console.options.Broker.VirtualHosts()
	var sections []section
	if _, one := v.values["vhost"]; one {
		vh, err := v.theVHost()
		if err != nil {
			return err
		}
		vhosts = []*broker.VirtualHost{vh}
	} else {
		sections = v.hubSections(vhosts)
	}
	return v.download(append(sections, v.vhostSections(vhosts)...))
}

// download writes sections one object after the other: no export is in memory as a whole.
func (v *visit) download(sections []section) error {
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	if name := v.r.URL.Query().Get("download"); name != "" {
		h.Set("Content-Disposition", `attachment; filename="`+safeName(name)+`"`)
	}
	w := bufio.NewWriter(v.w)
	head, err := json.Marshal(object{
		"rabbit_version": RabbitMQVersion, "rabbitmq_version": RabbitMQVersion,
		"product_name": v.console.options.Product, "product_version": v.console.options.Version,
	})
	if err != nil {
		return err
	}
	_, _ = w.Write(head[:len(head)-1])
	for _, s := range sections {
		_, _ = w.WriteString(`,"` + s.name + `":[`)
		comma := ""
		for o := range s.each {
			data, err := json.Marshal(o)
			if err != nil {
				return err
			}
			_, _ = w.WriteString(comma)
			if _, err := w.Write(data); err != nil {
				return ignoreWrite(err) // the client is gone: the rest is not made
			}
			comma = ","
		}
		_ = w.WriteByte(']')
	}
	_ = w.WriteByte('}')
	return ignoreWrite(w.Flush())
}

// safeName keeps of a file name what cannot mean anything else (security.md, H11).
func safeName(name string) string {
	name = regexp.MustCompile(`[^A-Za-z0-9._-]`).ReplaceAllString(name, "_")
	return strings.TrimLeft(name[:min(len(name), 100)], ".")
}

// hubSections are what is in no virtual host alone.
func (v *visit) hubSections(vhosts []*broker.VirtualHost) []section {
	users := v.console.options.Users.Users()
	return []section{
		{"users", func(yield func(object) bool) {
			for _, u := range users {
				if !yield(showUser(&u)) {
					return
				}
			}
		}},
		{"vhosts", func(yield func(object) bool) {
			for _, vh := range vhosts {
				about := vh.Metadata()
				about.Tags = append([]string{}, about.Tags...)
				if !yield(object{
					"name": vh.Name(), "description": about.Description, "tags": about.Tags,
					"metadata": about,
				}) {
					return
				}
			}
		}},
		{"permissions", func(yield func(object) bool) {
			for _, u := range users {
				for vhost, p := range u.Permissions {
					if !yield(showPermission(u.Name, vhost, p)) {
						return
					}
				}
			}
		}},
		{"topic_permissions", func(yield func(object) bool) {
			for _, r := range v.topicRows("", "") {
				if !yield(r.show()) {
					return
				}
			}
		}},
		{"global_parameters", func(yield func(object) bool) {
			for _, p := range v.console.options.Broker.GlobalParameters() {
				if !yield(showGlobal(&p)) {
					return
				}
			}
		}},
	}
}

// vhostSections are what is in virtual hosts. Exclusive queues go with their connections, and the
// predeclared exchanges are everywhere: they are left out.
func (v *visit) vhostSections(vhosts []*broker.VirtualHost) []section {
	in := func(list func(vh *broker.VirtualHost, yield func(object) bool) bool) iter.Seq[object] {
		return func(yield func(object) bool) {
			for _, vh := range vhosts {
				if !list(vh, yield) {
					return
				}
			}
		}
	}
	return []section{
		{"parameters", in(exportParameters)},
		{"policies", in(exportPolicies)},
		{"queues", in(exportQueues)},
		{"exchanges", in(exportExchanges)},
		{"bindings", in(exportBindings)},
	}
}

func exportParameters(vh *broker.VirtualHost, yield func(object) bool) bool {
	for _, p := range vh.Parameters("") {
		if !yield(showParameter(vh.Name(), &p)) {
			return false
		}
	}
	return true
}

func exportPolicies(vh *broker.VirtualHost, yield func(object) bool) bool {
	for _, p := range vh.Policies(broker.UserPolicy) {
		if !yield(showPolicy(vh.Name(), &p)) {
			return false
		}
	}
	return true
}

func exportQueues(vh *broker.VirtualHost, yield func(object) bool) bool {
	for _, q := range vh.Queues() {
		if !q.Exclusive && !yield(object{
			"name": q.Name, "vhost": vh.Name(), "durable": q.Durable,
			"auto_delete": q.AutoDelete, "arguments": showTable(q.Arguments),
		}) {
			return false
		}
	}
	return true
}

func exportExchanges(vh *broker.VirtualHost, yield func(object) bool) bool {
	for _, x := range vh.Exchanges() {
		if x.Name != "" && !strings.HasPrefix(x.Name, "amq.") && !yield(object{
			"name": x.Name, "vhost": vh.Name(), "type": x.Type, "durable": x.Durable,
			"auto_delete": x.AutoDelete, "internal": x.Internal,
			"arguments": showTable(x.Arguments),
		}) {
			return false
		}
	}
	return true
}

func exportBindings(vh *broker.VirtualHost, yield func(object) bool) bool {
	for _, b := range vh.Bindings() {
		if q, ok := vh.Queue(b.Destination); !b.ToExchange && (!ok || q.Exclusive) {
			continue
		}
		o := showBinding(vh.Name(), &b)
		delete(o, "properties_key")
		if !yield(o) {
			return false
		}
	}
	return true
}
