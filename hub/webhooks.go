// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"github.com/parley-ipc/parley/internal/auth"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	"github.com/parley-ipc/parley/internal/webhook"
)

// newPusher makes what posts to URLs of others, as the REST door writes messages.
func (h *Hub) newPusher() (*webhook.Pusher, error) {
	return webhook.New(webhook.Options{
		Rules: h.options.Webhooks, Broker: h.broker, Writer: restdoor.Writer{},
		Administrator: func(name string) bool {
			user, ok := h.users.User(name)
			return ok && user.HasTag(auth.TagAdministrator)
		},
		Metrics: h.metrics, Logger: h.options.Logger,
	})
}
