// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"errors"
	"slices"

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
	about := vh.Metadata()
	about.Tags = append([]string{}, about.Tags...)
	ready, unsettled := 0, 0
	for _, q := range vh.Queues() {
		s := q.Stats()
		ready, unsettled = ready+s.Ready, unsettled+s.Unsettled
	}
	return object{
		"name": vh.Name(), "description": about.Description, "tags": about.Tags, "tracing": false,
		"metadata": about, "default_queue_type": cmp.Or(about.DefaultQueueType, "classic"),
		"messages": ready + unsettled, "messages_ready": ready,
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
	var body vhostBody
	if err := v.read(&body); err != nil {
		return err
	}
	_, had := v.console.options.Broker.VirtualHost(name)
	vh, err := v.console.options.Broker.AddVirtualHost(name)
	if err != nil {
		return err
	}
	if err := body.describe(vh); err != nil {
		return plain(err)
	}
	if !had {
		err := v.console.options.Users.SetPermission(v.user.Name, name, auth.AllPermissions())
		if err != nil && !errors.Is(err, auth.ErrConfigured) {
			return err
		}
	}
	return v.made(!had)
}

// vhostBody is a virtual host in JSON, as requests and definitions have it.
type vhostBody struct {
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Tags        tagList `json:"tags"`
	QueueType   *string `json:"default_queue_type"`
	Metadata    *struct {
		Description *string `json:"description"`
		Tags        tagList `json:"tags"`
		QueueType   *string `json:"default_queue_type"`
	} `json:"metadata"`
}

// describe changes what a virtual host says about itself, where the body says anything.
func (b *vhostBody) describe(vh *broker.VirtualHost) error {
	about := vh.Metadata()
	before := about
	set := func(description *string, tags tagList, queueType *string) {
		if description != nil {
			about.Description = *description
		}
		if tags != nil {
			about.Tags = tags
		}
		if queueType != nil && *queueType != "undefined" {
			about.DefaultQueueType = *queueType
		}
	}
	if b.Metadata != nil {
		set(b.Metadata.Description, b.Metadata.Tags, b.Metadata.QueueType)
	}
	set(b.Description, b.Tags, b.QueueType)
	if about.Description == before.Description && slices.Equal(about.Tags, before.Tags) &&
		about.DefaultQueueType == before.DefaultQueueType {
		return nil
	}
	return vh.SetMetadata(about)
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
