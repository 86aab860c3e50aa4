// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// vhostNameMax bounds the name of a virtual host (AMQP 0-9-1: a short string).
const vhostNameMax = 255

func listVHosts(v *visit) error {
	vhosts := v.vhosts()
	rows := make([]row, len(vhosts))
	for i, vh := range vhosts {
		rows[i] = row{vh.Name(), func() object { return v.showVHost(vh) }}
	}
	return v.list(rows)
}

func (v *visit) showVHost(vh *broker.VirtualHost) object {
	ready, unsettled := 0, 0
	for _, q := range vh.Queues() {
		s := q.Stats()
		ready, unsettled = ready+s.Ready, unsettled+s.Unsettled
	}
	return object{
		"name": vh.Name(), "description": "", "tags": []string{}, "tracing": false,
		"metadata":           object{"description": "", "tags": []string{}},
		"default_queue_type": "classic", "messages": ready + unsettled, "messages_ready": ready,
		"messages_unacknowledged": unsettled,
		"cluster_state":           object{v.console.node(): "running"},
	}
}

// theVHost returns the virtual host that the path names.
func (v *visit) theVHost() (*broker.VirtualHost, error) {
	vh, ok := v.console.options.Broker.VirtualHost(v.name("vhost"))
	if !ok {
		return nil, errNotFound
	}
	return vh, nil
}

func getVHost(v *visit) error {
	vh, err := v.theVHost()
	if err != nil {
		return err
	}
	q, err := v.query()
	if err != nil {
		return err
	}
	return v.ok(q.cut(v.showVHost(vh)))
}

// putVHost adds a virtual host; who adds it may do everything in it, as in RabbitMQ.
func putVHost(v *visit) error {
	name := v.name("vhost")
	if len(name) > vhostNameMax {
		return badRequest("the name of a virtual host has at most %d bytes", vhostNameMax)
	}
	if _, err := v.body(smallBodyBytes); err != nil { // description, tags: the hub has none
		return err
	}
	if _, ok := v.console.options.Broker.VirtualHost(name); ok {
		return v.made(false)
	}
	if _, err := v.console.options.Broker.AddVirtualHost(name); err != nil {
		return err
	}
	err := v.console.options.Users.SetPermission(v.user.Name, name, auth.AllPermissions())
	if err != nil && !errors.Is(err, auth.ErrConfigured) {
		return err
	}
	return v.made(true)
}

func deleteVHost(v *visit) error {
	if _, err := v.theVHost(); err != nil {
		return err
	}
	if err := v.console.options.DeleteVirtualHost(v.name("vhost")); err != nil {
		return err
	}
	return v.noContent()
}
