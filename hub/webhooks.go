// SPDX-License-Identifier: Apache-2.0

package hub

import (
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	"github.com/parley-ipc/parley/internal/webhook"
)

// newPusher makes what posts to URLs of others, as the REST door writes messages.
func (h *Hub) newPusher() (*webhook.Pusher, error) {
	return webhook.New(webhook.Options{
		Rules: h.options.Webhooks, Broker: h.broker, Writer: restdoor.Writer{},
		Administrator: h.isAdministrator,
		Metrics:       h.metrics, Logger: h.options.Logger,
	})
}
